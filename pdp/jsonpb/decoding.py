"""JSON values to messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message

from pdp.errors import InvalidArgument, Violation
from pdp.jsonpb.documents import fill_list, fill_struct, fill_value
from pdp.jsonpb.fields import (
    LIST_VALUE,
    STRUCT,
    TIMESTAMP,
    VALUE,
    Unsupported,
    bare_list,
    descriptor_of,
    is_map,
    map_value,
)
from pdp.jsonpb.refusal import (
    LONE_SURROGATE,
    MAX_SHOWN,
    Problems,
    ValueRefused,
    shown,
    unlike,
)
from pdp.jsonpb.scalars import Read, reader
from pdp.jsonpb.timestamps import fill_timestamp

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Put = Callable[[Message, Any, str, Problems], None]
"""Puts a JSON value into its field: (message, value, path of the message, problems)."""

Fill = Callable[[Any, Any], None]
"""Sets a message from a JSON value; raises `ValueRefused` or `UnicodeEncodeError`."""

_WELL_KNOWN: Final[Mapping[str, Fill]] = {
    TIMESTAMP: fill_timestamp,
    STRUCT: fill_struct,
    LIST_VALUE: fill_list,
    VALUE: fill_value,
}


@dataclass(slots=True)
class _Plan:
    """How messages of one type are filled.

    Attributes:
        fields: what to do with each name, in snake_case.
        aliases: the snake_case names by their lowerCamelCase forms, where these differ.
        nullable: the names whose null is a value, not an absence.
    """

    fields: dict[str, Put] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    nullable: set[str] = field(default_factory=set)


_plans: Final[dict[Descriptor, _Plan]] = {}


def check_decodable(descriptor: Descriptor) -> None:
    """Makes the plans for a message type and all types within it, ahead of the first call.

    Raises:
        Unsupported: there is no JSON for something in it.
    """
    _plan(descriptor)


def decode(data: object, message: Message, prefix: str = "") -> None:
    """Fills `message` from the JSON object `data`.

    Args:
        data: what `decode_json` returned.
        message: an empty message.
        prefix: put before the paths in errors, for a message that lies in another.

    Raises:
        InvalidArgument: `data` is no object, or has fields that are unknown, given twice or of the
            wrong type; it names them all.
    """
    problems = Problems()
    collect(data, message, problems, prefix)
    problems.settle()


def collect(data: object, message: Message, problems: Problems, prefix: str = "") -> None:
    """Does what `decode` does, but adds what is wrong to `problems`.

    Raises:
        InvalidArgument: `data` is no object.
    """
    if type(data) is not dict:
        raise InvalidArgument.of(Violation("body", unlike("an object", data)))
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
                problems.add(path + shown(name), _unknown(name, plan))
                continue
            if snake in data:
                problems.add(path + snake, f"is given twice, as {snake} and as {name}")
                continue
            put = fields[snake]
        if value is not None or name in plan.nullable:
            put(message, value, path, problems)


def _unknown(name: str, plan: _Plan) -> str:
    near = get_close_matches(name[:MAX_SHOWN], plan.fields, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else "unknown field"


def _plan(descriptor: Descriptor) -> _Plan:
    plan = _plans.get(descriptor)
    if plan is not None:
        return plan
    plan = _Plan()
    _plans[descriptor] = plan  # before its fields, which may hold the type itself
    try:
        for each in descriptor.fields:
            plan.fields[each.name] = _put(each)
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
    listed = bare_list(each)
    if listed is not None:
        return _put_bare_list(each.name, _put(listed))
    if each.message_type is None:
        read = reader(each)
        return _put_scalars(each.name, read) if each.is_repeated else _put_scalar(each.name, read)
    fill = _WELL_KNOWN.get(each.message_type.full_name)
    if each.is_repeated:
        return _put_messages(each.name, _filler(each.message_type, fill))
    return _put_message(each.name, _filler(each.message_type, fill))


Nest = Callable[[Any, Any, str, Problems], None]
"""Fills a message at a path: (message, value, its path, problems)."""


def _filler(descriptor: Descriptor, fill: Fill | None) -> Nest:
    """Returns how a message within another is filled."""
    if fill is not None:
        well_known = fill

        def nest_well_known(message: Any, value: Any, path: str, problems: Problems) -> None:
            try:
                well_known(message, value)
            except ValueRefused as refusal:
                problems.add(path, str(refusal))
            except UnicodeEncodeError:
                problems.add(path, LONE_SURROGATE)

        return nest_well_known
    plan = _plan(descriptor)

    def nest(message: Any, value: Any, path: str, problems: Problems) -> None:
        if type(value) is dict:
            _fill(plan, value, message, path + ".", problems)
        else:
            problems.add(path, unlike("an object", value))

    return nest


def _put_scalar(name: str, read: Read) -> Put:
    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        try:
            setattr(message, name, read(value))
        except ValueRefused as refusal:
            problems.add(path + name, str(refusal))
        except UnicodeEncodeError:
            problems.add(path + name, LONE_SURROGATE)

    return put


def _put_scalars(name: str, read: Read) -> Put:
    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        if type(value) is not list:
            problems.add(path + name, unlike("an array", value))
            return
        try:
            getattr(message, name).extend([read(item) for item in value])
        except (ValueRefused, UnicodeEncodeError):
            for index, item in enumerate(value):
                _note(read, item, f"{path}{name}[{index}]", problems)

    return put


def _note(read: Read, value: Any, path: str, problems: Problems) -> None:
    """Notes what is wrong with one value among many, if anything is."""
    try:
        known = read(value)
        if type(known) is str:
            known.encode()
    except ValueRefused as refusal:
        problems.add(path, str(refusal))
    except UnicodeEncodeError:
        problems.add(path, LONE_SURROGATE)


def _put_message(name: str, nest: Nest) -> Put:
    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        target = getattr(message, name)
        target.SetInParent()  # an object without members is not an absent one
        nest(target, value, path + name, problems)

    return put


def _put_messages(name: str, nest: Nest) -> Put:
    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        if type(value) is not list:
            problems.add(path + name, unlike("an array", value))
            return
        add = getattr(message, name).add
        for index, item in enumerate(value):
            nest(add(), item, f"{path}{name}[{index}]", problems)

    return put


def _put_bare_list(name: str, put: Put) -> Put:
    def put_bare_list(message: Message, value: Any, path: str, problems: Problems) -> None:
        target = getattr(message, name)
        target.SetInParent()  # an empty list is not an absent one
        put(target, value, path, problems)  # it has the same name, hence the same path

    return put_bare_list


def _put_map(each: FieldDescriptor) -> Put:
    name, values = each.name, map_value(each)
    inner = values.message_type
    read = reader(values) if inner is None else None
    nest = _filler(inner, _WELL_KNOWN.get(inner.full_name)) if inner is not None else None

    def put_member(target: Any, key: str, value: Any, path: str, problems: Problems) -> None:
        try:
            if nest is not None:
                nest(target[key], value, path, problems)
            elif read is not None:
                target[key] = read(value)
        except ValueRefused as refusal:
            problems.add(path, str(refusal))
        except UnicodeEncodeError:
            problems.add(path, LONE_SURROGATE)

    def put(message: Message, value: Any, path: str, problems: Problems) -> None:
        if type(value) is not dict:
            problems.add(path + name, unlike("an object", value))
            return
        target = getattr(message, name)
        for key, member in value.items():
            put_member(target, key, member, f"{path}{name}[{shown(key)!r}]", problems)

    return put
