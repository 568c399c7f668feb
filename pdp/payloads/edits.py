"""Changes values in JSON text: what is not changed stays as it was written, byte by byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.decoder import JSONDecoder, scanstring  # type: ignore[attr-defined] # not in the stubs
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.payloads.pointers import member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_skip: Final = JSONDecoder().raw_decode
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\."
)


class Edit(NamedTuple):
    """A new value at a place of a document.

    Attributes:
        pointer: the JSON Pointer of the value, or of the member whose key changes.
        value: the new value, or the new key.
        in_key: whether the key of the member changes.
    """

    pointer: str
    value: Any
    in_key: bool = False


class TokenSpan(NamedTuple):
    """The span of a value, or of a key, in JSON text."""

    start: int
    end: int


def differences(before: Any, after: Any, pointer: str = "") -> Iterator[Edit]:
    """Yields the edits that make `after` of `before`.

    Args:
        before: a JSON value.
        after: the same value, redacted: other strings, numbers and keys, in the same order.
        pointer: the place of the value.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for (key, value), (new_key, new_value) in zip(before.items(), after.items(), strict=True):
            below = member(pointer, key)
            if key != new_key:
                yield Edit(below, new_key, in_key=True)
            yield from differences(value, new_value, below)
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
        for index, (value, new_value) in enumerate(zip(before, after, strict=True)):
            yield from differences(value, new_value, f"{pointer}/{index}")
    elif before is not after and (type(before) is not type(after) or before != after):
        yield Edit(pointer, after)


def write(text: str, edits: Iterable[Edit]) -> str:
    """Returns JSON text with edits.

    Args:
        text: valid JSON.
        edits: at places that the text has; not two at one place, and none inside another.

    Raises:
        KeyError: the text has no such place.
    """
    wanted = {(each.pointer, each.in_key): each.value for each in edits}
    tokens = locate(text, wanted)
    missing = wanted.keys() - tokens.keys()
    if missing:
        raise KeyError(min(missing)[0])
    parts: list[str] = []
    end = 0
    for place, token in sorted(tokens.items(), key=_start):
        parts += (text[end : token.start], _json(wanted[place]))
        end = token.end
    parts.append(text[end:])
    return "".join(parts)


def _start(item: tuple[tuple[str, bool], TokenSpan]) -> int:
    return item[1].start


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def locate(text: str, places: Iterable[tuple[str, bool]]) -> dict[tuple[str, bool], TokenSpan]:
    """Returns where the values and keys at `places` stand in JSON text.

    Args:
        text: valid JSON.
        places: JSON Pointers, each with whether the key of the member is meant.
    """
    return _Locator(text, places).tokens


class _Locator:
    """Walks to the wanted places; all else is skipped by the decoder of the standard library."""

    def __init__(self, text: str, places: Iterable[tuple[str, bool]]) -> None:
        self.text = text
        self.wanted = set(places)
        self.tokens: dict[tuple[str, bool], TokenSpan] = {}
        self._above: set[str] = set()
        for pointer, _ in self.wanted:
            parts = pointer.split("/")
            self._above.update("/".join(parts[:count]) for count in range(1, len(parts)))
        if self.wanted:
            self._value(self._space(0), "")

    def _space(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        return match.end() if match else position

    def _value(self, start: int, pointer: str) -> int:
        if pointer in self._above:
            opening = self.text[start]
            if opening == "{":
                end = self._members(start + 1, pointer)
            elif opening == "[":
                end = self._items(start + 1, pointer)
            else:
                _, end = _skip(self.text, start)
        else:
            _, end = _skip(self.text, start)
        if (pointer, False) in self.wanted:
            self.tokens[pointer, False] = TokenSpan(start, end)
        return end

    def _members(self, position: int, pointer: str) -> int:
        position = self._space(position)
        while self.text[position] != "}":
            key, after = scanstring(self.text, position + 1)
            below = member(pointer, key)
            if (below, True) in self.wanted:
                self.tokens[below, True] = TokenSpan(position, after)
            position = self._space(self._space(after) + 1)
            position = self._space(self._value(position, below))
            if self.text[position] == ",":
                position = self._space(position + 1)
        return position + 1

    def _items(self, position: int, pointer: str) -> int:
        position, index = self._space(position), 0
        while self.text[position] != "]":
            position = self._space(self._value(position, f"{pointer}/{index}"))
            index += 1
            if self.text[position] == ",":
                position = self._space(position + 1)
        return position + 1


def written_span(text: str, token: TokenSpan, start: int, end: int) -> tuple[int, int]:
    """Returns the span in JSON text of a span in the string that a token writes.

    Args:
        text: the JSON text.
        token: the span of the string, with its quotes.
        start: the first code point of the span in the decoded string.
        end: the code point after the span.
    """
    if "\\" not in text[token.start : token.end]:
        return token.start + 1 + start, token.start + 1 + end
    offsets: list[int] = []
    position, last = token.start + 1, token.end - 1
    while position < last:
        offsets.append(position)
        escape = _ESCAPE.match(text, position) if text[position] == "\\" else None
        position = escape.end() if escape else position + 1
    offsets.append(last)
    return offsets[min(start, len(offsets) - 1)], offsets[min(end, len(offsets) - 1)]
