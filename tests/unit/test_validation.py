"""Validation: the error of each violation, and fast checks that never accept one."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import decide_pb2, error_reason_pb2, options_pb2, static_policy_pb2
from pdp.domain.request import MAX_DEPTH
from pdp.errors import (
    MAX_VIOLATIONS,
    InvalidAction,
    InvalidArgument,
    InvalidCondition,
    InvalidPattern,
    PdpError,
    Violation,
)
from pdp.jsonpb import decode
from pdp.jsonpb.fields import STRUCT, VALUE
from pdp.messages.conversion import to_request
from pdp.messages.fast_validation import is_certainly_valid
from pdp.messages.validation import DECLARED_ERRORS, collect_violations, validate
from pdp.transport.methods import methods
from pdp.transport.status import STATUSES, envelope, http_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from pdp.transport.methods import Method

NEAR_256 = st.sampled_from(["", "x", "x" * 256, "x" * 257, "é" * 256, "é" * 257])
ACTIONS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_.]*", fullmatch=True),
    st.text("aB:._0 \n", max_size=12),
    st.sampled_from(["a:b:c", "a:b:c\n", "a:b:c.d", "a:b:c.", "a:b:" + "c" * 253, "A:b:c"]),
)
TENANTS = st.one_of(
    st.text("aZ9._- \né", max_size=6), st.sampled_from(["x" * 128, "x" * 129, "acme\n"])
)


def fields_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


ENTITIES = fields_of(
    entity_type=NEAR_256,
    confidence=st.one_of(st.floats(), st.floats(0, 1)),
    start=st.integers(-1, 1),
    end=st.integers(-1, 1),
)
REQUESTS = fields_of(
    request_id=NEAR_256,
    tenant_id=TENANTS,
    customer_id=NEAR_256,
    subject=fields_of(
        user_id=NEAR_256,
        agent_id=NEAR_256,
        groups=st.one_of(st.lists(NEAR_256, max_size=3), st.just(["g"] * 1001)),
        risk_score=st.floats(),
    ),
    direction=st.sampled_from(["", "input", "output", "Input", "both"]),
    channel=st.sampled_from(["", "interactive", "api", "API"]),
    intent_complexity=st.sampled_from(["", "simple", "medium", "complex", "hard"]),
    model=fields_of(provider=NEAR_256, model=NEAR_256),
    content=fields_of(text=st.sampled_from(["", "x" * 262_144, "x" * 1_048_577, "é" * 524_289])),
    action=ACTIONS,
    tool=NEAR_256,
    min_revision=st.sampled_from([0, 1, -1, 1 << 53, (1 << 53) - 1]),
    entities=st.one_of(
        st.lists(ENTITIES, max_size=2), st.sampled_from([[{"entity_type": "x"}] * 1001])
    ),
    usage=fields_of(tokens=st.integers(-2, 2), cost_usd=st.floats()),
    target=fields_of(
        resource_type=NEAR_256,
        resource_id=NEAR_256,
        sensitivity_level=st.integers(-2, 2),
        classifications=st.one_of(st.lists(NEAR_256, max_size=2), st.just(["c"] * 1001)),
        fields=st.one_of(st.lists(NEAR_256, max_size=2), st.just(["f"] * 1001)),
    ),
)


BATCHES = st.builds(
    decide_pb2.DecideBatchRequest,
    tenant_id=TENANTS,
    requests=st.sampled_from([[{}], [{"direction": "both"}], [{}] * 1000, [{}] * 1001]),
)
CHUNKS = st.builds(
    decide_pb2.StreamChunk,
    stream_id=NEAR_256,
    text=st.sampled_from(["", "x" * 262_144, "é" * 524_288, "é" * 524_289, "x" * 1_048_577]),
)
STREAM_REQUESTS = st.builds(
    decide_pb2.DecideStreamRequest, request=REQUESTS, chunk=st.builds(dict, stream_id=NEAR_256)
)


@given(REQUESTS)
def test_a_request_is_refused_only_if_protovalidate_finds_a_violation(
    fields: dict[str, Any],
) -> None:
    message = decide_pb2.DecideRequest(**fields)
    expected = pytest.raises(InvalidArgument) if collect_violations(message) else nullcontext()
    with expected:
        to_request(message, message.tenant_id or "default", message.request_id or "made")


@given(st.one_of(BATCHES, CHUNKS, STREAM_REQUESTS))
def test_a_message_with_a_fast_check_is_refused_only_if_protovalidate_finds_a_violation(
    message: Message,
) -> None:
    expected = pytest.raises(InvalidArgument) if collect_violations(message) else nullcontext()
    with expected:
        validate(message)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"target": {"resource_type": "table", "classifications": ["PII"]}},
        {"entities": [{"entity_type": "SSN", "confidence": 0.9, "end": 11}]},
    ],
)
def test_usual_requests_pass_the_fast_check(more: dict[str, Any]) -> None:
    request = decide_pb2.DecideRequest(
        request_id="r1",
        tenant_id="acme",
        subject=decide_pb2.Subject(user_id="u1", groups=["g"], risk_score=0.4),
        model=decide_pb2.Model(provider="openai", model="gpt-4o"),
        content=decide_pb2.Content(text="hello"),
        action="database:table:drop",
        tool="sql",
        **more,
    )
    assert is_certainly_valid(to_request(request, "acme", "r1"), request.ByteSize())


def documents(message: Descriptor, outer: tuple[str, ...] = ()) -> Iterator[list[FieldDescriptor]]:
    """Yields the path of each free-form value in a message."""
    for field in message.fields:
        if field.message_type is None or field.message_type.full_name in outer:
            continue
        if field.message_type.full_name in {STRUCT, VALUE}:
            yield [field]
        else:
            for path in documents(field.message_type, (*outer, message.full_name)):
                yield [field, *path]


@pytest.mark.parametrize("method", [*methods()], ids=lambda method: method.name)
def test_the_deepest_documents_can_be_parsed_again(method: Method) -> None:
    """Protobuf parsers refuse more than 100 messages inside each other."""
    for path in documents(method.descriptor.input_type):
        value: Any = {"a": 1}
        for _ in range(MAX_DEPTH - 1):
            value = {"a": value}
        for field in reversed(path):
            value = {field.name: [value] if field.is_repeated else value}
        message = method.request()
        decode(value, message)
        collect_violations(message)


_BESIDE: Final = """
from google.protobuf import descriptor_pb2, descriptor_pool
pool = descriptor_pool.Default()
file = descriptor_pb2.FileDescriptorProto(package="buf.validate")
file.name = "buf/validate/validate.proto"
file.dependency.append("google/protobuf/descriptor.proto")
file.message_type.add(name="FieldRules")
file.extension.add(
    name="field", extendee=".google.protobuf.FieldOptions", number=1159,
    type="TYPE_MESSAGE", type_name=".buf.validate.FieldRules", label="LABEL_OPTIONAL",
)
pool.Add(file)

