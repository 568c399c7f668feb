"""API keys, client certificates and what a call may bring: what counts, and for whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.auth.client_certificates import ClientTable, read_clients
from pdp.auth.credentials import CredentialAuthenticator
from pdp.auth.keys import KeyRing
from pdp.auth.principal import Principal
from pdp.auth.rejections import CredentialRejected
from pdp.domain.access import ADMIN, AUDITOR, EDITOR, INCLUDED_ROLES, PEP, ROLES, expand_roles
from pdp.domain.api_key import KEY_LENGTH, ApiKey, KeySecret, digest
from pdp.errors import ConfigError, Unauthenticated

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0
PREFIX = "aa_live_0123456789ab"
TEXT = f"{PREFIX}_{'k' * 43}"


def secret(text: str, expires_at: float | None = None) -> KeySecret:
    return KeySecret(text[: len(PREFIX)], digest(text).hex(), NOW, expires_at)


def key(*secrets: KeySecret, **changes: Any) -> ApiKey:
    fields: dict[str, Any] = {"id": "k1", "name": "n", "role": "pep", "tenants": ("acme",)}
    return ApiKey(secrets=secrets or (secret(TEXT),), **{**fields, **changes})


class Ring:
    """A ring of keys that a test may change."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {each.id: each for each in keys}
        self.ring = KeyRing(lambda: self.keys, clock=lambda: NOW)

    def why_not(self, text: str) -> str:
        """Returns why a key is refused; empty where it counts."""
        try:
            self.ring.principal_of(text)
        except CredentialRejected as refusal:
            return refusal.why
        return ""


def test_a_role_includes_others() -> None:
    """An admin does what an editor does, and that what auditors and enforcement points do."""
    assert expand_roles([ADMIN]) == set(ROLES)
    assert expand_roles([EDITOR]) == {EDITOR, AUDITOR, PEP}
    assert expand_roles([PEP, "root", ""]) == {PEP}
    assert not INCLUDED_ROLES[PEP] & {AUDITOR, EDITOR, ADMIN}
    assert not INCLUDED_ROLES[AUDITOR] & {PEP, EDITOR, ADMIN}


class TestKeys:
    """Keys, as the snapshot has them."""

    def test_a_key_says_who_calls(self) -> None:
        """By its id, since names are for people."""
        principal = Ring(key()).ring.principal_of(TEXT)
        assert principal == Principal("key:k1", frozenset({"acme"}), "acme", frozenset({"pep"}))

    def test_for_all_tenants(self) -> None:
        """Where a call names none, it acts for the default one."""
        principal = Ring(key(tenants=("*",))).ring.principal_of(TEXT)
        assert principal.tenants is None
        assert principal.tenant_id == "default"

    def test_for_several(self) -> None:
        """Where a call names none, nobody guesses."""
        principal = Ring(key(tenants=("a", "b"))).ring.principal_of(TEXT)
        assert principal.tenant_id == ""
        assert not principal.may_act_for("")

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            PREFIX,
            f"{PREFIX}_",
            TEXT[:-1],
            TEXT + "k",
            TEXT[:-1] + "K",
            TEXT.replace("_k", "-k", 1),
            TEXT.upper(),
            f" {TEXT}",
            "aa_live_ba9876543210" + TEXT[len(PREFIX) :],
            "k" * 10_000,
            "\ud800" * KEY_LENGTH,
        ],
    )
    def test_what_is_no_key(self, wrong: str) -> None:
        """Nearly the key is none."""
        assert Ring(key()).why_not(wrong) == "unknown"

    @given(st.text(max_size=100))
    def test_whatever_is_sent(self, text: str) -> None:
        """Nothing but a refusal comes of what is no key."""
        assert Ring(key()).why_not(text) == "unknown"
        assert Ring(key()).why_not(PREFIX + text) == "unknown"

    def test_expiry(self) -> None:
        """A key expires as a whole, or with the secret that was rotated out."""
        assert Ring(key(expires_at=NOW - 1)).why_not(TEXT) == "expired"
        assert Ring(key(secret(TEXT, NOW - 1))).why_not(TEXT) == "expired"
        assert Ring(key(secret(TEXT, NOW + 600), expires_at=NOW + 900)).why_not(TEXT) == ""

    def test_both_secrets_count_while_a_key_is_rotated(self) -> None:
        """So that its holders can change over."""
        newer = f"aa_live_ba9876543210_{'n' * 43}"
        ring = Ring(key(secret(TEXT, NOW + 600), secret(newer)))
        assert (ring.why_not(TEXT), ring.why_not(newer)) == ("", "")

    def test_a_change_counts_at_once(self) -> None:
        """The next call after the keys have changed knows it."""
        ring = Ring(key())
        assert ring.why_not(TEXT) == ""
        ring.keys = {}
        assert ring.why_not(TEXT) == "unknown"
        assert len(ring.ring) == 0
        ring.keys = {"k2": key(id="k2")}
        assert ring.ring.principal_of(TEXT).name == "key:k2"
        assert len(ring.ring) == 1

    def test_no_key_shows_itself(self) -> None:
        """What is logged of a key is not the key."""
        assert not re.search(r"k{9}", repr(key()))


