"""API keys, client certificates and the credentials of a call: which are valid, and for whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.auth.client_certificates import ClientTable, read_clients
from pdp.auth.credentials import CredentialAuthenticator
from pdp.auth.keys import KeyRing
from pdp.auth.principal import CredentialRejected, Principal
from pdp.domain.access import (
    ADMIN,
    AUDITOR,
    EDITOR,
    FOLLOWER,
    INCLUDED_ROLES,
    PEP,
    ROLES,
    expand_roles,
)
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
    """A key ring with keys that a test may change, at the time `NOW`."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {each.id: each for each in keys}
        self.ring = KeyRing(lambda: self.keys, lambda: NOW)

    def rejection_of(self, text: str) -> str:
        """Returns why a key is rejected; empty if it is valid."""
        try:
            self.ring.principal_of(text)
        except CredentialRejected as rejection:
            return rejection.reason
        return ""


def test_a_role_includes_weaker_roles() -> None:
    """An admin may do what an editor may, and an editor what an auditor and a PEP may.

    No role includes that of a follower.
    """
    assert expand_roles([ADMIN]) == set(ROLES) - {FOLLOWER}
    assert expand_roles([FOLLOWER]) == {FOLLOWER, PEP}
    assert expand_roles([EDITOR]) == {EDITOR, AUDITOR, PEP}
    assert expand_roles([PEP, "root", ""]) == {PEP}
    assert not INCLUDED_ROLES[PEP] & {AUDITOR, EDITOR, ADMIN}
    assert not INCLUDED_ROLES[AUDITOR] & {PEP, EDITOR, ADMIN}


class TestKeys:
    """The keys in force."""

    def test_the_principal_is_named_by_the_id_of_the_key(self) -> None:
        """The name of a key is only for people."""
        principal = Ring(key()).ring.principal_of(TEXT)
        assert principal == Principal(
            "key:k1", frozenset({"acme"}), "acme", frozenset({"pep"}), kind="api_key"
        )

    def test_a_key_for_all_tenants_acts_for_the_default_tenant(self) -> None:
        """It does so if the call names no tenant."""
        principal = Ring(key(tenants=("*",))).ring.principal_of(TEXT)
        assert principal.tenants is None
        assert principal.tenant_id == "default"

    def test_a_key_for_several_tenants_requires_a_tenant_in_the_call(self) -> None:
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
    def test_a_text_that_resembles_the_key_is_unknown(self, wrong: str) -> None:
        assert Ring(key()).rejection_of(wrong) == "unknown"

    @given(st.text(max_size=100))
    def test_any_other_text_is_unknown(self, text: str) -> None:
        """No text causes another error."""
        assert Ring(key()).rejection_of(text) == "unknown"
        assert Ring(key()).rejection_of(PREFIX + text) == "unknown"

    def test_an_expired_key_or_secret_is_refused(self) -> None:
        """A key expires as a whole, and a rotated secret by itself."""
        assert Ring(key(expires_at=NOW - 1)).rejection_of(TEXT) == "expired"
        assert Ring(key(secret(TEXT, NOW - 1))).rejection_of(TEXT) == "expired"
        assert Ring(key(secret(TEXT, NOW + 600), expires_at=NOW + 900)).rejection_of(TEXT) == ""

    def test_both_secrets_are_valid_during_a_rotation(self) -> None:
        """Holders of the key have time to change to the new secret."""
        newer = f"aa_live_ba9876543210_{'n' * 43}"
        ring = Ring(key(secret(TEXT, NOW + 600), secret(newer)))
        assert (ring.rejection_of(TEXT), ring.rejection_of(newer)) == ("", "")

    def test_a_change_takes_effect_at_once(self) -> None:
        """The first call after a change of keys uses the new keys."""
        ring = Ring(key())
        assert ring.rejection_of(TEXT) == ""
        ring.keys = {}
        assert ring.rejection_of(TEXT) == "unknown"
        assert len(ring.ring) == 0
        ring.keys = {"k2": key(id="k2")}
        assert ring.ring.principal_of(TEXT).name == "key:k2"
        assert len(ring.ring) == 1

    def test_repr_has_no_secret(self) -> None:
        """A log entry with a key does not have the key's secret."""
        assert not re.search(r"k{9}", repr(key()))


class TestCredentials:
    """The credentials of a call."""

    def authenticate(self, metadata: dict[str, str], *peer: str) -> str:
        """Returns the name of the caller, or why the call is refused."""
        rejections: list[str] = []
        clients = ClientTable({"gw": Principal("mtls:gw", frozenset({"acme"}), "acme")})
        ring = Ring(key()).ring
        authenticator = CredentialAuthenticator(ring, None, clients, rejections.append)
        try:
            return authenticator.authenticate(metadata, peer).name
        except Unauthenticated:
            return rejections[0]

    @pytest.mark.parametrize(
        ("metadata", "expected"),
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
    def test_a_call_has_one_credential_in_one_header(
        self, metadata: dict[str, str], expected: str
    ) -> None:
        assert self.authenticate(metadata) == expected

    def test_a_certificate_identifies_its_client(self) -> None:
        """A certificate does not replace an invalid key."""
        assert self.authenticate({}, "other", "gw") == "mtls:gw"
        assert self.authenticate({}, "other") == "unknown"
        assert self.authenticate({"x-api-key": "no"}, "gw") == "unknown"
        assert self.authenticate({"x-api-key": TEXT}, "gw") == "key:k1"


class TestClients:
    """The table of client certificates."""

    def test_each_client_is_a_pep_for_its_tenants(self, tmp_path: Path) -> None:
        file = tmp_path / "clients.toml"
        file.write_text(
            '[[client]]\nidentity = "a"\ntenants = ["x"]\n'
            '[[client]]\nidentity = "b"\ntenants = ["*"]\n'
        )
        table = read_clients(file)
        one_tenant, all_tenants = table.principal_of(("a",)), table.principal_of(("z", "b"))
        assert one_tenant == Principal(
            "mtls:a", frozenset({"x"}), "x", frozenset({"pep"}), kind="certificate"
        )
        assert all_tenants == Principal(
            "mtls:b", None, "default", frozenset({"pep"}), kind="certificate"
        )
        assert table.principal_of(("A",)) is None
        assert len(read_clients(None)) == 0

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[", r"is not valid TOML \(at .*\)\. Correct it"),
            ("clients = []", "tables only"),
            ("client = 1", "tables only"),
            ('[[client]]\nidentity = "a"', "client 1"),
            ('[[client]]\nidentity = "a"\ntenants = ["x"]\nrole = "admin"', "client 1"),
            ('[[client]]\nidentity = ""\ntenants = ["x"]', "identity"),
            ('[[client]]\nidentity = "a"\ntenants = []', "tenants"),
            ('[[client]]\nidentity = "a"\ntenants = ["x", "*"]', "tenants"),
            ('[[client]]\nidentity = "a"\ntenants = "x"', "tenants"),
            ('[[client]]\nidentity = "a"\ntenants = ["x"]\n' * 2, "twice"),
        ],
    )
    def test_an_ambiguous_or_incomplete_table_is_refused(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        file = tmp_path / "clients.toml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_clients(file)

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="PDP_CLIENTS_FILE"):
            read_clients(tmp_path / "missing.toml")
