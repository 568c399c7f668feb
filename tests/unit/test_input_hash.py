"""The hash of what a decision is about, and the tokens that are bound to it."""

from __future__ import annotations

import json
from typing import Any, Final

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.decisions.approvals.tokens import (
    HoldToken,
    read_token,
    sign,
    subject_digest,
)
from pdp.decisions.input_hash import hash_of_parts, input_hash, tag_of
from pdp.domain import approval
from pdp.domain.access import Caller
from pdp.domain.approval import (
    CONFIRMATION_KIND,
    Answerer,
    ApprovalFailed,
    find_approver_problem,
    identity,
)
from pdp.domain.request import Entity, Request, Subject, Target, Usage

KEY: Final = b"k" * 32
BASE: Final = Request(
    text="hello",
    action="db:prod:delete",
    tool="sql",
    arguments={"id": 7, "names": ["a", "b"], "deep": {"x": None, "y": True}},
    tenant_id="acme",
    customer_id="c1",
    provider="openai",
    model="gpt-4o",
    subject=Subject("ann", ("a", "b"), "bot", 0.5, {"level": 3}),
    target=Target("table", "orders", 2, ("PII", "X"), ("f", "g")),
    context={"ip": "10.0.0.1"},
)

SAME: Final[dict[str, Any]] = {
    "request_id": "another",
    "timestamp": 5.0,
    "usage": Usage(7, 1.0),
    "entities": (Entity("SSN"),),
    "explain": True,
    "tokens": ("x",),
    "want_input_hash": True,
    "without_approval": True,
    "session_id": "s",
    "caller": Caller("key:1", "bob"),
    "passed": {"rule": "id"},
    "server_time": 5.0,
    "intent_complexity": "simple",
    "subject": BASE.subject._replace(groups=("b", "a")),
    "target": BASE.target._replace(classifications=("X", "PII"), fields=("g", "f")),
    "arguments": {"deep": {"y": True, "x": None}, "names": ["a", "b"], "id": 7.0},
}
OTHER: Final[dict[str, list[Any]]] = {
    "text": ["hello ", "Hello"],
    "action": ["db:prod:drop", ""],
    "tool": ["psql"],
    "arguments": [
        None,
        {},
        {**(BASE.arguments or {}), "id": "7"},
        {**(BASE.arguments or {}), "id": 7.5},
        {**(BASE.arguments or {}), "names": ["b", "a"]},
        {**(BASE.arguments or {}), "deep": {"x": False, "y": True}},
        {**(BASE.arguments or {}), "deep": {"x": None, "y": 1}},
    ],
    "tenant_id": ["other"],
    "customer_id": ["c2"],
    "direction": ["output"],
    "channel": ["api"],
    "provider": ["azure"],
    "model": ["gpt-4"],
    "subject": [
        BASE.subject._replace(user_id="eve"),
        BASE.subject._replace(agent_id=""),
        BASE.subject._replace(groups=("a",)),
        BASE.subject._replace(risk_score=0.6),
        BASE.subject._replace(attributes={"level": 4}),
    ],
    "target": [
        BASE.target._replace(resource_type="view"),
        BASE.target._replace(resource_id="o"),
        BASE.target._replace(sensitivity_level=3),
        BASE.target._replace(classifications=()),
        BASE.target._replace(fields=("f",)),
    ],
    "context": [None, {"ip": "10.0.0.2"}],
}


def with_field(name: str, value: Any) -> Request:
    return BASE._replace(**{name: value})


@pytest.mark.parametrize("name", SAME)
def test_what_is_no_part_of_it(name: str) -> None:
    assert input_hash(KEY, with_field(name, SAME[name])) == input_hash(KEY, BASE)


@pytest.mark.parametrize("name", OTHER)
def test_what_is_part_of_it(name: str) -> None:
    hashes = {input_hash(KEY, with_field(name, value)) for value in OTHER[name]}
    assert len(hashes) == len(OTHER[name])
    assert input_hash(KEY, BASE) not in hashes


def test_every_field_of_a_request_is_decided_on() -> None:
    """A new field is a part of the input, or it is not: somebody has to say so."""
    neither = {"usage_snapshot", "ner", "place", "payload_format"}  # the server sets these
    assert {*SAME, *OTHER, *neither} == set(Request._fields)


def test_text_does_not_move_from_one_field_to_another() -> None:
    one = Request(text="a", action="", tool="b")
    assert input_hash(KEY, one) != input_hash(KEY, Request(text="", action="a", tool="b"))
    assert input_hash(KEY, one) != input_hash(KEY, Request(text="ab"))


