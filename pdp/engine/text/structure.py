"""Texts that the structure of a JSON value gives: what a reader sees, but no single string holds.

* labelled: each member as a line `key: "value"`. A key is then context for its value, as a label is
  in prose. Rows under headers and pairs of a name and a value are members too.
* command: the strings of an array with spaces between them, as in `["rm", "-rf", "/"]`, and a
  command with its arguments. An object with operators such as `$ne` is joined as JSON text.
* lines: the strings of an array that begins a private key, each on its own line.

Each joined text knows which leaf each of its parts comes from, see `JoinedParts`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.engine.text.json_tree import (
    LITERAL,
    NUMBER,
    STRING,
    ArrayTree,
    Leaf,
    ObjectTree,
    Tree,
    children,
)
from pdp.engine.text.locations import LINE_END, JoinedPart, JoinedParts, Reading, Segment
from pdp.engine.text.variants import encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_LABEL: Final = 128
"""The most characters of a label."""

MAX_VALUE: Final = 8192
"""Longer strings are documents, which their key does not explain."""

MAX_WORD: Final = 256
"""Longer strings are no words of a command line."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_QUOTES: Final = str.maketrans({'"': "!", "'": "!", "`": "!", "\\": "!"})
_LABEL: Final = re.compile(r"[^\x00-\x1f\"'`\\]+")

_DOCUMENT: Final = re.compile(r"\s*+(?:\{\s*+[\"}]|\[\s*+[\[{\"\]])")
"""JSON in a string: its own members are the lines, and not the whole of it."""

_GENERIC: Final = frozenset({
    "code", "content", "data", "default", "id", "key", "no", "nr", "num", "number", "numeric",
    "plain", "raw", "secret", "string", "text", "token", "val", "value",
})  # fmt: skip
"""Keys that say nothing without the key of the object around them: `{"passport": {"number": …}}`"""

_NAMES: Final = frozenset({
    "attribute", "column", "env", "field", "header", "key", "label", "name", "option", "param",
    "parameter", "property", "setting", "title", "variable",
})  # fmt: skip
_VALUES: Final = frozenset({"content", "data", "val", "value"})
_HEADERS: Final = frozenset({
    "cols", "column_names", "columns", "fields", "header", "headers", "headings", "keys", "names",
    "schema",
})  # fmt: skip
_ROWS: Final = frozenset({
    "body", "cells", "data", "entries", "items", "lines", "records", "rows", "table", "values",
})  # fmt: skip
_COMMANDS: Final = frozenset({
    "binary", "cmd", "command", "entrypoint", "exe", "exec", "executable", "file", "name", "path",
    "program", "run", "shell",
})  # fmt: skip
_ARGUMENTS: Final = frozenset({
    "args", "argument", "arguments", "argv", "flags", "options", "parameters", "params",
})  # fmt: skip
_KEY_MARKS: Final = ("-----BEGIN", "---- BEGIN", "PuTTY-User-Key-File")


class _Line(NamedTuple):
    """A value and its label, which is made of one or two segments."""

    labels: Sequence[Segment]
    value: Leaf


def joined_texts(tree: Tree) -> Iterator[Segment]:
    """Yields the joined texts of a tree, without those of JSON in its strings."""
    lines = list(_lines(tree, ()))
    if lines:
        yield _labelled(lines)
    yield from _commands(tree)


def _lines(tree: Tree, labels: Sequence[Segment]) -> Iterator[_Line]:
    """Yields the labelled values of a tree whose own label is `labels`."""
    if isinstance(tree, Leaf):
        if labels and tree.kind != LITERAL and tree.segment.text:
            yield _Line(labels, tree)
        return
    if isinstance(tree, ArrayTree):
        yield from _cells(tree.items[0], tree.items[1:]) if tree.items else ()
        for item in tree.items:
            yield from _lines(item, labels)
        return
    by_key = {_word(key.text): value for key, value in tree.members}
    yield from _pair(by_key)
    for columns, rows in _first_two(by_key, _HEADERS, _ROWS):
        if isinstance(rows, ArrayTree):
            yield from _cells(columns, rows.items)
    for key, value in tree.members:
        is_generic = bool(labels) and _word(key.text) in _GENERIC
        yield from _lines(value, (labels[-1], key) if is_generic else (key,))


def _word(key: str) -> str:
    return _CAMEL.sub("_", key).lower().replace("-", "_") if len(key) <= MAX_LABEL else ""


def _pair(by_key: dict[str, Tree]) -> Iterator[_Line]:
    """Yields the line of an object such as `{"name": "DB_PASSWORD", "value": "…"}`."""
    for name, value in _first_two(by_key, _NAMES, _VALUES):
        if isinstance(name, Leaf) and name.kind == STRING and isinstance(value, Leaf):
            yield from _lines(value, (name.segment,))


def _first_two(
    by_key: dict[str, Tree], names: frozenset[str], others: frozenset[str]
) -> Iterator[tuple[Tree, Tree]]:
    """Yields the first member with one of `names` and each with one of `others`, if there are."""
    first = next((value for key, value in by_key.items() if key in names), None)
    if first is not None:
        for key, value in by_key.items():
            if key in others and value is not first:
                yield first, value


