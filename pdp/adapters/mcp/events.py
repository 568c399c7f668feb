"""Server-Sent Events: what a server streams over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.adapters.mcp.messages import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FIELD: Final = 1024
"""The longest id of an event, in characters."""

KEEP_ALIVE: Final = b":\n\n"

_MESSAGE_TYPES: Final = ("", "message")
_OVERHEAD: Final = 64 * 1024
"""How much larger than its message an event may be."""


class StreamFault(Exception):
    """A stream of events is not understood, or exceeds a bound; the message says why."""


class ServerEvent(NamedTuple):
    """An event.

    Attributes:
        data: its data; None for a comment.
        id: its id; None if it has none.
        retry: after how many milliseconds a client connects again; empty if it does not say.
    """

    data: str | None
    id: str | None = None
    retry: str = ""

    def encoded(self) -> bytes:
        """Returns the event as it is sent."""
        if self.data is None:
            return KEEP_ALIVE
        lines = [] if self.id is None else [f"id: {self.id}"]
        if self.retry:
            lines.append(f"retry: {self.retry}")
        if self.data:
            lines.append("event: message")
        lines += [f"data: {line}" for line in self.data.split("\n")]
        return ("\n".join(lines) + "\n\n").encode()


class EventParser:
    """Splits a byte stream into events."""

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Args:
        max_bytes: the largest data of an event.
        """
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._begun = False
        self._after_cr = False
        self._clear()

    def _clear(self) -> None:
        self._data: list[str] = []
        self._type = ""
        self._id: str | None = None
        self._retry = ""
        self._size = 0

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """Yields the events that end in `data`. A comment is an event without data.

        Raises:
            StreamFault: the stream is not UTF-8, or an event is too large.
        """
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        if data:
            self._after_cr = data.endswith(b"\r")
        normal = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *complete, rest = normal.split(b"\n")
        for end in complete:
            line = bytes(self._buffer + end)
            self._buffer.clear()
            event = self._line(line)
            if event is not None:
                yield event
        self._buffer += rest
        if len(self._buffer) > self._max_bytes + _OVERHEAD:
            raise StreamFault(f"an event is larger than {self._max_bytes} bytes")

    def _line(self, raw: bytes) -> ServerEvent | None:
        if not self._begun:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            self._begun = True
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise StreamFault("the stream is not UTF-8") from None
        if not line:
            return self._event()
        if line.startswith(":"):
            return ServerEvent(None)
        name, _, value = line.partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > self._max_bytes + 1:
                raise StreamFault(f"an event is larger than {self._max_bytes} bytes")
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            if len(value) > MAX_FIELD:
                raise StreamFault(f"the id of an event is longer than {MAX_FIELD} characters")
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal() and len(value) < MAX_FIELD:
            self._retry = value

    def _event(self) -> ServerEvent | None:
        data, kind, event_id, retry = "\n".join(self._data), self._type, self._id, self._retry
        self._clear()
        if kind not in _MESSAGE_TYPES:  # clients ignore it too
            return None
        if not data and event_id is None and not retry:
            return None
        return ServerEvent(data, event_id, retry)
