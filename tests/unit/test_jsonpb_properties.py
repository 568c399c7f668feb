"""Properties of the codec, on the messages of the contracts and on one with every kind of field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import options_pb2
from pdp.errors import InvalidArgument, PdpError
from pdp.jsonpb import (
    check_decodable,
    check_encodable,
    decode,
    decode_json,
    encode,
)
from pdp.jsonpb.fields import (
    LIST_VALUE,
    STRUCT,
    TIMESTAMP,
    VALUE,
    Unsupported,
    bare_list,
    enum_names,
    integer_range,
    is_bool,
    is_map,
    is_number,
    json_fields,
    json_form,
    map_value,
)
from pdp.transport.http.responses import to_json
from pdp.transport.methods import methods
from tests.support.all_field_kinds import Everything

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

ALL = [
    Everything,
    *{
        kind
        for method in methods()
        if method.descriptor.GetOptions().HasExtension(annotations_pb2.http)  # JSON is theirs alone
        for kind in (method.request, method.response)
    },
]
ALL.sort(key=lambda kind: kind.DESCRIPTOR.full_name)

finite = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
documents = st.recursive(
    st.none() | st.booleans() | finite | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Returns the JSON values of one element of a field, as the codec writes them."""
    limits = integer_range(field)
    if field.message_type is not None:
        return messages(field.message_type, depth)
    if field.enum_type is not None:
        return st.sampled_from(list(enum_names(field.enum_type).values()))
    if limits is not None:
        return st.integers(*limits)
    if is_bool(field):
        return st.booleans()
    return finite if is_number(field) else st.text(max_size=12)


def messages(message: Descriptor, depth: int = 3) -> st.SearchStrategy[Any]:
    """Returns the JSON values of a message."""
    special: dict[str, st.SearchStrategy[Any]] = {
        TIMESTAMP: st.datetimes().map(lambda time: f"{time.isoformat(timespec='seconds')}Z"),
        STRUCT: st.dictionaries(st.text(max_size=4), documents, max_size=3),
        LIST_VALUE: st.lists(documents, max_size=3),
        VALUE: documents,
    }
    if message.full_name in special:
        return special[message.full_name]
    if not depth:
        return st.just({})
    return st.fixed_dictionaries(
        {}, optional={field.name: members(field, depth) for field in json_fields(message)}
    )


def members(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Returns the JSON values of a field."""
    field = bare_list(field) or field
    if is_map(field):
        return st.dictionaries(st.text(max_size=4), values(map_value(field), depth - 1), max_size=2)
    one = values(field, depth - 1)
    if field.is_repeated:
        return st.lists(one, max_size=2)
    # With this form, a set but empty message is written as null, which reads as absent: lossy, by
    # design.
    hidden = json_form(field) == options_pb2.JSON_FORM_NULL_IF_EMPTY
    return one.filter(lambda value: any(value.values())) if hidden else one


def read(kind: type[Message], data: object) -> Message:
    """Returns `data` decoded as a message."""
    message = kind()
    decode(data, message)
    return message


@settings(deadline=None)  # the first draw builds the strategies
@given(data=st.data())
def test_an_encoded_message_decodes_to_the_same_message(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(ALL), label="message")
    message = read(kind, data.draw(messages(kind.DESCRIPTOR)))  # type: ignore[arg-type] # upb's
    encoded = encode(message)
    again = read(kind, decode_json(to_json(encoded)))
    assert encode(again) == encoded


@settings(deadline=None)  # the first draw builds the strategies
@given(data=st.data())
def test_a_decoded_value_is_encoded_again(data: st.DataObject) -> None:
    """Every member keeps its value; only members that are always present are added."""
    kind = data.draw(st.sampled_from(ALL), label="message")
    posted = data.draw(messages(kind.DESCRIPTOR))  # type: ignore[arg-type] # upb's own class
    encoded = encode(read(kind, posted))
    for name, value in posted.items():
        if name in encoded or value:
            assert _agrees(value, encoded.get(name)), name


def _agrees(posted: Any, encoded: Any) -> bool:
    match posted:
        case dict():
            return encoded is None or all(
                _agrees(each, encoded.get(name)) for name, each in posted.items() if each
            )
        case list():
            return len(posted) == len(encoded or []) and all(map(_agrees, posted, encoded or []))
        case _:
            return bool(posted == encoded)


NAMES = sorted({field.name for kind in ALL for field in kind.DESCRIPTOR.fields})
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(kind=st.sampled_from(ALL), data=anything)
def test_any_value_is_decoded_or_refused(kind: type[Message], data: object) -> None:
    """The codec raises only PdpError, and its message is always valid Unicode."""
    try:
        read(kind, data)
    except PdpError as error:
        error.message.encode()


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        decode_json(raw)
    except PdpError as error:
        error.message.encode()


def test_maps_enums_and_values_are_decoded() -> None:
    message = read(
        Everything,
        {
            "outcome": "BLOCK",
            "outcomes": ["OUTCOME_ALLOW", "WARN"],
            "counts": {"a": 1},
            "models": {"m": {"model": "x"}},
            "anything": None,
            "large": 2**64 - 1,
        },
    )
    encoded = encode(message)
    assert encoded["outcome"] == "BLOCK"
    assert encoded["outcomes"] == ["ALLOW", "WARN"]
    assert encoded["counts"] == {"a": 1}
    assert encoded["models"] == {"m": {"provider": "", "model": "x"}}
    assert encoded["anything"] is None
    assert encoded["large"] == 2**64 - 1


def test_invalid_values_in_maps_and_enums_are_named() -> None:
    with pytest.raises(InvalidArgument) as caught:
        read(
            Everything,
            {
                "outcome": "DENY",
                "outcomes": ["ALLOW", 3],
                "counts": {"a": "1"},
                "models": {"m": {"modl": "x"}, "n": 1},
                "times": ["now"],
                "small": -1,
            },
        )
    assert dict(caught.value.violations) == {
        "outcome": "must be one of UNSPECIFIED, ALLOW, WARN, ALLOW_WITH_OVERRIDE, ROUTE_TO, "
        "REDACT, PROMPT, CANCEL, BLOCK, ESCALATE",
        "outcomes[1]": "must be a string, not a number",
        "counts['a']": "must be an integer, not a string",
        "models['m'].modl": "unknown field; did you mean model?",
        "models['n']": "must be an object, not a number",
        "times[0]": "must be a time such as 2025-01-02T10:00:00Z (RFC 3339, with its offset)",
        "small": "must be between 0 and 4294967295",
    }


def test_the_forms_of_unset_fields() -> None:
    encoded = encode(Everything())
    assert encoded["nullable"] is None
    assert not {"omitted", "hidden", "few", "anything", "list"} & set(encoded)
    assert encoded["outcome"] == "UNSPECIFIED"
    assert encoded["counts"] == {}


@pytest.mark.parametrize("kind", [struct_pb2.Value, descriptor_pb2.UninterpretedOption])
def test_a_contract_without_a_json_form_is_detected_at_start(kind: type[Message]) -> None:
    """With a oneof or bytes, the server does not start, instead of sending wrong JSON later."""
    for check in (check_decodable, check_encodable):
        if kind is struct_pb2.Value and check is check_encodable:
            continue  # a message shows which member is set, so it can be encoded
        with pytest.raises(Unsupported, match="the JSON codec has no form for"):
            check(kind.DESCRIPTOR)  # type: ignore[arg-type] # upb's own class
