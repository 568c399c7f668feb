"""Reads members of documents of any shape. What has another shape is left to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp.payloads.payload import PayloadError
from pdp.payloads.pointers import member
from pdp.strictjson.problems import type_mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator


def objects_of(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the objects in a list, each with its pointer; nothing if it is no list."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield f"{pointer}/{index}", item


def object_of(owner: dict[str, Any], name: str, pointer: str) -> tuple[str, dict[str, Any]]:
    """Returns a member that is an object, with its pointer; an empty object if it is none."""
    value = owner.get(name)
    return member(pointer, name), value if isinstance(value, dict) else {}


def text_of(owner: dict[str, Any], name: str) -> str:
    """Returns a member that is a string; empty if it is none."""
    value = owner.get(name)
    return value if isinstance(value, str) else ""


def tool_of(owner: dict[str, Any], pointer: str) -> str:
    """Returns the name of the tool that a call has; empty if it has none, as in events of streams.

    Raises:
        PayloadError: the name is no string. A tool could be called by what it becomes as one.
    """
    name = owner.get("name")
    if name is not None and not isinstance(name, str):
        raise PayloadError(f"{pointer}/name: {type_mismatch('a string', name)}")
    return name or ""
