"""What the structure of a JSON value says, without its text: labels, command lines, blocks.

A reader sees more in a structure than any single string of it holds:

* lines: a key is a label of its value, as in prose. Rows under headers and pairs of a name and a
  value have labels too.
* commands: the strings of an array are the words of a command line, as in `["rm", "-rf", "/"]`, and
  so are a command and its arguments. An object with operators such as `$ne` is JSON text.
* blocks: the strings of an array that begins a private key are its lines.

An outline numbers the keys, strings, numbers and literals of a value in the order of its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pdp.engine.text.json_text import NumberText, Pairs, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LABEL: Final = 128
"""The most characters of a label."""

MAX_WORD: Final = 256
"""Longer strings are no words of a command line."""

_LABEL: Final = re.compile(r"[^\x00-\x1f\"'`\\]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

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
_SECOND: Final = _VALUES | _ROWS | _ARGUMENTS
"""Keys of which one must be in an object that is a pair, a table or a command."""

_BLOCK_MARKS: Final = ("-----BEGIN", "---- BEGIN", "PuTTY-User-Key-File")


class Outline:
    """The outline of a JSON value.

    Attributes:
        texts: the keys, strings, numbers and literals, in the order of the text.
        values: the indexes in `texts` of the strings and numbers that are not empty.
        keys: the indexes of the keys.
        lines: the indexes of the labels (one or two), and that of the value; -1 for no value.
        commands: for each command line, the indexes of its words, and texts that are in no string.
        blocks: for each block, the indexes of its lines.
    """

    __slots__ = ("_in_json_text", "blocks", "commands", "keys", "lines", "texts", "values")

    def __init__(self, value: Any) -> None:
        """Args:
        value: a JSON value: of arguments, or of `read_value`.
        """
        self.texts: list[str] = []
        self.values: list[int] = []
        self.keys: list[int] = []
        self.lines: list[tuple[tuple[int, ...], int]] = []
        self.commands: list[list[int | str]] = []
        self.blocks: list[list[int]] = []
        self._in_json_text = False
        self._add(value, ())

    def _add(self, value: Any, labels: tuple[int, ...]) -> _Node:
        """Adds a value with these labels; returns its node."""
        if isinstance(value, str):
            return self._add_value(value, labels)
        if isinstance(value, Mapping):
            return self._add_object([*value.items()], labels)
        if isinstance(value, Pairs):
            return self._add_object(value, labels)
        if isinstance(value, (list, tuple)):
            return self._add_array(value, labels)
        if value is None or isinstance(value, bool):
            self.texts.append(json.dumps(value))
            return None
        return self._add_value(NumberText(number_text(value)), labels)

    def _add_value(self, text: str, labels: tuple[int, ...]) -> int:
        index = len(self.texts)
        self.texts.append(text)
        if text:
            self.values.append(index)
            if labels:
                self.lines.append((labels, index))
        return index

    def _add_object(
        self, members: Sequence[tuple[str, Any]], labels: tuple[int, ...]
    ) -> dict[str, _Node]:
        is_outermost = (
            "$" in "".join([key for key, _ in members])
            and not self._in_json_text
            and any(key.startswith("$") or "[$" in key for key, _ in members)
        )
        if is_outermost:
            self._in_json_text = True
            self._add_json_text(members, labels)
        nodes: dict[str, _Node] = {}
        for key, value in members:
            index = len(self.texts)
            self.texts.append(key)
            self.keys.append(index)
            word = normal_key(key)
            own = (labels[-1], index) if labels and word in _GENERIC else (index,)
            node = nodes[word] = self._add(value, own)
            if not isinstance(node, int) or not value:
                self.lines.append(((index,), -1))
        if not _SECOND.isdisjoint(nodes):
            self._add_pairs(nodes)
            for columns, rows in _first_two(nodes, _HEADERS, _ROWS):
                if isinstance(columns, list) and isinstance(rows, list):
                    self._add_cells(columns, rows)
            for command, arguments in _first_two(nodes, _COMMANDS, _ARGUMENTS):
                self._add_words([*_words(command), *_words(arguments)])
        if is_outermost:
            self._in_json_text = False
        return nodes

    def _add_json_text(self, members: Sequence[tuple[str, Any]], labels: tuple[int, ...]) -> None:
        """Adds the JSON text of an object with operators, whose first key is the next scalar."""
        pieces: list[int | str] = ['"', labels[-1], '": '] if labels else []
        _add_pieces(Pairs(members), pieces, len(self.texts))
        self.commands.append(pieces)

    def _add_array(self, items: Sequence[Any], labels: tuple[int, ...]) -> list[_Node]:
        nodes = [self._add(item, labels) for item in items]
        self._add_words(nodes)
        first = nodes[0] if nodes else None
        if isinstance(first, list):
            self._add_cells(first, nodes[1:])
        if any(self._begins_block(each) for each in nodes):
            self.blocks.append([each for each in nodes if isinstance(each, int)])
        return nodes

    def _begins_block(self, node: _Node) -> bool:
        return isinstance(node, int) and any(mark in self.texts[node] for mark in _BLOCK_MARKS)

    def _is_string(self, node: _Node) -> bool:
        return isinstance(node, int) and not isinstance(self.texts[node], NumberText)

    def _add_words(self, nodes: Sequence[_Node]) -> None:
        """Adds each run of two and more words, of which at least one is a string."""
        run: list[int] = []
        for node in nodes:
            if isinstance(node, int) and len(self.texts[node]) <= MAX_WORD:
                run.append(node)
            else:
                self._add_run(run)
                run = []
        self._add_run(run)

    def _add_run(self, run: Sequence[int]) -> None:
        if len(run) > 1 and any(map(self._is_string, run)):
            words: list[int | str] = [run[0]]
            for each in run[1:]:
                words += (" ", each)
            self.commands.append(words)

    def _add_pairs(self, nodes: dict[str, _Node]) -> None:
        """Adds the line of an object such as `{"name": "DB_PASSWORD", "value": "…"}`."""
        for name, value in _first_two(nodes, _NAMES, _VALUES):
            if isinstance(name, int) and isinstance(value, int) and self._is_string(name):
                self._add_line(name, value)

    def _add_cells(self, columns: Sequence[_Node], rows: Sequence[_Node]) -> None:
        """Adds the cells of a table, each with the heading of its column."""
        if not columns or not all(map(self._is_string, columns)):
            return
        for row in rows:
            if isinstance(row, list):
                for heading, cell in zip(columns, row, strict=False):
                    if isinstance(heading, int) and isinstance(cell, int):
                        self._add_line(heading, cell)

    def _add_line(self, label: int, value: int) -> None:
        if self.texts[label] and self.texts[value]:
            self.lines.append(((label,), value))


_Node = int | list[Any] | dict[str, Any] | None
"""The index of a string or a number, the nodes of an array or an object; None for a literal."""


def _add_pieces(value: Any, pieces: list[int | str], index: int) -> int:
    """Adds the pieces of a value's JSON text.

    Args:
        value: the value.
        pieces: the indexes of scalars, and the punctuation between them.
        index: the index of the first scalar in the value.

    Returns:
        the index of the first scalar after the value.
    """
    if isinstance(value, Mapping):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        pieces.append("{")
        for number, (_, item) in enumerate(value):
            pieces += (', "' if number else '"', index, '": ')
            index = _add_pieces(item, pieces, index + 1)
        pieces.append("}")
    elif isinstance(value, (list, tuple)):
        pieces.append("[")
        for number, item in enumerate(value):
            pieces.append(", " if number else "")
            index = _add_pieces(item, pieces, index)
        pieces.append("]")
    else:
        quote = '"' if isinstance(value, str) and not isinstance(value, NumberText) else ""
        pieces += (quote, index, quote)
        index += 1
    return index


@lru_cache(maxsize=4096)
def normal_key(key: str) -> str:
    """Returns a key in snake_case and lower case; empty if it is no label."""
    return label_text(key).lower().replace("-", "_")


@lru_cache(maxsize=4096)
def label_text(key: str) -> str:
    """Returns a key with its words apart, `date_Of_Birth` for `dateOfBirth`; empty if no label."""
    text = key.strip()
    return _CAMEL.sub("_", text) if len(text) <= MAX_LABEL and _LABEL.fullmatch(text) else ""


def _first_two(
    nodes: dict[str, _Node], names: frozenset[str], others: frozenset[str]
) -> Iterator[tuple[_Node, _Node]]:
    """Yields the first member with one of `names` and each with one of `others`, if there are."""
    first = next((key for key in nodes if key in names), None)
    if first is not None:
        for key, node in nodes.items():
            if key in others and key != first:
                yield nodes[first], node


def _words(node: _Node) -> Sequence[_Node]:
    return node if isinstance(node, list) else (node,)
