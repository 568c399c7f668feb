"""Estimates how much memory values take. Equal values have equal estimates."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from sys import getsizeof
from typing import Any, Final

OBJECT_BYTES: Final = 48
"""An object without what it contains."""

POINTER_BYTES: Final = 8

ENTRY_BYTES: Final = 32
"""An entry of a dictionary."""


def size_of(value: Any) -> int:
    """Returns the bytes of a policy, or of a value in a stored body, with all that it contains.

    Containers count the items that they have, not the room that they keep for others. Numbers count
    as their pointer.
    """
    size, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is str:
            size += getsizeof(each)
        elif kind is dict:
            size += OBJECT_BYTES + ENTRY_BYTES * len(each)
            waiting += each
            waiting += each.values()
        elif kind is list or kind is tuple:
            size += OBJECT_BYTES + POINTER_BYTES * len(each)
            waiting += each
        elif names := _field_names(kind):
            size += OBJECT_BYTES + POINTER_BYTES * len(names)
            waiting += [getattr(each, name) for name in names]
    return size


_names_by_class: Final[dict[type, tuple[str, ...]]] = {}


def _field_names(kind: type) -> tuple[str, ...]:
    """Returns the fields of a dataclass; nothing for another class."""
    names = _names_by_class.get(kind)
    if names is None:
        names = tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()
        _names_by_class[kind] = names
    return names
