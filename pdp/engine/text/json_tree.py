"""JSON in a text as a tree with positions: also JSON between words, and JSON that is cut off.

`pdp.engine.text.json_text` reads a text that is JSON as a whole. This module finds where in a text
a value stands. What cannot be read is no error: the containers that are open then go on to the end
of the text, so that a value in them still is a value in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pdp.engine.text.json_text import MAX_DEPTH, STRING, document_tokens, string_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.text.json_text import Token
    from pdp.engine.text.locations import Segment

MAX_TOKENS: Final = 100_000
"""How many tokens of all JSON in one text are read."""

MAX_CUT_TOKENS: Final = 5000
"""How many tokens of JSON that cannot be read to its end are read: parts of it are read again."""

MAX_CHARACTERS: Final = 8 << 20
"""How many characters of JSON are read, with those that are read again in strings."""

_OPENING: Final = re.compile(r"[{\[]")
_CLOSING: Final = {"{": "}", "[": "]"}


Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""


class TooMuchJson(Exception):
    """A text has more JSON than `MAX_TOKENS`, or of one of the other bounds."""


class JsonNode:
    """A value in JSON text.

    Attributes:
        segment: the text.
        token: the token of a string, a number or a literal; None for an object or an array.
        start: the start of the value in the text.
        end: its end.
        items: the members of an object by key, or the items of an array by index.
        is_object: whether it is an object.
        is_closed: whether it could be read to its end.
    """

    __slots__ = ("end", "is_closed", "is_object", "items", "segment", "start", "token")

    def __init__(self, segment: Segment, start: int, token: Token | None = None) -> None:
        self.segment = segment
        self.start = start
        self.end = min(token.end if token else len(segment.text), len(segment.text))
        self.token = token
        self.items: list[tuple[str | int, JsonNode]] = []
        self.is_object = False
        self.is_closed = token is not None

    @property
    def is_string(self) -> bool:
        """Whether it is a string."""
        return self.token is not None and self.token.kind == STRING

    def string(self) -> Segment:
        """Returns the string that it stands for, without escapes. Only for strings."""
        assert self.token is not None  # noqa: S101 - the caller asks `is_string` first
        return string_in(self.segment, self.token)


class TreeReader:
    """Reads the JSON in texts, and counts its tokens."""

    def __init__(self) -> None:
        self._tokens = 0
        self._cut_tokens = 0
        self._characters = 0

    def read(self, segment: Segment) -> Iterator[JsonNode]:
        """Yields each object or array of a text that is in no other one.

        Raises:
            TooMuchJson: there is more JSON than one text may have.
        """
        text, position = segment.text, 0
        while (opening := _OPENING.search(text, position)) is not None:
            start = opening.start()
            tokens = document_tokens(text, start)
            self._tokens += len(tokens) + 1
            self._characters += tokens[-1].end - start if tokens else 0
            if self._tokens > MAX_TOKENS or self._characters > MAX_CHARACTERS:
                raise TooMuchJson
            root = _tree(segment, tokens)
            if root is None or not root.is_closed:
                self._cut_tokens += len(tokens)
                if self._cut_tokens > MAX_CUT_TOKENS and root is not None:
                    raise TooMuchJson
            # JSON that cannot be read to its end may be code, with whole JSON further inside.
            position = start + 1 if root is None or not root.is_closed else root.end
            if root is not None:
                yield root


def _tree(segment: Segment, tokens: list[Token]) -> JsonNode | None:
    """Returns the tree of the tokens of one document; None if they are of no use."""
    root: JsonNode | None = None
    open_: list[JsonNode] = []
    key: str | int = ""
    for token in tokens:
        if token.kind in {":", ","}:
            continue
        if token.kind in _CLOSING.values():
            closed = open_.pop()
            closed.end, closed.is_closed = token.end, True
            continue
        if token.in_key:
            key = string_in(segment, token).text
            continue
        is_container = token.kind in _CLOSING
        node = JsonNode(segment, token.start, None if is_container else token)
        if open_:
            parent = open_[-1]
            parent.items.append((key if parent.is_object else len(parent.items), node))
        if is_container:
            node.is_object = token.kind == "{"
            root = root or node
            open_.append(node)
    return root if root is not None and (root.items or not open_) else None


def strings_below(node: JsonNode, depth: int = MAX_DEPTH) -> Iterator[tuple[Path, JsonNode]]:
    """Yields each string in a value, with the keys and indexes that lead to it."""
    if node.is_string:
        yield (), node
    elif depth:
        for key, item in node.items:
            for path, each in strings_below(item, depth - 1):
                yield (key, *path), each
