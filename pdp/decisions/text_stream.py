"""A text that is judged as it arrives: what of it may go out, and when. Pure, no I/O.

A text in chunks is held back until no value can be under way in it any more:

* `HOLD_BACK` characters at its end, more than any value and the words around it that detectors and
  policies look at;
* the run of characters without a space that reaches into these, for keys and tokens of any length
  up to `MAX_RUN`;
* a private key that has begun and not ended, up to `MAX_KEY`: its lines are no run;
* a redaction that reaches into these: it may still grow.

Each time a part may go out, the whole text so far is judged, so that a pattern over the whole text
counts as it does in one piece. That happens each `STEP` characters, and in long texts less often,
so that no character is looked at more than `SHARE` times, however small the chunks are.

What is not allowed ends the stream, once that does not hang on where the text happens to end for
now: the word "foo" is there before the "d" of "food" arrives. Until then nothing goes out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.decision import ObligationType
from pdp.engine.text.characters import ASCII_FORMS, COMBINING_MARKS, INVISIBLE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.domain.decision import Decision, Obligation, Span

HOLD_BACK: Final = 256
"""Characters at the end of the text so far that never go out before its end."""

MAX_RUN: Final = 4096
"""Characters of a run without a space that are held back before them, at most."""

MAX_KEY: Final = 16_384
"""Characters of a private key that is held back until it ends, at most."""

MAX_TEXT_BYTES: Final = 1 << 20
"""Of one text as UTF-8, as of the text of one request."""

STEP: Final = 64
"""New characters that a text is judged for, at least."""

SHARE: Final = 128
"""How many times each character of a long text is looked at, at most."""

_BEGIN: Final = "-----BEGIN "
_KEY: Final = re.compile(rf"{_BEGIN}[A-Z0-9 ]{{0,40}}PRIVATE KEY")
_KEY_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")

_SPACE: Final = " "
_RUN: Final = frozenset(map(chr, range(ord(_SPACE) + 1, 0x7F))) | frozenset(
    map(
        chr,
        {code for code in ASCII_FORMS if not chr(code).isspace()}
        | {*INVISIBLE_CHARACTERS, *COMBINING_MARKS},
    )
)
"""What opaque values are made of, and what patterns read as that or do not see."""


class TextTooLong(Exception):
    """A text in chunks is over `MAX_TEXT_BYTES`."""


class Release(NamedTuple):
    """What a chunk comes to.

    Attributes:
        decision: on the text so far, with the spans of what is released alone.
        text: what may go out now.
        end: how far into the whole text that goes.
        closed: nothing more will go out.
    """

    decision: Decision
    text: str
    end: int
    closed: bool


class TextStream:
    """One text, from its first chunk to its end. For one caller at a time."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self._text = ""
        self._new: list[str] = []
        self._length = 0
        self._bytes = 0
        self._released = 0
        self._judged = 0
        self._decision: Decision | None = None
        self.closed = False

    @property
    def length(self) -> int:
        """Characters that have arrived."""
        return self._length

    @property
    def released(self) -> int:
        """Characters that have gone out, or were redacted."""
        return self._released

    @property
    def decision(self) -> Decision | None:
        """The last decision."""
        return self._decision

    @property
    def text(self) -> str:
        """What has arrived so far."""
        if self._new:
            self._text = "".join((self._text, *self._new))
            self._new = []
        return self._text

    def add(self, text: str) -> None:
        """Takes in a chunk.

        Raises:
            TextTooLong: it makes the text longer than `MAX_TEXT_BYTES`; nothing more goes out.
        """
        self._bytes += len(text.encode())
        if self._bytes > MAX_TEXT_BYTES:
            self.close()
            raise TextTooLong
        if text:
            self._new.append(text)
            self._length += len(text)

    def is_due(self, *, last: bool) -> bool:
        """Whether the text is to be judged now.

        Args:
            last: whether it has ended.
        """
        if last or self._decision is None:
            return True
        new = self._length - self._judged
        may_go = self._length - HOLD_BACK - self._released
        return may_go > 0 and new >= max(STEP, self._length // SHARE)

    def wait(self) -> Release:
        """Returns what a chunk comes to after which the text is not judged: the last decision.

        Raises:
            ValueError: nothing was judged yet.
        """
        if self._decision is None:
            raise ValueError("nothing was judged yet")
        return self._keep(self._decision)

    def go_on(self, judge: Callable[[str], Decision], *, last: bool) -> Release:
        """Judges the text so far and returns what of it may go out.

        Args:
            judge: returns the decision on a text.
            last: whether the text has ended.
        """
        text = self.text
        self._judged = len(text)
        decision = judge(text)
        settled = len(text) if last else self._settled(text)
        if not decision.allowed:
            if last:
                return self._stop(decision)
            # What is found in the end alone, where a value may be cut off, is not settled yet.
            before = judge(text[:settled])
            return self._keep(before) if before.allowed else self._stop(decision)
        self._decision = decision
        redactions = list(_redactions(decision))
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
        """Ends the stream; what has not gone out never will."""
        self.closed = True

    def _settled(self, text: str) -> int:
        """Returns up to where values are whole, however the text goes on."""
        end = max(len(text) - HOLD_BACK, self._released)
        least = max(end - MAX_RUN, self._released)
        start = end
        if end < len(text) and text[end] in _RUN:
            while start > least and text[start - 1] in _RUN:
                start -= 1
        return self._before_key(text, end if start == end - MAX_RUN else start)

    def _before_key(self, text: str, end: int) -> int:
        """Returns where the private key begins that is under way at `end`; else `end`."""
        least = max(len(text) - MAX_KEY, self._released)
        if text.find(_BEGIN, least, end) < 0:
            return end
        for begun in _KEY.finditer(text, least, end + HOLD_BACK):
            if begun.start() < end and not _KEY_END.search(text, begun.end()):
                return begun.start()
        return end

    def _keep(self, decision: Decision) -> Release:
        self._decision = decision
        return Release(_narrowed(decision, 0, 0), "", self._released, closed=False)

    def _stop(self, decision: Decision) -> Release:
        self._decision = decision
        self.close()
        return Release(decision, "", self._released, closed=True)


def _redactions(decision: Decision) -> Iterator[tuple[Span, str]]:
    """Yields what is redacted of the text, in order; none overlap."""
    found = [
        (span, obligation.replacement or "")
        for obligation in decision.obligations
        if obligation.type is ObligationType.REDACT
        for span in obligation.spans
        if span.path is None
    ]
    yield from sorted(found, key=lambda each: each[0].start)


def _before_open(redactions: list[tuple[Span, str]], settled: int) -> int:
    """Returns where the redaction begins that lies across `settled`; else `settled`."""
    for span, _ in redactions:
        if span.start < settled < span.end:
            return span.start
    return settled


def _released(text: str, redactions: list[tuple[Span, str]], start: int, end: int) -> str:
    parts: list[str] = []
    for span, replacement in redactions:
        if span.end <= start or span.start >= end:
            continue
        parts += (text[start : max(span.start, start)], replacement)
        start = min(span.end, end)
    parts.append(text[start:end])
    return "".join(parts)


def _narrowed(decision: Decision, start: int, end: int) -> Decision:
    """Returns a decision with the spans within `start` to `end` alone, and without the text."""
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