from pdp._gen.pdp.v1 import decide_pb2
from pdp.messages.validation import validate
try:
    validate(decide_pb2.DecideRequest(direction="sideways"))
except Exception as error:
    print(error)
assert decide_pb2.DecideRequest.DESCRIPTOR.fields_by_name["direction"].has_options is False
"""


def test_another_package_may_register_its_own_version_of_the_rules() -> None:
    """The default pool of protobuf holds only one version of a file."""
    completed = subprocess.run(
        [sys.executable, "-c", _BESIDE], capture_output=True, text=True, check=True
    )
    assert completed.stdout == "direction: must be one of input, output\n"


@pytest.mark.parametrize(
    ("items", "prefix", "violation_count"),
    [(20, "", 20), (100, "", MAX_VIOLATIONS), (100_000, "", 1), (400, "requests[0].", 1)],
)
def test_an_error_names_a_bounded_number_of_fields(
    items: int, prefix: str, violation_count: int
) -> None:
    """8 MiB can hold four million violations, and collecting them takes half a minute."""
    message = decide_pb2.DecideRequest(entities=[decide_pb2.Entity()] * items)
    with pytest.raises(InvalidArgument) as caught:
        validate(message, prefix)
    assert len(caught.value.violations) == violation_count
    assert caught.value.violations[0].field.startswith(f"{prefix}entities")


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
        (
            policy(expression="é" * 2049),
            InvalidCondition,
            ("expression", "must be at most 4096 bytes"),
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
def test_a_violation_names_its_field(
    message: Message, error: type[PdpError], violation: tuple[str, str]
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate(message)
    assert type(caught.value) is error
    assert caught.value.violations == (Violation(*violation),)


def test_all_violations_are_named_and_the_declared_error_comes_first() -> None:
    with pytest.raises(InvalidAction) as caught:
        validate(policy(name="", action="deny"), "overlay.")
    assert [violation.field for violation in caught.value.violations] == [
        "overlay.action",
        "overlay.name",
    ]


def test_every_error_reason_of_the_contract_has_a_status_and_an_exception() -> None:
    values = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values
    reasons = {value.name.removeprefix("ERROR_REASON_") for value in values} - {"UNSPECIFIED"}
    assert set(STATUSES) == reasons
    assert {error.reason for error in all_errors(PdpError)} == reasons


def test_every_error_that_a_field_declares_has_a_class() -> None:
    """Otherwise a value out of its bounds would be an internal error."""
    declared = {
        field.GetOptions().Extensions[options_pb2.field].invalid
        for method in methods()
        for field in method.descriptor.input_type.fields
    }
    assert error_reason_pb2.ERROR_REASON_INVALID_CONDITION in declared
    assert declared <= set(DECLARED_ERRORS)


def all_errors(error: type[PdpError]) -> set[type[PdpError]]:
    return {error}.union(*(all_errors(each) for each in error.__subclasses__()))


def test_an_invalid_value_has_the_status_of_its_route() -> None:
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
