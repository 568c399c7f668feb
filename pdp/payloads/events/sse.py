"""Server-sent events: splits a stream into frames, and writes frames with other data.

The lines of a frame end with LF, CR or CRLF; an empty line ends the frame. All `data` lines of a
frame together are the event. See the HTML standard, section "Server-sent events".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LINE_END: Final = re.compile(r"(\r\n|\n|\r)")
_BREAKS: Final = re.compile(r"[\r\n]+")
_BYTE_ORDER_MARK: Final = "\ufeff"
_PLAIN: Final = {
    "event": re.compile(r" ?[A-Za-z_.-]{0,64}"),
    "id": re.compile(r" ?[A-Za-z0-9_.:@|/+=-]{0,128}"),
    "retry": re.compile(r" ?[0-9]{0,10}"),
    "": re.compile(r"[ \t]*"),
}
"""The values of fields that are not judged; a comment is a line without the name of a field."""


class Line(NamedTuple):
    """A line of a frame.

    Attributes:
        text: the line without its end.
        end: LF, CR or CRLF; empty for the last line of a stream that is cut off.
    """

    text: str
    end: str

    @property
    def name(self) -> str:
        """The name of its field; empty for a comment."""
        return self.text.lstrip(_BYTE_ORDER_MARK).partition(":")[0]

    @property
    def start(self) -> int:
        """Where the value begins."""
        name, colon, _ = self.text.partition(":")
        return len(name) + len(colon)

    @property
    def is_note(self) -> bool:
        """Whether its value is judged as a text beside the event."""
        if not self.text or self.name == "data":
            return False
        plain = _PLAIN.get(self.name)
        return plain is None or not plain.fullmatch(self.text, self.start)

    @property
    def note(self) -> str:
        """Its value; the whole line if it has no colon."""
        return self.text[self.start :] if ":" in self.text else self.text

    def with_note(self, note: str) -> str:
        """Returns the line with another value."""
        if note == self.note:
            return self.text + self.end
        begin = self.text[: self.start] if ":" in self.text else ""
        return begin + _BREAKS.sub(" ", note) + self.end


class SseFrame:
    """A frame of server-sent events; a `Frame`."""

    def __init__(self, lines: Sequence[Line]) -> None:
        """Takes the lines of the frame, with the empty line that ends it."""
        self._lines = lines
        values = [_value(each) for each in lines if each.name == "data"]
        self.data = "\n".join(values) if values else None
        self.is_keep_alive = self.data is None
        self.notes = [each.note for each in lines if each.is_note]

    @property
    def raw(self) -> str:
        """See `Frame.raw`."""
        return "".join(text + end for text, end in self._lines)

    def write(self, data: str | None, notes: Sequence[str]) -> str:
        """See `Frame.write`."""
        values = iter([] if data is None else data.split("\n"))
        new_notes = iter(notes)
        written = [_written(each, values, new_notes) for each in self._lines]
        if next(values, None) is not None or next(new_notes, None) is not None:
            raise ValueError("the frame has fewer lines")
        return "".join(written)


def _value(line: Line) -> str:
    value = line.text[line.start :] if ":" in line.text else ""
    return value.removeprefix(" ")


def _written(line: Line, values: Iterator[str], notes: Iterator[str]) -> str:
    if line.is_note:
        note = next(notes, None)
        if note is None:
            raise ValueError("the frame has more notes")
        return line.with_note(note)
    if line.name != "data":
        return line.text + line.end
    value = next(values, None)
    if value is None or "\r" in value:
        raise ValueError("the frame has more lines of data")
    if value == _value(line):
        return line.text + line.end
    begin = line.text[: line.start]
    space = " " if line.text.startswith(" ", line.start) else ""
    return f"{begin}{space}{value}{line.end}"


class SseSplitter:
    """Splits a stream into frames, however it is cut into chunks."""

    def __init__(self) -> None:
        self.pending = 0
        self._lines: list[Line] = []
        self._line: list[str] = []
        self._return = ""

    def feed(self, text: str, *, last: bool) -> Iterator[SseFrame]:
        """Yields the frames that a chunk completes.

        Args:
            text: the next chunk.
            last: whether the stream ends with it. Then an unfinished frame is yielded as well,
                because some clients read it.
        """
        text = self._return + text
        self._return = ""
        if text.endswith("\r") and not last:  # it may be the first half of CRLF
            text, self._return = text[:-1], "\r"
        pieces = _LINE_END.split(text)
        self.pending += len(text)
        for line, end in zip(pieces[::2], pieces[1::2], strict=False):
            self._line.append(line)
            self._lines.append(Line("".join(self._line), end))
            self._line = []
            if not self._lines[-1].text:
                yield self._frame()
        if pieces[-1]:
            self._line.append(pieces[-1])
        if last:
            if self._line:
                self._lines.append(Line("".join(self._line), ""))
                self._line = []
            if self._lines:
                yield self._frame()

    def _frame(self) -> SseFrame:
        lines, self._lines = self._lines, []
        self.pending -= sum(len(each.text) + len(each.end) for each in lines)
        return SseFrame(lines)
