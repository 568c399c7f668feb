"""JSON objects in a row: splits a stream into frames, however it is cut into chunks.

The objects are the items of one array, or stand one after the other, for instance one a line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pdp.payloads.payload import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_IN_STRING: Final = re.compile(r'["\\]')
_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_SPACE: Final = re.compile(r"[ \t\r\n\ufeff]+")
_TRUNCATED: Final = "is cut off: the last event has no end"


class JsonFrame:
    """An object, with what stands between it and the object before; a `Frame`."""

    notes: Sequence[str] = ()
    is_keep_alive = False

    def __init__(self, before: str, data: str | None) -> None:
        """Takes the separator before the object, and its text; None for a separator alone."""
        self._before = before
        self.data = data

    @property
    def raw(self) -> str:
        """See `Frame.raw`."""
        return self._before + (self.data or "")

    def write(self, data: str | None, notes: Sequence[str]) -> str:
        """See `Frame.write`."""
        if notes or (data is None) != (self.data is None):
            raise ValueError("the frame has no place for this text")
        return self._before + (data or "")


class JsonSplitter:
    """Splits a stream into frames. Each character is looked at once."""

    def __init__(self) -> None:
        self.pending = 0
        self._before: list[str] = []
        self._item: list[str] = []
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self._in_array = False
        self._has_ended = False
        self._has_items = False
        self._needs_comma = False
        self._needs_item = False

    def feed(self, text: str, *, last: bool) -> Iterator[JsonFrame]:
        """Yields the frames that a chunk completes.

        Args:
            text: the next chunk.
            last: whether the stream ends with it.

        Raises:
            PayloadError: it has anything else than objects, or ends inside one.
        """
        position = 0
        while position < len(text):
            if self._depth:
                start = position
                position = self._inside(text, position)
                self._item.append(text[start:position])
                self.pending += position - start
                if not self._depth:
                    yield self._frame()
            else:
                position = self._between(text, position)
        if self._before and not self._depth:
            # A client that reads line by line waits for the end of the line.
            before, self._before = "".join(self._before), []
            yield JsonFrame(before, None)
        if last and (self._depth or (self._in_array and not self._has_ended)):
            raise PayloadError(_TRUNCATED)

    def _between(self, text: str, position: int) -> int:
        space = _SPACE.match(text, position)
        if space:
            self._before.append(space[0])
            return space.end()
        character = text[position]
        if character == "{" and not self._has_ended and not self._needs_comma:
            self._depth, self._has_items, self._needs_item = 1, True, False
            self._item.append(character)
            return position + 1
        if character == "[" and not self._in_array and not self._has_items:
            self._in_array = True
        elif character == "," and self._needs_comma:
            self._needs_comma, self._needs_item = False, True
        elif character == "]" and self._in_array and not self._has_ended and not self._needs_item:
            self._has_ended, self._needs_comma = True, False
        else:
            raise PayloadError("is no stream of JSON objects")
        self._before.append(character)
        return position + 1

    def _inside(self, text: str, position: int) -> int:
        """Returns the end of the object, or of the text if the object goes on."""
        if self._is_escaped:
            self._is_escaped = False
            position += 1
        while self._depth:
            pattern = _IN_STRING if self._in_string else _OUTSIDE
            mark = pattern.search(text, position)
            if mark is None:
                return len(text)
            position = mark.end()
            character = mark[0]
            if character == '"':
                self._in_string = not self._in_string
            elif character == "\\":
                if position == len(text):
                    self._is_escaped = True
                    return position
                position += 1
            else:
                self._depth += 1 if character in "{[" else -1
        return position

    def _frame(self) -> JsonFrame:
        frame = JsonFrame("".join(self._before), "".join(self._item))
        self._before, self._item = [], []
        self._needs_comma = self._in_array
        self.pending = 0
        return frame
