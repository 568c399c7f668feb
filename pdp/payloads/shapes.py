"""Reads members of documents of any shape. What has another shape is left to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdp.payloads.pointers import member

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
