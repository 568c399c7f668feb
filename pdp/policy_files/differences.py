"""How two documents of policy files differ, policy by policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.policy_files.shape import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.policy_files.writing import Document

ADDED: Final = "added"
CHANGED: Final = "changed"
REMOVED: Final = "removed"

HIDDEN: Final = "(hidden)"
NEW_HIDDEN: Final = "(another, hidden)"
"""Stand for secrets, which no document shows."""


class FieldChange(NamedTuple):
    """A field that differs; None if it is not set."""

    field: str
    before: Any
    after: Any


class EntryChange(NamedTuple):
    """A policy that is added, changed or removed.

    Attributes:
        change: `ADDED`, `CHANGED` or `REMOVED`.
        section: the section of the policy.
        name: its name; empty if the section has one entry only.
        fields: the fields that differ, if it is changed.
    """

    change: str
    section: str
    name: str
    fields: tuple[FieldChange, ...] = ()


def differences(before: Document, after: Document) -> list[EntryChange]:
    """Returns the policies by which two documents differ, by section."""
    return [change for key in SECTIONS for change in _section(key, before, after)]


def entry_name(key: str, entry: Mapping[str, Any]) -> str:
    """Returns the name of an entry, unique in its section; empty in a section with one entry."""
    section = SECTIONS[key]
    if section.single:
        return ""
    if key == "limits":
        return f"{entry['scope']} {entry['subject_id']}"
    return str(entry.get("id") or entry[section.name])


def _section(key: str, before: Document, after: Document) -> Iterator[EntryChange]:
    old, new = _by_name(key, before.get(key)), _by_name(key, after.get(key))
    for name, entry in old.items():
        if name not in new:
            yield EntryChange(REMOVED, key, name)
        elif new[name] != entry:
            yield EntryChange(CHANGED, key, name, tuple(_fields(entry, new[name])))
    for name in new:
        if name not in old:
            yield EntryChange(ADDED, key, name)


def _by_name(key: str, value: Any) -> dict[str, Mapping[str, Any]]:
    entries = [value] if isinstance(value, dict) else value or []
    return {entry_name(key, each): each for each in entries}


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield FieldChange(name, old.get(name), new.get(name))
