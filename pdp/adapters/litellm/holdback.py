"""How much of a redacted text a stream must hold back, because a value may not be complete yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.decisions.text_stream import TextStream, TextTooLong
from pdp.domain.decision import Decision, Obligation, ObligationType, Outcome, Risk, Span
from pdp.errors import RequestTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_ALLOWED = Decision("", "", Outcome.ALLOW, "", "", 200, Risk(0, "none"), 0)


def holdback_of(
    text: str, redacted: str, pointer: str, obligations: Iterable[pb.Obligation]
) -> int:
    """Returns how many characters at the end of a redacted text must not be sent yet.

    What stands before them stays as it is, however the text goes on.

    Args:
        text: the text so far.
        redacted: the same text after redaction.
        pointer: the place of the text in its payload.
        obligations: the obligations of the decision on the payload.

    Raises:
        RequestTooLarge: the text is longer than one decision may judge.
    """
    prefix = _settled(text, tuple(_obligations(pointer, obligations)))
    if not redacted.startswith(prefix):
        # The spans do not say what became of the text. What both begin with is certain.
        settled = _settled(text, ())
        prefix = settled[: _common_length(settled, redacted)]
    return len(redacted) - len(prefix)


def _settled(text: str, obligations: Sequence[Obligation]) -> str:
    """Returns the settled part of a text, redacted."""
    decision = _ALLOWED._replace(obligations=tuple(obligations))
    stream = TextStream()
    try:
        stream.add(text)
    except TextTooLong:
        raise RequestTooLarge("a text is longer than one decision may judge") from None
    return stream.advance(lambda _: decision, last=False).text


def _obligations(pointer: str, obligations: Iterable[pb.Obligation]) -> Iterable[Obligation]:
    for each in obligations:
        spans = tuple(Span(span.start, span.end) for span in each.spans if span.path == pointer)
        if each.type == pb.OBLIGATION_TYPE_REDACT and spans:
            yield Obligation(ObligationType.REDACT, each.replacement, spans)


def _common_length(one: str, other: str) -> int:
    length = min(len(one), len(other))
    return next((index for index in range(length) if one[index] != other[index]), length)
