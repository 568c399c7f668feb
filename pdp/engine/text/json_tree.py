"""JSON values as trees of segments: of a request's arguments, or of JSON that a string holds.

The scan reads every leaf of a tree on its own, and `pdp.engine.text.structure` joins leaves that
belong together. Each leaf knows its place in the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.text.escapes import add_units
from pdp.engine.text.locations import Segment, SourceMap, member_path
from pdp.engine.text.variants import VariantBuilder, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH: Final = 64
"""JSON in a string that is nested deeper is read as a text, not as JSON."""


class Leaf(NamedTuple):
    """A string, a number, or a literal (`true`, `false`, `null`)."""

    segment: Segment
    kind: str


STRING: Final = "string"
NUMBER: Final = "number"
LITERAL: Final = "literal"


class ObjectTree(NamedTuple):
    """An object: its keys and values, in order."""

    members: Sequence[tuple[Segment, Tree]]


class ArrayTree(NamedTuple):
    """An array."""

    items: Sequence[Tree]


Tree = Leaf | ObjectTree | ArrayTree


def tree_of(value: Any, path: str = "") -> Tree:
    """Returns the tree of a JSON value of the arguments.

    Args:
        value: the value; it is nested at most `pdp.domain.request.MAX_DEPTH` deep.
        path: its JSON Pointer.
    """
    if isinstance(value, str):
        return Leaf(Segment(path, *encoded(value)), STRING)
    if isinstance(value, Mapping):
        return ObjectTree(
            [
                (
                    Segment(below := member_path(path, key), *encoded(key), in_key=True),
                    tree_of(item, below),
                )
                for key, item in value.items()
            ]
        )
    if isinstance(value, (list, tuple)):
        return ArrayTree([tree_of(item, f"{path}/{index}") for index, item in enumerate(value)])
    if value is None or isinstance(value, bool):
        return Leaf(Segment(path, *encoded(json.dumps(value))), LITERAL)
    return Leaf(Segment(path, *encoded(number_text(value))), NUMBER)


def number_text(value: float) -> str:
    """Returns a number as JSON text, a whole one without a fraction: `Struct` has only doubles."""
    return json.dumps(value) if value % 1 else str(int(value))


class Token(NamedTuple):
    """A token of JSON text.

    Attributes:
        kind: `STRING`, `NUMBER`, `LITERAL`, or the punctuation itself.
        start: its start in the text; for a string, that of the opening quote.
        end: its end.
        in_key: whether it is the key of a member.
    """

    kind: str
    start: int
    end: int
    in_key: bool = False


# A string may have control characters and unknown escapes: models write both.
_TOKEN: Final = re.compile(
    r'[ \t\n\r]*+(?:("[^"\\]*+(?:\\.[^"\\]*+)*+")'
    r"|(-?(?:0|[1-9]\d*+)(?:\.\d++)?+(?:[eE][+-]?\d++)?+)"
    r"|(true|false|null)"
    r"|([][{}:,]))",
    re.DOTALL,
)
_KINDS: Final = ("", STRING, NUMBER, LITERAL)
_BLANKS: Final = " \t\n\r"
_CLOSING: Final = {"{": "}", "[": "]"}


def may_be_json(text: str) -> bool:
    """Returns whether a text begins like a JSON object or array. Fast."""
    return text[:1] in _CLOSING or (text[:1].isspace() and text.lstrip()[:1] in _CLOSING)


def read_tokens(text: str) -> list[Token] | None:
    """Returns the tokens of JSON text; None if it is not JSON.

    The text may hold several objects or arrays one after the other, as JSON Lines do.
    """
    if not may_be_json(text):
        return None
    tokens: list[Token] = []
    open_: list[str] = []
    expected = _DOCUMENT
    position, length = 0, len(text.rstrip(_BLANKS))
    match = _TOKEN.match
    while position < length:
        token = match(text, position)
        if token is None:
            return None
        group = token.lastindex or 0
        start, position = token.span(group)
        kind = token[group] if group == _PUNCTUATION else _KINDS[group]
        in_key = kind == STRING and expected in _KEYS
        following = _next(kind, expected, open_)
        if following is None or len(open_) > MAX_DEPTH:
            return None
        tokens.append(Token(kind, start, position, in_key))
        expected = following
    return tokens if tokens and not open_ else None


_PUNCTUATION: Final = 4

# What may come next.
_VALUE: Final = frozenset({STRING, NUMBER, LITERAL, "{", "["})
_KEY: Final = frozenset({STRING})
_FIRST_KEY: Final = frozenset({STRING, "}"})
_KEYS: Final = (_KEY, _FIRST_KEY)
_DOCUMENT: Final = frozenset(_CLOSING)
_FIRST_ITEM: Final = _VALUE | {"]"}
_COLON: Final = frozenset({":"})
_AFTER: Final = {"{": frozenset({",", "}"}), "[": frozenset({",", "]"})}


def _next(kind: str, expected: frozenset[str], open_: list[str]) -> frozenset[str] | None:
    """Returns what may come after a token; None if the token may not stand here."""
    if kind not in expected:
        return None
    if kind in _CLOSING:
        open_.append(kind)
        return _FIRST_KEY if kind == "{" else _FIRST_ITEM
    if kind == ",":
        return _KEY if open_[-1] == "{" else _VALUE
    if kind == ":":
        return _VALUE
    if kind == STRING and expected in _KEYS:
        return _COLON
    if kind in {"}", "]"}:
        open_.pop()
    return _AFTER[open_[-1]] if open_ else _DOCUMENT


def tree_in(segment: Segment) -> Tree | None:
    """Returns the tree of the JSON that a segment holds; None if it is not JSON."""
    tokens = read_tokens(segment.text)
    if tokens is None:
        return None
    documents: list[Tree] = []
    # The containers that are open: the list of children, and the key that waits for its value.
    open_: list[tuple[list[Any], list[Segment]]] = []
    for token in tokens:
        kind = token.kind
        if kind in _CLOSING:
            open_.append(([], []))
            continue
        if kind in {":", ","}:
            continue
        if token.in_key:
            open_[-1][1].append(string_in(segment, token)._replace(in_key=True))
            continue
        tree: Tree
        if kind in {"}", "]"}:
            children, _ = open_.pop()
            tree = ObjectTree(children) if kind == "}" else ArrayTree(children)
        elif kind == STRING:
            tree = Leaf(string_in(segment, token), STRING)
        else:
            tree = Leaf(_copied(segment, token.start, token.end), kind)
        if not open_:
            documents.append(tree)
            continue
        children, keys = open_[-1]
        children.append((keys.pop(), tree) if keys else tree)
    return documents[0] if len(documents) == 1 else ArrayTree(documents)


_STRING_ESCAPE: Final = re.compile(r"(?P<units>(?:\\u[0-9A-Fa-f]{4})++)|\\(?P<simple>.)", re.DOTALL)
_SIMPLE: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def string_in(segment: Segment, token: Token) -> Segment:
    """Returns the string that a token of a segment stands for, without its escapes."""
    text, start, end = segment.text, token.start + 1, token.end - 1
    if text.find("\\", start, end) < 0:
        return _copied(segment, start, end)
    variant = VariantBuilder(segment)
    for escape in _STRING_ESCAPE.finditer(text, start, end):
        begin = escape.start()
        variant.add(text[start:begin], start)
        if units := escape["units"]:
            add_units(variant, units, begin)
        else:
            simple = escape["simple"]
            variant.add(_SIMPLE.get(simple, simple), begin, 2)
        start = escape.end()
    variant.add(text[start:end], start)
    return variant.build()


def _copied(segment: Segment, start: int, end: int) -> Segment:
    text, data = encoded(segment.text[start:end])
    source = SourceMap(segment, (0, end - start), (start, end), (0, 0), (0, 0))
    return Segment(segment.path, text, data, source, segment.in_key)


def leaves(tree: Tree) -> Iterator[Leaf]:
    """Yields the leaves of a tree, in order."""
    if isinstance(tree, Leaf):
        yield tree
        return
    for child in children(tree):
        yield from leaves(child)


def children(tree: ObjectTree | ArrayTree) -> Sequence[Tree]:
    """Returns the values of an object or an array."""
    return tree.items if isinstance(tree, ArrayTree) else [value for _, value in tree.members]
