"""Writes documents as YAML: always in the same form, with the comments that they have.

The writer knows only what JSON has: mappings, lists and scalars. Mappings and lists are in block
style, a short list of plain scalars is on one line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH: Final = 100
"""Characters of the longest list on one line."""

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@-]*(?: [A-Za-z0-9_./@-]+)*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Words that other readers of YAML take for something else than text."""


@dataclass(slots=True)
class Item:
    """A pair of a mapping or an item of a list, with its comments.

    Attributes:
        value: the value: a scalar, or `Items`.
        key: the key of a pair; None for an item of a list.
        above: the comments above it.
        beside: the comment behind it; only a scalar can have one.
        source: the text of a value that is written as it is; empty for others.
    """

    value: Any
    key: str | None = None
    above: list[str] = field(default_factory=list)
    beside: str = ""
    source: str = ""


@dataclass(slots=True)
class Items:
    """A mapping or a list."""

    items: list[Item]
    is_mapping: bool


def items_of(value: Any) -> Any:
    """Returns a JSON value as `Items`, if it is a mapping or a list."""
    if isinstance(value, dict):
        pairs = [Item(items_of(member), str(key)) for key, member in value.items()]
        return Items(pairs, is_mapping=True)
    if isinstance(value, list):
        return Items([Item(items_of(each)) for each in value], is_mapping=False)
    return value


def write(top: Items, *, spaced: Sequence[str] = ()) -> str:
    """Returns the text of a mapping.

    Args:
        top: the mapping.
        spaced: keys of `top` whose values have an empty line between their pairs.
    """
    lines: list[str] = []
    for item in top.items:
        value = item.value
        if item.key in spaced and isinstance(value, Items) and value.is_mapping and value.items:
            lines += [f"# {each}".rstrip() for each in item.above]
            lines.append(f"{_scalar(item.key)}:")
            for place, pair in enumerate(value.items):
                lines += [""] if place else []
                lines += _pair(pair, "  ")
        else:
            lines += _pair(item, "")
    return "\n".join(lines) + "\n"


def _pair(item: Item, indent: str) -> Iterator[str]:
    yield from (f"{indent}# {each}".rstrip() for each in item.above)
    head = f"{indent}{_scalar(item.key)}:"
    one_line = _on_one_line(item, len(head) + 1)
    if one_line is not None:
        yield f"{head} {one_line}{_beside(item)}"
    elif isinstance(item.value, Items):
        yield head
        yield from _lines(item.value, f"{indent}  ")
    else:
        yield from _block(item, head, f"{indent}  ")


def _lines(items: Items, indent: str) -> Iterator[str]:
    for item in items.items:
        if items.is_mapping:
            yield from _pair(item, indent)
        else:
            yield from _list_item(item, indent)


def _list_item(item: Item, indent: str) -> Iterator[str]:
    yield from (f"{indent}# {each}".rstrip() for each in item.above)
    one_line = _on_one_line(item, len(indent) + 2)
    if one_line is not None:
        yield f"{indent}- {one_line}{_beside(item)}"
        return
    if not isinstance(item.value, Items):
        yield from _block(item, f"{indent}-", f"{indent}  ")
        return
    first, *others = item.value.items
    # The comments above the first pair are above the whole item.
    yield from (f"{indent}# {each}".rstrip() for each in first.above)
    bare = Item(first.value, first.key, [], first.beside, first.source)
    inner = Items([bare, *others], item.value.is_mapping)
    for place, line in enumerate(_lines(inner, f"{indent}  ")):
        yield f"{indent}- {line.removeprefix(indent + '  ')}" if place == 0 else line


def _beside(item: Item) -> str:
    return f"  # {item.beside}" if item.beside else ""


def _on_one_line(item: Item, column: int) -> str | None:
    """Returns the text of a value that fits on one line; None for others."""
    if item.source:
        return item.source
    value = item.value
    if not isinstance(value, Items):
        return None if _is_block(value) else _scalar(value)
    if not value.items:
        return "{}" if value.is_mapping else "[]"
    if value.is_mapping or any(
        each.above
        or each.beside
        or each.source
        or isinstance(each.value, Items)
        or _is_block(each.value)
        for each in value.items
    ):
        return None
    text = f"[{', '.join(_scalar(each.value) for each in value.items)}]"
    return text if column + len(text) <= WIDTH else None


def _block(item: Item, head: str, indent: str) -> Iterator[str]:
    """Yields a text of several lines, as it is."""
    text = item.value
    mark = "|" if text.endswith("\n") else "|-"
    yield f"{head} {mark}{_beside(item)}"
    for line in text.removesuffix("\n").split("\n"):
        yield f"{indent}{line}" if line else ""


def _is_block(value: Any) -> bool:
    """Whether a text is written in several lines."""
    if not isinstance(value, str) or "\n" not in value[:-1]:
        return False
    lines = value.removesuffix("\n").split("\n")
    return (
        bool(lines[0])
        and bool(lines[-1])
        and not any(line[:1] == " " for line in lines[:1])
        and all(not line or (line.isprintable() and line.strip(" ")) for line in lines)
    )


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if value and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    quoted: str = yaml.dump(
        value, Dumper=yaml.SafeDumper, default_style='"', width=float("inf"), allow_unicode=False
    )
    return quoted.rstrip("\n")
