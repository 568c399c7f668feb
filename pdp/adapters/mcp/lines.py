"""Messages in lines, as the stdio transport has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.adapters.mcp.messages import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator


class TooLong:
    """Stands for a line that exceeds the largest message."""


TOO_LONG: Final = TooLong()


class LineSplitter:
    """Splits a byte stream into lines. It keeps no more of a line than the largest message."""

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Args:
        max_bytes: the longest line that is returned, without its end.
        """
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self._skips = False

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """Yields the lines that end in `data`; `TOO_LONG` for each that is too long.

        Empty lines are left out.
        """
        *complete, rest = data.split(b"\n")
        for end in complete:
            line = self._take(end)
            if line is not None:
                yield line
        if not self._skips:
            self._pending += rest
            if len(self._pending) > self._max_bytes + 1:  # a line may end in CR
                self._pending.clear()
                self._skips = True
                yield TOO_LONG

    def _take(self, end: bytes) -> bytes | TooLong | None:
        """Returns the line that `end` completes; None if it was reported already, or is empty."""
        if self._skips:
            self._skips = False
            return None
        line = bytes(self._pending + end).removesuffix(b"\r")
        self._pending.clear()
        if len(line) > self._max_bytes:
            return TOO_LONG
        return line if line.strip() else None
