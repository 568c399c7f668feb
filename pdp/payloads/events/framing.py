"""Splits the text of a stream into frames: server-sent events, or JSON objects in a row."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from pdp.payloads.events.json_items import JsonSplitter
from pdp.payloads.events.sse import SseSplitter
from pdp.payloads.payload import MAX_BODY_BYTES, PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.payloads.events.frames import Frame

MAX_EVENTS: Final = 100_000
"""Frames of one stream."""

MAX_FRAME: Final = MAX_BODY_BYTES
"""Characters of a frame that is not complete yet."""

_BLANK: Final = " \t\r\n\ufeff"


class Splitter:
    """Splits one stream into frames. Its first character that is no space says how it is framed."""

    def __init__(self) -> None:
        self._begin = ""
        self._frames = 0
        self._splitter: SseSplitter | JsonSplitter | None = None

    @property
    def pending(self) -> int:
        """How many characters wait for the end of their frame."""
        return len(self._begin) + (self._splitter.pending if self._splitter else 0)

    def feed(self, text: str, *, last: bool) -> Iterator[Frame]:
        """Yields the frames that a chunk completes; together they are the text as it was sent.

        Args:
            text: the next chunk, cut anywhere.
            last: whether the stream ends with it.

        Raises:
            PayloadError: the stream is not understood, ends inside a JSON object, or exceeds a
                bound.
        """
        if self._splitter is None:
            text = self._begin + text
            first = text.lstrip(_BLANK)[:1]
            if not first and not last and len(text) <= MAX_FRAME:
                self._begin = text
                return
            self._begin = ""
            self._splitter = JsonSplitter() if first in ("{", "[") else SseSplitter()
        for frame in self._splitter.feed(text, last=last):
            self._frames += 1
            if self._frames > MAX_EVENTS:
                raise PayloadError(f"has more than {MAX_EVENTS} events")
            yield frame
        if self._splitter.pending > MAX_FRAME:
            raise PayloadError(f"has an event of more than {MAX_FRAME} characters")


class Utf8Chunks:
    """Decodes the bytes of a stream that may be cut inside a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def decode(self, chunk: bytes, *, last: bool) -> str:
        """Returns the characters that a chunk completes.

        Raises:
            PayloadError: the bytes are not UTF-8, or end inside a character.
        """
        try:
            return self._decoder.decode(chunk, last)
        except UnicodeDecodeError:
            raise PayloadError("is not UTF-8") from None
