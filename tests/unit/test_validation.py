"""Bounds: which error a broken rule is, and that the quick test never lets one pass."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import protovalidate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2, error_reason_pb2, static_policy_pb2
from pdp.errors import (
    MAX_VIOLATIONS,
    InvalidAction,
    InvalidArgument,
    InvalidPattern,
    PdpError,
    Violation,
)
from pdp.messages.conversion import to_request
from pdp.messages.fast_validation import is_certainly_valid
from pdp.messages.validation import validate
from pdp.transport.status import STATUSES, envelope, http_status

if TYPE_CHECKING:
    from google.protobuf.message import Message

NEAR_256 = st.sampled_from(["", "x", "x" * 256, "x" * 257, "é" * 256, "é" * 257])
ACTIONS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_.]*", fullmatch=True),
    st.text("aB:._0 \n", max_size=12),
    st.sampled_from(["a:b:c", "a:b:c\n", "a:b:c.d", "a:b:c.", "a:b:" + "c" * 253, "A:b:c"]),
)
TENANTS = st.one_of(
    st.text("aZ9._- \né", max_size=6), st.sampled_from(["x" * 128, "x" * 129, "acme\n"])
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


REQUESTS = some(
    request_id=NEAR_256,
    tenant_id=TENANTS,
    customer_id=NEAR_256,
    subject=some(
        user_id=NEAR_256,
        agent_id=NEAR_256,
        groups=st.one_of(st.lists(NEAR_256, max_size=3), st.just(["g"] * 1001)),
        risk_score=st.floats(),
    ),
    direction=st.sampled_from(["", "input", "output", "Input", "both"]),
    channel=st.sampled_from(["", "interactive", "api", "API"]),
    intent_complexity=st.sampled_from(["", "simple", "medium", "complex", "hard"]),
    model=some(provider=NEAR_256, model=NEAR_256),
    content=some(text=st.sampled_from(["", "x" * 262_144, "x" * 1_048_577, "é" * 524_289])),
    action=ACTIONS,
    tool=NEAR_256,
    min_revision=st.sampled_from([0, 1, -1, 1 << 53, (1 << 53) - 1]),
    entities=st.lists(some(entity_type=NEAR_256, confidence=st.floats()), max_size=2),
    usage=some(tokens=st.integers(-2, 2), cost_usd=st.floats()),
    target=some(resource_id=NEAR_256, fields=st.lists(NEAR_256, max_size=2)),
)


@given(REQUESTS)
def test_what_is_plain_breaks_no_rule(fields: dict[str, Any]) -> None:
    """Whatever the quick test accepts, protovalidate accepts; what it refuses is refused."""
    message = decide_pb2.DecideRequest(**fields)
    found = protovalidate.collect_violations(message)
    expected = pytest.raises(InvalidArgument) if found else nullcontext()
    with expected:
        to_request(message, message.tenant_id or "default", message.request_id or "made")


def test_usual_requests_are_plain() -> None:
    request = decide_pb2.DecideRequest(
        request_id="r1",
        tenant_id="acme",
        subject=decide_pb2.Subject(user_id="u1", groups=["g"], risk_score=0.4),
        model=decide_pb2.Model(provider="openai", model="gpt-4o"),
        content=decide_pb2.Content(text="hello"),
        action="database:table:drop",
        tool="sql",
    )
    assert is_certainly_valid(to_request(request, "acme", "r1"), request.ByteSize())


@pytest.mark.parametrize(
    ("items", "prefix", "named"),
    [(20, "", 20), (100, "", MAX_VIOLATIONS), (100_000, "", 1), (400, "requests[0].", 1)],
)
def test_no_error_gathers_more_than_it_may_name(items: int, prefix: str, named: int) -> None:
    """8 MiB have room for four million faults: a call would stand still for half a minute."""
    message = decide_pb2.DecideRequest(entities=[decide_pb2.Entity()] * items)
    with pytest.raises(InvalidArgument) as refused:
        validate(message, prefix)
    assert len(refused.value.violations) == named
    assert refused.value.violations[0].field.startswith(f"{prefix}entities")


def policy(**fields: Any) -> static_policy_pb2.CreateStaticPolicyRequest:
    fields = {"name": "n", "category": "custom", "pattern": "x", "action": "log", **fields}
    return static_policy_pb2.CreateStaticPolicyRequest(**fields)


@pytest.mark.parametrize(
    ("message", "error", "violation"),
    [
        (policy(action="deny"), InvalidAction, ("action", "must be one of block, warn, log")),
        (policy(action=""), InvalidAction, ("action", "is required")),
        (
            policy(pattern="x" * 1001),
            InvalidPattern,
            ("pattern", "must be at most 1000 characters"),
        ),
        (
            policy(category="x"),
            InvalidArgument,
            ("category", "must be one of security, compliance, custom"),
        ),
        (policy(name=" "), InvalidArgument, ("name", r"does not match regex pattern `\S`")),
        (
            decide_pb2.DecideRequest(subject=decide_pb2.Subject(groups=["a", "b" * 257])),
            InvalidArgument,
            ("subject.groups[1]", "must be at most 256 characters"),
        ),
        (
            decide_pb2.DecideRequest(direction="sideways"),
            InvalidArgument,
            ("direction", "must be one of input, output"),
        ),
    ],
)
def test_a_broken_rule_names_its_field(
    message: Message, error: type[PdpError], violation: tuple[str, str]
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        validate(message)
    assert type(refused.value) is error
    assert refused.value.violations == (Violation(*violation),)


def test_all_broken_rules_are_named_and_the_fields_own_error_wins() -> None:
    with pytest.raises(InvalidAction) as refused:
        validate(policy(name="", action="deny"), "overlay.")
    assert [violation.field for violation in refused.value.violations] == [
        "overlay.action",
        "overlay.name",
    ]


def test_every_error_reason_of_the_contract_has_a_status_and_an_exception() -> None:
    values = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values
    reasons = {value.name.removeprefix("ERROR_REASON_") for value in values} - {"UNSPECIFIED"}
    assert set(STATUSES) == reasons
    assert {error.reason for error in all_errors(PdpError)} == reasons


def all_errors(error: type[PdpError]) -> set[type[PdpError]]:
    return {error}.union(*(all_errors(each) for each in error.__subclasses__()))


def test_invalid_values_take_the_routes_own_status() -> None:
    assert http_status(InvalidAction("x"), invalid_status=422) == 422
    assert http_status(InvalidAction("x")) == 400


def test_the_envelope_has_code_message_and_details() -> None:
    error = InvalidArgument.of(Violation("page", "must be at least 1"))
    assert envelope(error) == {
        "error": {
            "code": "INVALID_ARGUMENT",
            "message": "page: must be at least 1",
            "details": [{"field": "page", "reason": "must be at least 1"}],
        }
    }
