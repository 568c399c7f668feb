"""Tokens: which are valid, for whom, and which forged tokens are rejected."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.auth.jwks import NO_KEYS, KeySet, parse_jwks, read_secret
from pdp.auth.jwt import (
    MAX_CACHED,
    MAX_KID_LENGTH,
    MAX_TOKEN_LENGTH,
    VERIFIED_TTL_S,
    TokenRules,
    TokenVerifier,
)
from pdp.auth.principal import CredentialRejected
from pdp.domain.access import FOLLOWER, ROLES
from tests.support.tokens import (
    AUDIENCE,
    FAR_AHEAD,
    ISSUER,
    LONG_AGO,
    PRIVATE,
    SECRET,
    by_hand,
    claims,
    jwk,
    jwks,
    public_pem,
    token,
)

RULES = TokenRules(ISSUER, AUDIENCE)
KEYS = parse_jwks(jwks())


class Verifier:
    """A verifier with keys that a test may change."""

    def __init__(self, keys: KeySet = KEYS, rules: TokenRules = RULES) -> None:
        self.keys = keys
        self.unknown = 0
        self.now = 0.0
        self.verifier = TokenVerifier(rules, lambda: self.keys, self._count, lambda: self.now)

    def _count(self) -> None:
        self.unknown += 1

    def rejection_of(self, text: str) -> str:
        """Returns why a token is rejected; empty if it is valid."""
        try:
            self.verifier.principal_of(text)
        except CredentialRejected as rejection:
            return rejection.reason
        return ""


@pytest.mark.parametrize("algorithm", sorted(PRIVATE))
def test_a_valid_token_is_accepted(algorithm: str) -> None:
    """Tokens of all algorithms are accepted; roles include other roles."""
    principal = Verifier().verifier.principal_of(token(algorithm))
    assert principal.name == "jwt:ada"
    assert principal.tenants == frozenset({"acme"})
    assert principal.tenant_id == "acme"
    assert principal.roles == {"editor", "auditor", "pep"}


@pytest.mark.parametrize(
    ("changes", "roles", "tenants"),
    [
        ({"roles": "pep auditor"}, {"pep", "auditor"}, {"acme"}),
        ({"roles": None}, set(), {"acme"}),
        ({"roles": ["root", "PEP"]}, set(), {"acme"}),
        ({"roles": ["admin"], "tenants": "*"}, set(ROLES) - {FOLLOWER}, None),
        ({"tenants": "a b"}, {"editor", "auditor", "pep"}, {"a", "b"}),
        ({"tenants": None}, {"editor", "auditor", "pep"}, set()),
    ],
)
def test_roles_and_tenants_are_lists_or_words_in_a_string(
    changes: dict[str, Any], roles: set[str], tenants: set[str] | None
) -> None:
    """A missing claim gives no access."""
    principal = Verifier().verifier.principal_of(token(**changes))
    assert principal.roles == roles
    assert principal.tenants == (None if tenants is None else frozenset(tenants))


def test_the_settings_name_the_claims() -> None:
    """Identity providers use different claims for roles and tenants."""
    rules = TokenRules(ISSUER, AUDIENCE, roles_claim="https://pdp/roles", tenants_claim="org")
    changes: dict[str, Any] = {"https://pdp/roles": ["pep"], "org": "globex"}
    principal = Verifier(rules=rules).verifier.principal_of(token(**changes))
    assert principal.roles == {"pep"}
    assert principal.tenants == frozenset({"globex"})


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 257},
        {"nbf": 4_000_000_000},
        {"roles": {"admin": True}},
        {"roles": [1]},
        {"tenants": ["../other"]},
        {"tenants": ["a" * 129]},
    ],
    ids=str,
)
def test_a_token_without_valid_claims_is_refused(changes: dict[str, Any]) -> None:
    """Issuer, audience, subject and expiry must be valid."""
    assert Verifier().rejection_of(token(**changes)) == "invalid"


def test_an_expired_token_is_refused() -> None:
    """If it expired within the leeway (by default 30 s), it is still accepted."""
    assert RULES.leeway_s == 30
    assert Verifier().rejection_of(token(exp=LONG_AGO)) == "expired"
    long_leeway = TokenRules(ISSUER, AUDIENCE, leeway_s=FAR_AHEAD)
    assert Verifier(rules=long_leeway).rejection_of(token(exp=LONG_AGO)) == ""


def signed_with(secret: bytes, header: dict[str, Any]) -> str:
    unsigned = by_hand(header, claims())[:-1]
    return by_hand(header, claims(), hmac.digest(secret, unsigned.encode(), hashlib.sha256))


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(by_hand({"alg": "none", "typ": "JWT"}, claims()), id="none"),
        pytest.param(by_hand({"alg": "None", "kid": "RS256"}, claims()), id="None"),
        pytest.param(by_hand({"alg": "", "kid": "RS256"}, claims()), id="empty"),
        pytest.param(by_hand({"alg": None, "kid": "RS256"}, claims()), id="null"),
        pytest.param(by_hand({"alg": ["RS256"], "kid": "RS256"}, claims()), id="list"),
        pytest.param(by_hand({"kid": "RS256"}, claims()), id="absent"),
        pytest.param(
            signed_with(public_pem("RS256"), {"alg": "HS256", "kid": "RS256"}), id="public key"
        ),
        pytest.param(signed_with(b"", {"alg": "HS256", "kid": "/dev/null"}), id="kid is a path"),
        pytest.param(token(kid="' OR 1=1 --"), id="kid is SQL"),
        pytest.param(token("ES256", kid="RS256"), id="another key's kid"),
        pytest.param(token(header={"crit": ["exp"]}), id="crit"),
        pytest.param(token(header={"b64": False, "crit": ["b64"]}), id="unencoded"),
        pytest.param(token(kid="k" * 257), id="long kid"),
        pytest.param(by_hand({"alg": "RS256", "kid": 7}, claims()), id="kid is a number"),
        pytest.param(by_hand({"alg": "RS256", "kid": "RS256"}, claims(), b"x" * 256), id="made up"),
        pytest.param("x" * (MAX_TOKEN_LENGTH + 1), id="huge"),
        pytest.param("é.é.é", id="not ASCII"),
        pytest.param("", id="nothing"),
        pytest.param("..", id="dots"),
        pytest.param("a.b.c.d.e", id="encrypted"),
    ],
)
def test_a_forged_token_is_refused(forged: str) -> None:
    assert Verifier().rejection_of(forged) in {"malformed", "unknown", "invalid"}


def test_a_key_in_the_token_is_not_used() -> None:
    """A token cannot supply the key that verifies it."""
    own = {"jwk": jwk("ES256"), "jku": "https://evil.example/keys", "x5u": "https://evil.example"}
    assert (
        Verifier(parse_jwks(jwks(jwk("RS256")))).rejection_of(token("ES256", header=own))
        == "unknown"
    )


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_refused(text: str) -> None:
    """No text causes another error."""
    assert Verifier().rejection_of(text)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=8), st.lists, max_leaves=8))
def test_any_other_header_and_claims_are_refused(value: Any) -> None:
    """No JSON causes another error."""
    assert Verifier().rejection_of(by_hand(value, claims(), b"s"))
    assert Verifier().rejection_of(by_hand({"alg": "RS256", "kid": "RS256"}, value, b"s"))


def test_the_size_of_a_token_is_bounded() -> None:
    """A longer token is rejected even if its signature is valid."""
    assert Verifier().rejection_of(token(pad="x" * 1000)) == ""
    assert len(token(pad="x" * MAX_TOKEN_LENGTH)) > MAX_TOKEN_LENGTH
    assert Verifier().rejection_of(token(pad="x" * MAX_TOKEN_LENGTH)) == "malformed"


@pytest.mark.parametrize(
    ("length", "rejection"), [(MAX_KID_LENGTH, ""), (MAX_KID_LENGTH + 1, "malformed")]
)
def test_the_length_of_a_key_id_is_bounded(length: int, rejection: str) -> None:
    kid = "k" * length
    assert (
        Verifier(parse_jwks(jwks(jwk("RS256", kid=kid)))).rejection_of(token(kid=kid)) == rejection
    )


def test_a_token_without_a_key_id_is_accepted_if_one_key_has_its_algorithm() -> None:
    one = parse_jwks(jwks(jwk("RS256")))
    two = parse_jwks(jwks(jwk("RS256"), jwk("RS256", kid="other")))
    assert Verifier(one).rejection_of(token(kid="")) == ""
    assert Verifier(two).rejection_of(token(kid="")) == "unknown"


class TestCaches:
    """The caches of verified and rejected tokens."""

    def test_new_keys_clear_the_caches(self) -> None:
        """Tokens of a withdrawn key are rejected at once."""
        verifier = Verifier()
        text = token()
        assert verifier.rejection_of(text) == ""
        verifier.keys = parse_jwks(jwks(jwk("ES256")))
        assert verifier.rejection_of(text) == "unknown"
        verifier.keys = parse_jwks(jwks())
        assert verifier.rejection_of(text) == ""

    def test_without_keys_every_token_is_refused(self) -> None:
        assert Verifier(NO_KEYS).rejection_of(token()) == "unknown"

    def test_a_verified_token_is_not_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its signature is verified once, until the keys change or the token expires."""
        verifier = Verifier()
        text = token()
        assert verifier.rejection_of(text) == ""
        monkeypatch.setattr("jwt.decode", None)
        assert verifier.rejection_of(text) == ""

    def test_a_verified_token_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cache keeps a token only for a short time, and never beyond its expiry."""
        verifier = Verifier()
        verifier.now = FAR_AHEAD - 5
        short, long = token(exp=FAR_AHEAD), token(exp=FAR_AHEAD + 600)
        assert [verifier.rejection_of(each) for each in (short, long)] == ["", ""]
        monkeypatch.setattr("jwt.decode", None)
        verifier.now += 5 + RULES.leeway_s + 1
        assert [verifier.rejection_of(each) for each in (short, long)] == ["invalid", ""]
        verifier.now += VERIFIED_TTL_S
        assert verifier.rejection_of(long) == "invalid"

    def test_a_rejected_token_is_not_parsed_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Repeating a bad token costs only its hash."""
        verifier = Verifier()
        bad, old = token(aud="another"), token(exp=1)
        assert [verifier.rejection_of(each) for each in (bad, old)] == ["invalid", "expired"]
        monkeypatch.setattr("jwt.get_unverified_header", None)
        assert [verifier.rejection_of(each) for each in (bad, old)] == ["invalid", "expired"]

    def test_the_cache_is_bounded(self) -> None:
        """Many different bad tokens do not use unbounded memory."""
        verifier = Verifier()
        for number in range(MAX_CACHED + 100):
            verifier.rejection_of(f"{number}.x.x")
        assert len(verifier.verifier._rejected) <= MAX_CACHED

    def test_an_unknown_key_is_reported(self) -> None:
        """Then a changed key set is fetched soon, in the background."""
        verifier = Verifier()
        assert verifier.rejection_of(token(kid="new")) == "unknown"
        assert verifier.unknown == 1
        assert verifier.rejection_of("garbage") == "malformed"
        assert verifier.unknown == 1


class TestSharedSecret:
    """HS256, with a secret in a file."""

    def test_only_hs256_tokens_are_accepted(self, tmp_path: Any) -> None:
        """Any kid is accepted; tokens of other algorithms are rejected."""
        file = tmp_path / "secret"
        file.write_bytes(SECRET + b"\n")
        verifier = Verifier(read_secret(file))
        assert verifier.rejection_of(token("HS256", SECRET)) == ""
        assert verifier.rejection_of(token("HS256", SECRET, kid="any")) == ""
        assert verifier.rejection_of(token("HS256", SECRET[::-1])) == "invalid"
        assert verifier.rejection_of(token("HS512", SECRET * 2)) == "unknown"
        assert verifier.rejection_of(token("RS256")) == "unknown"