def _cells(columns: Tree, rows: Sequence[Tree]) -> Iterator[_Line]:
    """Yields the cells of a table, each with the heading of its column."""
    if not isinstance(columns, ArrayTree) or not _all_strings(columns.items):
        return
    headings = [each.segment for each in columns.items if isinstance(each, Leaf)]
    for row in rows:
        if isinstance(row, ArrayTree):
            for heading, cell in zip(headings, row.items, strict=False):
                if isinstance(cell, Leaf):
                    yield from _lines(cell, (heading,))


def _all_strings(items: Sequence[Tree]) -> bool:
    return bool(items) and all(isinstance(each, Leaf) and each.kind == STRING for each in items)


class _Joiner:
    """Joins the texts of segments."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._texts: list[str] = []
        self._parts: list[JoinedPart] = []
        self._length = 0

    def add(self, text: str) -> None:
        """Adds a text that is in no segment."""
        self._texts.append(text)
        self._length += len(text)

    def add_part(self, segment: Segment, text: str, *, is_label: bool = False) -> None:
        """Adds the text of a segment, in which characters may be replaced one by one."""
        self._parts.append(JoinedPart(self._length, self._length + len(text), segment, is_label))
        self.add(text)

    def segment(self) -> Segment:
        """Returns the joined text."""
        text, data = encoded("".join(self._texts))
        return Segment("", text, data, JoinedParts(self._reading, tuple(self._parts)))


def _labelled(lines: Iterable[_Line]) -> Segment:
    joiner = _Joiner(Reading.LABELLED)
    for labels, (value, kind) in lines:
        if len(value.text) > MAX_VALUE or _DOCUMENT.match(value.text) is not None:
            continue
        for index, label in enumerate(labels):
            text = label.text.strip()
            if not 0 < len(text) <= MAX_LABEL or _LABEL.fullmatch(text) is None:
                continue
            if index:
                joiner.add("_")
            joiner.add_part(label, _CAMEL.sub("_", text), is_label=True)
        if kind == NUMBER:
            joiner.add(": ")
            joiner.add_part(value, value.text)
        else:
            # A quote in a value would look like the end of the value.
            joiner.add(': "')
            joiner.add_part(value, value.text.translate(_QUOTES))
            joiner.add('"')
        joiner.add(LINE_END)
    return joiner.segment()


def _commands(tree: Tree) -> Iterator[Segment]:
    if isinstance(tree, Leaf):
        return
    if isinstance(tree, ArrayTree):
        yield from _word_runs(tree.items)
        if _begins_key(tree.items):
            yield _joined(Reading.LINES, tree.items, "\n")
    else:
        by_key = {_word(key.text): value for key, value in tree.members}
        for command, arguments in _first_two(by_key, _COMMANDS, _ARGUMENTS):
            yield from _word_runs([*_words(command), *_words(arguments)])
        if any(key.text.startswith("$") or "[$" in key.text for key, _ in tree.members):
            yield _json_text(tree)
        for _, value in tree.members:
            if isinstance(value, ObjectTree) and any(
                key.text.startswith("$") for key, _ in value.members
            ):
                yield _json_text(tree)
                break
    for child in children(tree):
        yield from _commands(child)


def _words(tree: Tree) -> Sequence[Tree]:
    return tree.items if isinstance(tree, ArrayTree) else (tree,)


def _word_runs(items: Sequence[Tree]) -> Iterator[Segment]:
    """Yields each run of two and more words, joined by spaces."""
    run: list[Tree] = []
    for item in (*items, None):
        if isinstance(item, Leaf) and item.kind == STRING and len(item.segment.text) <= MAX_WORD:
            run.append(item)
            continue
        if len(run) > 1:
            yield _joined(Reading.COMMAND, run, " ")
        run = []


def _begins_key(items: Sequence[Tree]) -> bool:
    return any(
        isinstance(each, Leaf) and any(mark in each.segment.text for mark in _KEY_MARKS)
        for each in items
    )


def _joined(reading: Reading, items: Iterable[Tree], separator: str) -> Segment:
    joiner = _Joiner(reading)
    strings = (each.segment for each in items if isinstance(each, Leaf) and each.kind == STRING)
    for index, string in enumerate(strings):
        joiner.add(separator if index else "")
        joiner.add_part(string, string.text)
    return joiner.segment()


def _json_text(tree: Tree) -> Segment:
    joiner = _Joiner(Reading.COMMAND)
    _add_json(joiner, tree)
    return joiner.segment()


def _add_json(joiner: _Joiner, tree: Tree) -> None:
    if isinstance(tree, Leaf):
        quote = '"' if tree.kind == STRING else ""
        joiner.add(quote)
        joiner.add_part(tree.segment, tree.segment.text.translate(_QUOTES))
        joiner.add(quote)
    elif isinstance(tree, ArrayTree):
        joiner.add("[")
        for index, item in enumerate(tree.items):
            joiner.add(", " if index else "")
            _add_json(joiner, item)
        joiner.add("]")
    else:
        joiner.add("{")
        for index, (key, value) in enumerate(tree.members):
            joiner.add(', "' if index else '"')
            joiner.add_part(key, key.text)
            joiner.add('": ')
            _add_json(joiner, value)
        joiner.add("}")
