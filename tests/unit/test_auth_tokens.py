"""Which tokens count, and for whom; and what is refused of those that are made to deceive."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.auth.jwks import NO_KEYS, KeySet, parse_jwks, shared_secret
from pdp.auth.jwt import (
    MAX_CACHED,
    MAX_KID_LENGTH,
    MAX_TOKEN_LENGTH,
    VERIFIED_TTL_S,
    TokenRules,
    TokenVerifier,
)
from pdp.auth.rejections import CredentialRejected
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
    """A verifier whose keys a test may change."""

    def __init__(self, keys: KeySet = KEYS, rules: TokenRules = RULES) -> None:
        self.keys = keys
        self.unknown = 0
        self.now = 0.0
        self.verifier = TokenVerifier(rules, lambda: self.keys, self._count, lambda: self.now)

    def _count(self) -> None:
        self.unknown += 1

    def why_not(self, given: str) -> str:
        """Returns why a token is refused; empty where it counts."""
        try:
            self.verifier.principal_of(given)
        except CredentialRejected as refusal:
            return refusal.why
        return ""


@pytest.mark.parametrize("algorithm", sorted(PRIVATE))
def test_a_good_token_says_who_calls(algorithm: str) -> None:
    """Whichever algorithm its key is for; roles include what they include."""
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
        ({"roles": ["admin"], "tenants": "*"}, {"admin", "editor", "auditor", "pep"}, None),
        ({"tenants": "a b"}, {"editor", "auditor", "pep"}, {"a", "b"}),
        ({"tenants": None}, {"editor", "auditor", "pep"}, set()),
    ],
)
def test_claims(changes: dict[str, Any], roles: set[str], tenants: set[str] | None) -> None:
    """Roles and tenants are lists, or words; what is missing gives nothing."""
    principal = Verifier().verifier.principal_of(token(**changes))
    assert principal.roles == roles
    assert principal.tenants == (None if tenants is None else frozenset(tenants))


def test_claims_by_other_names() -> None:
    """The settings say where an identity provider puts them."""
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
def test_what_a_token_must_say(changes: dict[str, Any]) -> None:
    """Issuer, audience, subject and expiry are ours, or the token is nobody's."""
    assert Verifier().why_not(token(**changes)) == "invalid"


def test_an_expired_token() -> None:
    """An expired token is refused, unless it expired within the leeway of half a minute."""
    assert RULES.leeway_s == 30
    assert Verifier().why_not(token(exp=LONG_AGO)) == "expired"
    long_leeway = TokenRules(ISSUER, AUDIENCE, leeway_s=FAR_AHEAD)
    assert Verifier(rules=long_leeway).why_not(token(exp=LONG_AGO)) == ""


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
def test_forged_tokens(forged: str) -> None:
    """None of them counts, however it was meant to."""
    assert Verifier().why_not(forged) in {"malformed", "unknown", "invalid"}


def test_a_key_in_the_token_is_not_used() -> None:
    """A token cannot bring the key that it is to be checked with."""
    own = {"jwk": jwk("ES256"), "jku": "https://evil.example/keys", "x5u": "https://evil.example"}
    assert Verifier(parse_jwks(jwks(jwk("RS256")))).why_not(token("ES256", header=own)) == "unknown"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_whatever_is_sent(text: str) -> None:
    """Nothing but a refusal comes of what is no token."""
    assert Verifier().why_not(text)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=8), st.lists, max_leaves=8))
def test_whatever_the_parts_are(value: Any) -> None:
    """Nor of one whose parts are not what they should be."""
    assert Verifier().why_not(by_hand(value, claims(), b"s"))
    assert Verifier().why_not(by_hand({"alg": "RS256", "kid": "RS256"}, value, b"s"))


def test_a_token_is_not_looked_at_beyond_its_bound() -> None:
    """Though it is signed by a key of ours."""
    assert Verifier().why_not(token(pad="x" * 1000)) == ""
    assert len(token(pad="x" * MAX_TOKEN_LENGTH)) > MAX_TOKEN_LENGTH
    assert Verifier().why_not(token(pad="x" * MAX_TOKEN_LENGTH)) == "malformed"