class TestCredentials:
    """What of a call says who calls."""

    def authenticate(self, metadata: dict[str, str], *peer: str) -> str:
        """Returns the name of who calls, or why that is not known."""
        refused: list[str] = []
        clients = ClientTable({"gw": Principal("mtls:gw", frozenset({"acme"}), "acme")})
        ring = Ring(key()).ring
        authenticator = CredentialAuthenticator(ring, None, clients, refused.append)
        try:
            return authenticator.authenticate(metadata, peer).name
        except Unauthenticated:
            return refused[0]

    @pytest.mark.parametrize(
        ("metadata", "found"),
        [
            ({"x-api-key": TEXT}, "key:k1"),
            ({"authorization": f"Bearer {TEXT}"}, "key:k1"),
            ({"authorization": f"bearer  {TEXT}"}, "key:k1"),
            ({"x-api-key": TEXT, "authorization": f"Bearer {TEXT}"}, "malformed"),
            ({"x-api-key": TEXT, "authorization": "Basic eA=="}, "malformed"),
            ({"authorization": "Basic eA=="}, "malformed"),
            ({"authorization": TEXT}, "malformed"),
            ({"authorization": "Bearer"}, "unknown"),
            ({"authorization": f"Bearer {TEXT}, Bearer {TEXT}"}, "unknown"),
            ({"authorization": "Bearer a.b.c"}, "unknown"),
            ({"x-api-key": ""}, "unknown"),
            ({"x-api-key": f"Bearer {TEXT}"}, "unknown"),
            ({}, "missing"),
        ],
    )
    def test_headers(self, metadata: dict[str, str], found: str) -> None:
        """One credential, in one of two places."""
        assert self.authenticate(metadata) == found

    def test_certificates(self) -> None:
        """A known name stands for its client; a key that does not count is not made up for."""
        assert self.authenticate({}, "other", "gw") == "mtls:gw"
        assert self.authenticate({}, "other") == "unknown"
        assert self.authenticate({"x-api-key": "no"}, "gw") == "unknown"
        assert self.authenticate({"x-api-key": TEXT}, "gw") == "key:k1"


class TestClients:
    """The table of client certificates."""

    def test_table(self, tmp_path: Path) -> None:
        """Each is a `pep`, for its tenants or for all."""
        file = tmp_path / "clients.toml"
        file.write_text(
            '[[client]]\nidentity = "a"\ntenants = ["x"]\n'
            '[[client]]\nidentity = "b"\ntenants = ["*"]\n'
        )
        table = read_clients(file)
        one, every = table.principal_of(("a",)), table.principal_of(("z", "b"))
        assert one == Principal("mtls:a", frozenset({"x"}), "x", frozenset({"pep"}))
        assert every == Principal("mtls:b", None, "default", frozenset({"pep"}))
        assert table.principal_of(("A",)) is None
        assert len(read_clients(None)) == 0

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[", "Invalid|Expected"),
            ("clients = []", "nothing else"),
            ("client = 1", "nothing else"),
            ('[[client]]\nidentity = "a"', "client 1"),
            ('[[client]]\nidentity = "a"\ntenants = ["x"]\nrole = "admin"', "client 1"),
            ('[[client]]\nidentity = ""\ntenants = ["x"]', "identity"),
            ('[[client]]\nidentity = "a"\ntenants = []', "tenants"),
            ('[[client]]\nidentity = "a"\ntenants = ["x", "*"]', "tenants"),
            ('[[client]]\nidentity = "a"\ntenants = "x"', "tenants"),
            ('[[client]]\nidentity = "a"\ntenants = ["x"]\n' * 2, "twice"),
        ],
    )
    def test_refused(self, tmp_path: Path, text: str, message: str) -> None:
        """A table that is not clear is no table."""
        file = tmp_path / "clients.toml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_clients(file)

    def test_missing(self, tmp_path: Path) -> None:
        """A file that is named must be there."""
        with pytest.raises(ConfigError, match="PDP_CLIENTS_FILE"):
            read_clients(tmp_path / "missing.toml")
