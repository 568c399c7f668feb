"""A text that is decided while it arrives: which part may be released, and when. Pure, no I/O.

The end of a text in chunks is held back, because a value may not be complete yet:

* the last `HOLD_BACK` characters: more than any value and the words around it that detectors and
  policies look at;
* the run of characters without a space that reaches into these: keys and tokens, up to `MAX_RUN`;
* a private key that has begun and not ended, up to `MAX_KEY`: it has line breaks, so it is no run;
* a redaction that reaches into these: it may still grow.

Each time a part may be released, the whole text so far is decided, so that a pattern over the whole
text counts as it does in a single request. That happens every `STEP` characters, and less often in
long texts, so that no character is scanned more than `MAX_SCANS` times, however small the chunks
are.

A decision that is not allowed closes the stream only if it does not depend on the place at which
the text ends for now: the word "foo" is complete before the "d" of "food" arrives. Until then
nothing is released.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.decision import ObligationType
from pdp.engine.text.characters import ASCII_FORMS, COMBINING_MARKS, INVISIBLE_CHARACTERS
from pdp.engine.text.splices import Splice, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pdp.domain.decision import Decision, Obligation, Span

HOLD_BACK: Final = 256
"""Characters at the end of the text so far that are never released before the text ends."""

MAX_RUN: Final = 4096
"""The longest run without a space, in characters, that is held back before them."""

MAX_KEY: Final = 16_384
"""The longest private key, in characters, that is held back until it ends."""

MAX_TEXT_BYTES: Final = 1 << 20
"""The longest text, in bytes of UTF-8; the same bound as for the text of one request."""

STEP: Final = 64
"""The fewest new characters that cause a new decision."""

MAX_SCANS: Final = 128
"""How often each character of a long text is scanned at most."""

_KEY_STARTS: Final = ("---BEGIN ", "--- BEGIN ", "PuTTY-User-Key-File-")
_KEY: Final = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|PuTTY-User-Key-File-[23]:")
_KEY_END: Final = re.compile(
    r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
    r"|Private-(?:MAC|Hash): ?[0-9a-f]{40,64}"
)

_SPACE: Final = " "
_RUN: Final = frozenset(map(chr, range(ord(_SPACE) + 1, 0x7F))) | frozenset(
    map(
        chr,
        {code for code in ASCII_FORMS if not chr(code).isspace()}
        | {*INVISIBLE_CHARACTERS, *COMBINING_MARKS},
    )
)
"""The characters of keys and tokens, and those that patterns read as one of them or do not see."""


class TextTooLong(Exception):
    """A text in chunks is longer than `MAX_TEXT_BYTES`."""


class Release(NamedTuple):
    """The result of a chunk.

    Attributes:
        decision: on the text so far; its spans are those of the released part.
        text: the part that is released now, redacted.
        end: how far into the whole text the released parts reach.
        closed: whether nothing more will be released.
    """

    decision: Decision
    text: str
    end: int
    closed: bool


class TextStream:
    """One text, from its first chunk to its end. One caller at a time may use it."""

    def __init__(self) -> None:
        """Begins with an empty text."""
        self._text = ""
        self._chunks: list[str] = []
        self._length = 0
        self._bytes = 0
        self._released = 0
        self._decided_length = 0
        self._decision: Decision | None = None
        self.closed = False

    @property
    def length(self) -> int:
        """How many characters have arrived."""
        return self._length

    @property
    def released(self) -> int:
        """How many characters were released or redacted."""
        return self._released

    @property
    def decision(self) -> Decision | None:
        """The last decision."""
        return self._decision

    @property
    def text(self) -> str:
        """The text so far."""
        if self._chunks:
            self._text = "".join((self._text, *self._chunks))
            self._chunks = []
        return self._text

    def add(self, text: str) -> None:
        """Adds a chunk.

        Raises:
            TextTooLong: the text is longer than `MAX_TEXT_BYTES` now; nothing more is released.
        """
        self._bytes += len(text.encode())
        if self._bytes > MAX_TEXT_BYTES:
            self.close()
            raise TextTooLong
        if text:
            self._chunks.append(text)
            self._length += len(text)

    def is_due(self, *, last: bool) -> bool:
        """Whether a new decision on the text is due.

        Args:
            last: whether the text has ended.
        """
        if last or self._decision is None:
            return True
        new = self._length - self._decided_length
        releasable = self._length - HOLD_BACK - self._released
        return releasable > 0 and new >= max(STEP, self._length // MAX_SCANS)

    def wait(self) -> Release:
        """Returns the result of a chunk that causes no new decision: the last decision.

        Raises:
            ValueError: there is no decision yet.
        """
        if self._decision is None:
            raise ValueError("there is no decision yet")
        return self._hold(self._decision)

    def advance(self, decide: Callable[[str], Decision], *, last: bool) -> Release:
        """Decides the text so far, and returns the part that may be released.

        Args:
            decide: returns the decision on a text.
            last: whether the text has ended.
        """
        text = self.text
        self._decided_length = len(text)
        decision = decide(text)
        settled = len(text) if last else self._settled(text)
        if not decision.allowed:
            if last:
                return self._stop(decision)
            # A value at the end may be cut off, so a finding there is not settled yet.
            settled_decision = decide(text[:settled])
            if settled_decision.allowed:
                return self._hold(settled_decision)
            return self._stop(decision)
        self._decision = decision
        redactions = _redactions(text, decision)
        end = len(text) if last else _before_open(redactions, settled)
        start, end = self._released, max(end, self._released)
        self._released = end
        if last:
            self.close()
        return Release(
            _narrowed(decision, start, end),
            _released(text, redactions, start, end),
            end,
            last,
        )

    def close(self) -> None:
        """Ends the stream; the part that is held back is never released."""
        self.closed = True

    def _settled(self, text: str) -> int:
        """Returns the end of the part whose values are complete, however the text goes on."""
        end = max(len(text) - HOLD_BACK, self._released)
        earliest = max(end - MAX_RUN, self._released)
        start = end
        if end < len(text) and text[end] in _RUN:
            while start > earliest and text[start - 1] in _RUN:
                start -= 1
        return self._before_key(text, end if start == end - MAX_RUN else start)

    def _before_key(self, text: str, end: int) -> int:
        """Returns the begin of a private key that is incomplete at `end`, or `end`."""
        earliest = max(len(text) - MAX_KEY, self._released)
        if all(text.find(start, earliest, end) < 0 for start in _KEY_STARTS):
            return end
        for header in _KEY.finditer(text, earliest, end + HOLD_BACK):
            if header.start() < end and not _KEY_END.search(text, header.end()):
                return header.start()
        return end

    def _hold(self, decision: Decision) -> Release:
        self._decision = decision
        return Release(_narrowed(decision, 0, 0), "", self._released, closed=False)

    def _stop(self, decision: Decision) -> Release:
        self._decision = decision
        self.close()
        return Release(decision, "", self._released, closed=True)


def _redactions(text: str, decision: Decision) -> list[Splice]:
    """Returns the redactions of the text in order, with the replacements that their places need."""
    splices = [
        Splice(span.start, span.end, obligation.replacement or "", index)
        for index, obligation in enumerate(decision.obligations)
        if obligation.type is ObligationType.REDACT
        for span in obligation.spans
        if span.path is None
    ]
    return fit(text, sorted(splices)) if splices else []


def _before_open(redactions: Sequence[Splice], settled: int) -> int:
    """Returns the begin of the redaction that crosses `settled`; `settled` if there is none."""
    for each in redactions:
        if each.start < settled < each.end:
            return each.start
    return settled


def _released(text: str, redactions: Sequence[Splice], start: int, end: int) -> str:
    parts: list[str] = []
    for each in redactions:
        if each.end <= start or each.start >= end:
            continue
        parts += (text[start : max(each.start, start)], each.replacement)
        start = min(each.end, end)
    parts.append(text[start:end])
    return "".join(parts)


def _narrowed(decision: Decision, start: int, end: int) -> Decision:
    """Returns a decision with only the spans from `start` to `end`, and without the text."""
    obligations = (
        each
        if each.type is not ObligationType.REDACT
        else each._replace(spans=tuple(_within(each, start, end)))
        for each in decision.obligations
    )
    return decision._replace(
        obligations=tuple(
            each for each in obligations if each.spans or each.type is not ObligationType.REDACT
        ),
        redacted_text=None,
    )


def _within(obligation: Obligation, start: int, end: int) -> Iterator[Span]:
    for span in obligation.spans:
        if span.path is not None or (span.end > start and span.start < end):
            yield span