@pytest.mark.parametrize(
    ("length", "why"), [(MAX_KID_LENGTH, ""), (MAX_KID_LENGTH + 1, "malformed")]
)
def test_a_key_id_has_a_bound(length: int, why: str) -> None:
    kid = "k" * length
    assert Verifier(parse_jwks(jwks(jwk("RS256", kid=kid)))).why_not(token(kid=kid)) == why


def test_a_token_without_a_kid_where_one_key_can_be_meant() -> None:
    """Two keys of a kind have to be told apart."""
    one = parse_jwks(jwks(jwk("RS256")))
    two = parse_jwks(jwks(jwk("RS256"), jwk("RS256", kid="other")))
    assert Verifier(one).why_not(token(kid="")) == ""
    assert Verifier(two).why_not(token(kid="")) == "unknown"


class TestCaches:
    """What is remembered, and until when."""

    def test_new_keys_forget_what_old_ones_have_signed(self) -> None:
        """A key that is withdrawn takes its tokens with it."""
        verifier = Verifier()
        given = token()
        assert verifier.why_not(given) == ""
        verifier.keys = parse_jwks(jwks(jwk("ES256")))
        assert verifier.why_not(given) == "unknown"
        verifier.keys = parse_jwks(jwks())
        assert verifier.why_not(given) == ""

    def test_no_keys(self) -> None:
        """Until keys are there, nobody's token counts."""
        assert Verifier(NO_KEYS).why_not(token()) == "unknown"

    def test_a_verified_token_is_not_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its signature is checked once, until the keys change or it expires."""
        verifier = Verifier()
        given = token()
        assert verifier.why_not(given) == ""
        monkeypatch.setattr("jwt.decode", None)
        assert verifier.why_not(given) == ""

    def test_a_verified_token_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cache never keeps it beyond its own expiry, and not for long before that."""
        verifier = Verifier()
        verifier.now = FAR_AHEAD - 5
        short, long = token(exp=FAR_AHEAD), token(exp=FAR_AHEAD + 600)
        assert [verifier.why_not(each) for each in (short, long)] == ["", ""]
        monkeypatch.setattr("jwt.decode", None)
        verifier.now += 5 + RULES.leeway_s + 1
        assert [verifier.why_not(each) for each in (short, long)] == ["invalid", ""]
        verifier.now += VERIFIED_TTL_S
        assert verifier.why_not(long) == "invalid"

    def test_a_refused_token_is_refused_without_being_looked_at(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A flood of one bad token costs its hashes."""
        verifier = Verifier()
        bad, old = token(aud="another"), token(exp=1)
        assert [verifier.why_not(each) for each in (bad, old)] == ["invalid", "expired"]
        monkeypatch.setattr("jwt.get_unverified_header", None)
        assert [verifier.why_not(each) for each in (bad, old)] == ["invalid", "expired"]

    def test_floods_are_bounded(self) -> None:
        """However many tokens are made up, no more than so many are remembered."""
        verifier = Verifier()
        for number in range(MAX_CACHED + 100):
            verifier.why_not(f"{number}.x.x")
        assert len(verifier.verifier._refused) <= MAX_CACHED

    def test_an_unknown_key_is_told(self) -> None:
        """So that a key set which has changed is fetched soon, beside the calls."""
        verifier = Verifier()
        assert verifier.why_not(token(kid="new")) == "unknown"
        assert verifier.unknown == 1
        assert verifier.why_not("garbage") == "malformed"
        assert verifier.unknown == 1


class TestSharedSecret:
    """HS256, by a secret in a file."""

    def test_counts_for_hs256_alone(self, tmp_path: Any) -> None:
        """Whatever its kid; tokens of public keys do not count beside it."""
        file = tmp_path / "secret"
        file.write_bytes(SECRET + b"\n")
        verifier = Verifier(shared_secret(file))
        assert verifier.why_not(token("HS256", SECRET)) == ""
        assert verifier.why_not(token("HS256", SECRET, kid="any")) == ""
        assert verifier.why_not(token("HS256", SECRET[::-1])) == "invalid"
        assert verifier.why_not(token("HS512", SECRET * 2)) == "unknown"
        assert verifier.why_not(token("RS256")) == "unknown"
