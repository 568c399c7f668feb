"""Splits long texts into overlapping windows, because the input of a model is limited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.detect.ner.recognizer import RecognizedEntity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIZE: Final = 1000
"""Maximum number of characters of a window."""

OVERLAP: Final = 200
"""Characters that a window shares with the next, so that each name is complete in one of them."""


class Window(NamedTuple):
    """A part of a text.

    Attributes:
        text_index: the index of the text.
        offset: the start of the window in the text.
        text: the text of the window.
    """

    text_index: int
    offset: int
    text: str


def split(texts: Iterable[str]) -> list[Window]:
    """Returns the windows of all texts; they end between words if possible."""
    return [
        Window(index, offset, text[offset:end])
        for index, text in enumerate(texts)
        for offset, end in _spans(text)
    ]


def _spans(text: str) -> Iterator[tuple[int, int]]:
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


def merge(
    results: Iterable[tuple[Window, Iterable[RecognizedEntity]]], count: int
) -> list[list[RecognizedEntity]]:
    """Returns the entities of `count` texts, with offsets in the texts and without duplicates."""
    by_text: list[dict[tuple[str, int, int], RecognizedEntity]] = [{} for _ in range(count)]
    for window, entities in results:
        of_text = by_text[window.text_index]
        for each in entities:
            start, end = each.start + window.offset, each.end + window.offset
            duplicate = of_text.get((each.label, start, end))
            if duplicate is None or duplicate.confidence < each.confidence:
                of_text[each.label, start, end] = RecognizedEntity(
                    each.label, start, end, each.confidence
                )
    return [
        sorted(each.values(), key=lambda entity: (entity.start, entity.end)) for each in by_text
    ]
