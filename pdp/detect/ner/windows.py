"""Long texts in pieces: a model has a longest input, and short pieces batch well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.detect.ner.recognizer import RecognizedEntity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIZE: Final = 1000
"""Characters of a piece, at most."""

OVERLAP: Final = 200
"""Characters that a piece shares with the next: a name at its end is whole in one of them."""


class Window(NamedTuple):
    """A piece of a text.

    Attributes:
        text_index: which text it is of.
        offset: where in that it begins.
        text: the piece.
    """

    text_index: int
    offset: int
    text: str


def windows(texts: Iterable[str]) -> list[Window]:
    """Returns the pieces of all texts, cut between words where there are any."""
    return [
        Window(index, offset, text[offset:end])
        for index, text in enumerate(texts)
        for offset, end in _cuts(text)
    ]


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while True:
        end = min(start + SIZE, len(text))
        if end < len(text):
            gap = text.rfind(" ", start + SIZE // 2, end)
            end = gap if gap > 0 else end
        yield start, end
        if end == len(text):
            return
        gap = text.find(" ", end - OVERLAP, end)
        start = gap + 1 if gap >= 0 else end - OVERLAP


def joined(
    pieces: Iterable[tuple[Window, Iterable[RecognizedEntity]]], count: int
) -> list[list[RecognizedEntity]]:
    """Returns what was found in each of `count` texts, in their own offsets, each value once."""
    found: list[dict[tuple[str, int, int], RecognizedEntity]] = [{} for _ in range(count)]
    for window, values in pieces:
        of_text = found[window.text_index]
        for each in values:
            start, end = each.start + window.offset, each.end + window.offset
            known = of_text.get((each.label, start, end))
            if known is None or known.confidence < each.confidence:
                of_text[each.label, start, end] = RecognizedEntity(
                    each.label, start, end, each.confidence
                )
    return [sorted(each.values(), key=lambda value: (value.start, value.end)) for each in found]
