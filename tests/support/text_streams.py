"""Texts with sensitive values, cut into chunks in any way, and the output of a stream for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from pdp.decisions.text_stream import TextStream
from pdp.domain.decision import ObligationType
from pdp.domain.request import Request
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pdp.decisions.text_stream import Release
    from pdp.domain.decision import Decision, Span
    from pdp.engine.snapshot import Snapshot

FILLERS = (
    "The quick brown fox jumps over the lazy dog. ",
    "\n\n- an item, and another: 12, 345 and 6.789\n",
    "日本語の文章がここに続きます。",
    "Emoji 👩‍👩‍👧 and e\u0301 combining. ",
    "a" * 300 + " ",
    "x = {'k': [1, 2, 3]} ",
)
VALUES = (
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "5500000000000004",
    "４１１１　１１１１　１１１１　１１１１",  # noqa: RUF001 - full-width digits
    "4111\u200b1111\u200b1111\u200b1111",
    "someone.with.a.long.name@mail.example.org",
    "123-45-6789",
    "eyJ" + "hbGciOiJIUzI1NiJ9." * 40 + "sig",
)
NEARLY = (
    "4111 1111 1111 1112",
    "123-45-67890",
    "forbidden phrasebook",
    "unforbidden phrase",
    "eyJhb",
    "@mail.example.org",
)

pieces = st.sampled_from((*FILLERS, *VALUES, *NEARLY, " ", ", ", "; "))
texts = st.lists(pieces, min_size=1, max_size=40).map("".join)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """Cuts a text into chunks: many small ones, or a few of any size."""
    most = draw(st.sampled_from((1, 3, 20, 200, 2000)))
    chunks, start = [], 0
    while start < len(text):
        size = draw(st.integers(0, most)) if most > 3 else most
        chunks.append(text[start : start + size])
        start += size
    return chunks or [""]


@st.composite
def chunked(draw: st.DrawFn, made_of: st.SearchStrategy[str] = texts) -> list[str]:
    """A text in chunks."""
    return draw(cut(draw(made_of)))


class Streamed(NamedTuple):
    """The result of a stream.

    Attributes:
        text: the released text.
        end: the end of the released text, as an offset in the whole text.
        spans: the spans of all answers.
        decision: the last decision.
        evaluations: how often a text was evaluated.
        characters: the number of evaluated characters.
    """

    text: str
    end: int
    spans: tuple[Span, ...]
    decision: Decision
    evaluations: int
    characters: int


def ask(snapshot: Snapshot, text: str) -> Decision:
    """Evaluates a whole text."""
    return evaluate(snapshot, Request(text=text, direction="output"), "id")


def stream(snapshot: Snapshot, chunks: Sequence[str]) -> Streamed:
    """Sends chunks until the stream is closed."""
    lengths: list[int] = []

    def decide(text: str) -> Decision:
        lengths.append(len(text))
        return ask(snapshot, text)

    releases = list(_releases(TextStream(), chunks, decide))
    last = releases[-1]
    assert last.closed
    assert not any(each.closed for each in releases[:-1])
    return Streamed(
        "".join(each.text for each in releases),
        last.end,
        tuple(span for each in releases for span in spans_of(each.decision)),
        last.decision,
        len(lengths),
        sum(lengths),
    )


def _releases(text: TextStream, chunks: Sequence[str], decide: object) -> Iterator[Release]:
    for index, chunk in enumerate(chunks):
        last = index == len(chunks) - 1
        text.add(chunk)
        if not text.is_due(last=last):
            yield text.wait()
            continue
        release = text.advance(decide, last=last)  # type: ignore[arg-type] # it is a function
        yield release
        if release.closed:
            return


def spans_of(decision: Decision) -> list[Span]:
    """Returns the redacted spans of the text, in order."""
    return sorted(_spans(decision))


def _spans(decision: Decision) -> Iterable[Span]:
    for obligation in decision.obligations:
        if obligation.type is ObligationType.REDACT:
            yield from obligation.spans
