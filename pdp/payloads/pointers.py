"""JSON Pointers (RFC 6901)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def member(pointer: str, key: str) -> str:
    """Returns the pointer of the member `key` of the object at `pointer`."""
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def keys_of(pointer: str) -> list[str]:
    """Returns the keys and indexes of a pointer, as text."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def value_at(document: Any, pointer: str) -> Any:
    """Returns the value that a pointer refers to.

    Raises:
        KeyError: the document has no such value.
    """
    value = document
    for key in keys_of(pointer):
        if isinstance(value, Mapping):
            value = value[key]
        elif isinstance(value, Sequence) and not isinstance(value, str) and key.isdecimal():
            try:
                value = value[int(key)]
            except IndexError:
                raise KeyError(pointer) from None
        else:
            raise KeyError(pointer)
    return value
