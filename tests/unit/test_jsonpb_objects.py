"""JSON objects that messages hold as text: what is exact, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import audit_pb2
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import InvalidArgument
from pdp.jsonpb import decode, decode_json, encode
from pdp.messages.conversion import to_request
from pdp.strictjson.objects import read_object
from pdp.strictjson.problems import InvalidValue
from pdp.transport.http.responses import to_json

names = st.text(max_size=4)
integers = st.integers() | st.integers(2**53 - 2, 2**53 + 2) | st.integers(2**63 - 2, 2**64 + 2)
leaves = (
    st.none()
    | st.booleans()
    | integers
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=4)


def nested(depth: int) -> str:
    """Returns the text of an object with `depth` levels."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


def request_of(**fields: Any) -> Any:
    """Returns the domain request of a message."""
    return to_request(pb.DecideRequest(**fields), "acme", "r1")


def violations(**fields: Any) -> dict[str, str]:
    """Returns why each field of a message is refused."""
    with pytest.raises(InvalidArgument) as caught:
        request_of(**fields)
    return dict(caught.value.violations)


@given(objects)
def test_a_body_and_arguments_json_mean_the_same(arguments: dict[str, Any]) -> None:
    """`repr` shows the type of each number, and distinguishes -0.0 from 0.0."""
    message = pb.DecideRequest()
    decode(decode_json(json.dumps({"arguments": arguments}).encode()), message)
    from_body = to_request(message, "acme", "r1")
    from_text = request_of(arguments_json=json.dumps(arguments))
    assert repr(from_body.arguments) == repr(from_text.arguments) == repr(arguments)


@given(objects)
def test_redacted_arguments_are_written_exactly(arguments: dict[str, Any]) -> None:
    response = pb.DecideResponse(redacted_arguments_json=json.dumps(arguments))
    written = to_json(encode(response)["redacted_arguments"])
    assert repr(json.loads(written)) == repr(arguments)


@given(st.text() | objects.map(json.dumps).flatmap(lambda text: st.sampled_from([text, text[:-1]])))
def test_any_text_is_read_or_refused(text: str) -> None:
    """What is read can be written as UTF-8, and means the same as in the standard library."""
    try:
        value = read_object(text)
    except InvalidValue as error:
        str(error).encode()
    else:
        assert repr(value) == repr(json.loads(text))
        to_json(value)


def test_a_body_has_no_field_for_the_text() -> None:
    """JSON has exact numbers already."""
    with pytest.raises(InvalidArgument) as caught:
        decode({"arguments_json": "{}"}, pb.DecideRequest())
    assert dict(caught.value.violations) == {
        "arguments_json": "unknown field; did you mean arguments?"
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "expected a name in double quotes at line 1, column 2"),
        ("[1]", "must be an object, not an array"),
        ("1", "must be an object, not a number"),
        ('{"a": 1, "a": 1}', 'the name "a" occurs twice in one object'),
        ('{"a": {"b": 1, "b": 2}}', 'the name "b" occurs twice in one object'),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e400}', "holds a number out of range"),
        ('{"a": [-1' + "0" * 309 + "]}", "holds a number out of range"),
        ('{"a": ' + "1" * 5000 + "}", "a number has too many digits"),
        (r'{"a": "\ud800"}', "must be valid Unicode: it has half of a surrogate pair"),
        (r'{"\uDFFF": 1}', "must be valid Unicode: it has half of a surrogate pair"),
        (nested(33), "nested more than 32 deep"),
        ('{"a":' + "[" * 32 + "]" * 32 + "}", "nested more than 32 deep"),
        ("[" * 90_000, "nested too deep"),
    ],
)
def test_an_invalid_text_is_refused_by_the_name_of_its_field(text: str, reason: str) -> None:
    assert violations(arguments_json=text) == {"arguments_json": reason}
    assert violations(context_json=text) == {"context_json": reason}
    subject = pb.Subject(attributes_json=text)
    assert violations(subject=subject) == {"subject.attributes_json": reason}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (nested(32), json.loads(nested(32))),
        (r'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        (r'{"a": "\\ud800"}', {"a": "\\ud800"}),
        ('{"a": 1' + "0" * 308 + "}", {"a": 10**308}),
        (' {"a" : 1.0, "b": -0.0}\n', {"a": 1.0, "b": -0.0}),
        ("{}", {}),
    ],
)
def test_a_text_within_the_bounds_is_read(text: str, value: dict[str, Any]) -> None:
    assert repr(request_of(arguments_json=text).arguments) == repr(value)


def test_a_value_that_is_not_json_is_refused() -> None:
    """A program that embeds the engine can pass any value."""
    with pytest.raises(InvalidArgument) as caught:
        decode({"arguments": {"a": Decimal("1.1")}}, pb.DecideRequest())
    reason = "holds a Decimal, which JSON has no form for"
    assert dict(caught.value.violations) == {"arguments": reason}


def test_a_mapping_of_another_class_is_an_object() -> None:
    message = pb.DecideRequest()
    decode({"arguments": {"a": MappingProxyType({"b": 2**64})}}, message)
    assert message.arguments_json == '{"a":{"b":18446744073709551616}}'


@pytest.mark.parametrize("name", ["arguments", "context"])
def test_an_object_and_its_text_cannot_be_combined(name: str) -> None:
    message = pb.DecideRequest()
    setattr(message, f"{name}_json", "{}")
    getattr(message, name).SetInParent()
    with pytest.raises(InvalidArgument) as caught:
        to_request(message, "acme", "r1", "requests[0].")
    reason = f"cannot be combined with {name}; set one of them"
    assert dict(caught.value.violations) == {f"requests[0].{name}_json": reason}


def test_attributes_and_their_text_cannot_be_combined() -> None:
    subject = pb.Subject(attributes_json="{}")
    subject.attributes.SetInParent()
    reason = "cannot be combined with attributes; set one of them"
    assert violations(subject=subject) == {"subject.attributes_json": reason}


def test_whole_numbers_of_a_struct_are_integers() -> None:
    """Above 2^53 a double may be a rounded integer, so it stays a double."""
    message = pb.DecideRequest()
    message.arguments.update({"a": [0, 5, -3, 0.5, 2**53, 2**54]})
    arguments = to_request(message, "acme", "r1").arguments
    assert repr(arguments) == repr({"a": [0, 5, -3, 0.5, 2**53, float(2**54)]})


def test_the_members_of_a_struct_are_read_by_name() -> None:
    """Otherwise a decision could differ from one process to the next."""
    names = [f"{number * 7919 % 100:02}" for number in range(100)]
    message = pb.DecideRequest()
    message.arguments.update(dict.fromkeys(names, 1))
    assert list(to_request(message, "acme", "r1").arguments or {}) == sorted(names)


def test_the_members_of_a_text_keep_their_order() -> None:
    assert list(request_of(arguments_json='{"b": 1, "a": 2}').arguments) == ["b", "a"]


def test_the_text_of_a_record_takes_precedence() -> None:
    record = audit_pb2.DecisionRecord(redacted_arguments_json='{"id": 9007199254740993}')
    record.redacted_arguments.update({"id": 9007199254740993})
    assert encode(record)["redacted_arguments"] == {"id": 9007199254740993}
    assert encode(audit_pb2.DecisionRecord())["redacted_arguments"] is None
