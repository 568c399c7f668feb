"""Decodes JSON values into messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message

from pdp.errors import InvalidArgument, Violation
from pdp.jsonpb.fields import (
    LIST_VALUE,
    STRUCT,
    TIMESTAMP,
    VALUE,
    Unsupported,
    bare_list,
    descriptor_of,
    is_map,
    json_fields,
    map_value,
    text_fields,
)
from pdp.jsonpb.scalars import ReadScalar, scalar_reader
from pdp.jsonpb.structs import fill_list, fill_struct, fill_value
from pdp.jsonpb.timestamps import fill_timestamp
from pdp.strictjson.objects import object_text
from pdp.strictjson.problems import (
    LONE_SURROGATE,
    MAX_EXCERPT,
    InvalidValue,
    Problems,
    excerpt,
    type_mismatch,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Put = Callable[[Message, Any, str, Problems], None]
"""Sets a field from a JSON value: (message, value, path of the message, problems)."""

Fill = Callable[[Any, Any], None]
"""Sets a message from a JSON value; raises `InvalidValue` or `UnicodeEncodeError`."""

_WELL_KNOWN: Final[Mapping[str, Fill]] = {
    TIMESTAMP: fill_timestamp,
    STRUCT: fill_struct,
    LIST_VALUE: fill_list,
    VALUE: fill_value,
}


@dataclass(slots=True)
class _Plan:
    """How to decode messages of one type.

    Attributes:
        fields: how to set each field, by its snake_case name.
        aliases: the snake_case names by their lowerCamelCase forms, if these differ.
        nullable: the names of fields for which null is a value. For other fields it means absent.
        hints: what is wrong with names that are not fields, if there is a better hint than the
            most similar name.
    """

    fields: dict[str, Put] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    nullable: set[str] = field(default_factory=set)
    hints: Mapping[str, str] = field(default_factory=dict)


_PLACE_OF_TEXT: Final = "unknown field; use content.text"
_HINTS: Final[Mapping[str, Mapping[str, str]]] = {
    "pdp.v1.DecideRequest": dict.fromkeys(("messages", "prompt", "text", "input"), _PLACE_OF_TEXT)
}
"""What to use in place of names that callers of model APIs know, by message."""

_plans: Final[dict[Descriptor, _Plan]] = {}


def check_decodable(descriptor: Descriptor) -> None:
    """Plans how to decode a message type and all types within it, before the first call.

    Raises:
        Unsupported: a field has no JSON form.
    """
    _plan(descriptor)


def decode(data: object, message: Message, prefix: str = "") -> None:
    """Sets `message` from the JSON object `data`.

    Args:
        data: a JSON value, as `decode_json` returns it.
        message: an empty message.
        prefix: the prefix of paths in errors, for a message within another.

    Raises:
        InvalidArgument: `data` is not an object, or fields are unknown, repeated or of the wrong
            type; it names them all.
    """
    problems = Problems()
    decode_into(data, message, problems, prefix)
    problems.raise_if_any()


def decode_into(data: object, message: Message, problems: Problems, prefix: str = "") -> None:
    """Sets `message` like `decode`, but adds invalid fields to `problems`.

    Raises:
        InvalidArgument: `data` is not an object, or there are too many problems.
    """
    if type(data) is not dict:
        raise InvalidArgument.of(Violation("body", type_mismatch("an object", data)))
    _fill(_plan(descriptor_of(message)), data, message, prefix, problems)


def _fill(
    plan: _Plan, data: dict[str, Any], message: Message, path: str, problems: Problems
) -> None:
    fields = plan.fields
    for name, value in data.items():
        put = fields.get(name)
        if put is None:
            snake = plan.aliases.get(name)
            if snake is None:
                problems.add(path + excerpt(name), _unknown(name, plan))
                continue
            if snake in data:
                problems.add(path + snake, f"is given twice, as {snake} and as {name}")
                continue
            put = fields[snake]
        if value is not None or name in plan.nullable:
            put(message, value, path, problems)


def _unknown(name: str, plan: _Plan) -> str:
    hint = plan.hints.get(name)
    if hint is not None:
        return hint
    near = get_close_matches(name[:MAX_EXCERPT], plan.fields, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else "unknown field"


def _plan(descriptor: Descriptor) -> _Plan:
    plan = _plans.get(descriptor)
    if plan is not None:
        return plan
    plan = _Plan(hints=_HINTS.get(descriptor.full_name, {}))
    _plans[descriptor] = plan  # before its fields, which may have the same type
    try:
        texts = text_fields(descriptor)
        for each in json_fields(descriptor):
            text = texts.get(each.name)
            plan.fields[each.name] = (
                _put(each) if text is None else _put_scalar(each.name, object_text, text)
            )
            if each.json_name != each.name:
                plan.aliases[each.json_name] = each.name
            if each.message_type is not None and each.message_type.full_name == VALUE:
                plan.nullable |= {each.name, each.json_name}
    except Unsupported:
        del _plans[descriptor]
        raise
    return plan


def _put(each: FieldDescriptor) -> Put:
    oneof = each.containing_oneof
    if oneof is not None and len(oneof.fields) > 1:
        raise Unsupported(each, "a oneof")
    if is_map(each):
        return _put_map(each)
    list_field = bare_list(each)
    if list_field is not None:
        return _put_bare_list(each.name, _put(list_field))
    if each.message_type is None:
        read = scalar_reader(each)
        return _put_scalars(each.name, read) if each.is_repeated else _put_scalar(each.name, read)
    fill = _WELL_KNOWN.get(each.message_type.full_name)
    if each.is_repeated:
        return _put_messages(each.name, _filler(each.message_type, fill))
    return _put_message(each.name, _filler(each.message_type, fill))


FillNested = Callable[[Any, Any, str, Problems], None]
"""Sets a message within another: (message, value, its path, problems)."""


def _filler(descriptor: Descriptor, fill: Fill | None) -> FillNested:
    """Returns the function that sets a message within another."""
    if fill is not None:
        well_known = fill

        def fill_well_known(message: Any, value: Any, path: str, problems: Problems) -> None:
            try:
                well_known(message, value)
            except InvalidValue as error:
                problems.add(path, str(error))
            except UnicodeEncodeError:
                problems.add(path, LONE_SURROGATE)

        return fill_well_known
    plan = _plan(descriptor)

    def fill_nested(message: Any, value: Any, path: str, problems: Problems) -> None:
        if type(value) is dict:
            _fill(plan, value, message, path + ".", problems)
        else:
            problems.add(path, type_mismatch("an object", value))

    return fill_nested


def _put_scalar(name: str, read: ReadScalar, field: str = "") -> Put:
    """Returns how to set a field; `field` is its name if JSON has another `name` for it."""
    field = field or name

    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        try:
            setattr(message, field, read(value))
        except InvalidValue as error:
            problems.add(path + name, str(error))
        except UnicodeEncodeError:
            problems.add(path + name, LONE_SURROGATE)

    return put


def _put_scalars(name: str, read: ReadScalar) -> Put:
    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        if type(value) is not list:
            problems.add(path + name, type_mismatch("an array", value))
            return
        try:
            getattr(message, name).extend([read(item) for item in value])
        except (InvalidValue, UnicodeEncodeError):
            for index, item in enumerate(value):
                _check(read, item, f"{path}{name}[{index}]", problems)

    return put


def _check(read: ReadScalar, value: Any, path: str, problems: Problems) -> None:
    """Adds the problem of one value in a list, if it has one."""
    try:
        scalar = read(value)
        if type(scalar) is str:
            scalar.encode()
    except InvalidValue as error:
        problems.add(path, str(error))
    except UnicodeEncodeError:
        problems.add(path, LONE_SURROGATE)


def _put_message(name: str, fill: FillNested) -> Put:
    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        target = getattr(message, name)
        target.SetInParent()  # an empty object is not absent
        fill(target, value, path + name, problems)

    return put


def _put_messages(name: str, fill: FillNested) -> Put:
    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        if type(value) is not list:
            problems.add(path + name, type_mismatch("an array", value))
            return
        add = getattr(message, name).add
        for index, item in enumerate(value):
            fill(add(), item, f"{path}{name}[{index}]", problems)

    return put


def _put_bare_list(name: str, put: Put) -> Put:
    def put_bare_list(message: Message, value: Any, path: str, problems: Problems) -> None:
        target = getattr(message, name)
        target.SetInParent()  # an empty list is not absent
        put(target, value, path, problems)  # the list has the same name, so the same path

    return put_bare_list


def _put_map(each: FieldDescriptor) -> Put:
    name, values = each.name, map_value(each)
    inner = values.message_type
    read = scalar_reader(values) if inner is None else None
    fill = _filler(inner, _WELL_KNOWN.get(inner.full_name)) if inner is not None else None

    def put_member(target: Any, key: str, value: Any, path: str, problems: Problems) -> None:
        try:
            if fill is not None:
                fill(target[key], value, path, problems)
            elif read is not None:
                target[key] = read(value)
        except InvalidValue as error:
            problems.add(path, str(error))
        except UnicodeEncodeError:
            problems.add(path, LONE_SURROGATE)

    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        if type(value) is not dict:
            problems.add(path + name, type_mismatch("an object", value))
            return
        target = getattr(message, name)
        for key, member in value.items():
            put_member(target, key, member, f"{path}{name}[{excerpt(key)!r}]", problems)

    return put