def test_the_key_counts() -> None:
    assert input_hash(b"j" * 32, BASE) != input_hash(KEY, BASE)
    assert input_hash(b"", BASE) == ""  # nothing can be approved without a key


_values: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=2), _values), st.dictionaries(st.text(max_size=2), _values))
def test_two_objects_have_the_same_hash_if_they_are_equal(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    def text(value: dict[str, Any]) -> str:
        return json.dumps(value, sort_keys=True)

    same = input_hash(KEY, with_field("arguments", one)) == input_hash(
        KEY, with_field("arguments", two)
    )
    assert same is (text(one) == text(two))


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4))
def test_parts_have_a_hash_of_their_own(parts: list[str]) -> None:
    combined = hash_of_parts(KEY, parts)
    assert (combined == parts[0]) is (len(set(parts)) == 1)
    assert combined == hash_of_parts(KEY, [*parts, parts[0]])
    assert combined != hash_of_parts(KEY, [*parts, "d"])


class TestTokens:
    """A token is read by the request that it was given to."""

    def token(self, **changes: Any) -> str:
        token = HoldToken(
            kind=CONFIRMATION_KIND,
            id="id",
            tenant_id="acme",
            subject=subject_digest(KEY, BASE),
            input_hash=input_hash(KEY, BASE),
            parts=(tag_of(input_hash(KEY, BASE)),),
            rules=("rule",),
            expires_at=1 << 40,
        )
        return sign(KEY, token._replace(**changes))

    def problem(self, text: str, key: bytes = KEY) -> str:
        with pytest.raises(ApprovalFailed) as caught:
            read_token(key, text, BASE)
        return caught.value.problem.reason_code

    def test_a_valid_one(self) -> None:
        token = read_token(KEY, self.token(), BASE)
        assert (token.id, token.rules, token.expires_at) == ("id", ("rule",), 1 << 40)
        assert sign(KEY, token) == self.token()

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"tenant_id": "other"}, "TOKEN_FOREIGN"),
            ({"subject": "other"}, "TOKEN_FOREIGN"),
            ({"expires_at": 5}, "TOKEN_EXPIRED"),
            ({"expires_at": 0}, "TOKEN_EXPIRED"),
        ],
    )
    def test_one_that_does_not_fit(self, changes: dict[str, Any], reason: str) -> None:
        assert self.problem(self.token(**changes)) == reason

    def test_another_key_and_other_texts(self) -> None:
        assert self.problem(self.token(), b"j" * 32) == "TOKEN_INVALID"
        for text in ("", ".", "..", "a.b.c", "\0", "é" * 9, self.token()[:-1]):
            assert self.problem(text) == "TOKEN_INVALID", text

    @given(st.text(max_size=40))
    def test_any_text(self, text: str) -> None:
        assert self.problem(text) == "TOKEN_INVALID"

    def test_a_token_of_another_kind_of_the_same_key(self) -> None:
        """Whatever else the key may sign, a claim that is missing makes it invalid."""
        other = jwt.encode({"sub": "x", "exp": 1 << 40}, KEY, algorithm="HS256")
        assert self.problem(other) == "TOKEN_INVALID"


class TestApprovers:
    """Groups and roles, and who is the same person."""

    @pytest.mark.parametrize(
        "approver", ["sre", "group:sre", "role:approver", "approver", "admin", "group:approver"]
    )
    def test_valid_ones(self, approver: str) -> None:
        assert find_approver_problem(approver) == ""

    @pytest.mark.parametrize("approver", ["role:pep", "role:", "group:", "group: ", "role:sre"])
    def test_invalid_ones(self, approver: str) -> None:
        assert find_approver_problem(approver)

    def test_who_is_among_them(self) -> None:
        ann = Answerer("ann", "key:1", frozenset({"approver"}), frozenset({"sre"}))
        assert ann.is_among(["approver"])
        assert ann.is_among(["group:SRE"])
        assert ann.is_among(["x", "sre"])
        assert not ann.is_among(["group:approver"])
        assert not ann.is_among(["role:sre"])
        assert not ann.is_among(["admin", "x"])
        assert not ann.is_among([])

    def test_the_same_person(self) -> None:
        assert len({identity(name) for name in ("ann", " Ann", "ANN ", "\uff41nn")}) == 1
        assert identity("ann") != identity("anna")


def test_no_field_of_a_refusal_is_empty() -> None:
    problems = [each for each in vars(approval).values() if type(each) is approval.ApprovalProblem]
    assert len(problems) >= 10
    assert len({each.reason_code for each in problems}) == len(problems)
    assert all(each.message and each.status_hint >= 400 for each in problems)
