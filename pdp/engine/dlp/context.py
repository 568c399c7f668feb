"""The words around a value, which confirm it or speak against it."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from pdp.engine.text.locations import LINE_END

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdp.domain.detector import ContextWords
    from pdp.engine.text.locations import Segment

CONTEXT_BEFORE: Final = 64
"""Characters before a value that are searched for context words."""

CONTEXT_AFTER: Final = 32
"""Characters after a value that are searched for context words."""

_WORD: Final = re.compile(r"[^\W_]+")

_INSIDE_NAME: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""A place between two words of a name such as dateOfBirth or SSNNumber."""

_BREAK: Final = ""
"""A word that keeps the words before and after it from making a phrase."""


FEW_VALUES: Final = 64
"""For up to so many values, looking around each is faster than searching the whole text."""


class ContextSearch:
    """Searches texts for the context words of one detector."""

    __slots__ = ("_last", "_look_ups", "_places", "_words")

    def __init__(self, words: ContextWords) -> None:
        self._words = words
        self._look_ups = 0
        self._places: dict[int, list[int]] = {}
        self._last: tuple[Segment, int, int, list[str]] | None = None

    def around(self, segment: Segment, start: int, end: int) -> list[str]:
        """Returns the words near a value: see `words_around`.

        Several patterns often find the same value, one after the other, so the last is kept.
        """
        last = self._last
        if last is not None and last[0] is segment and last[1] == start and last[2] == end:
            return last[3]
        words = words_around(segment.text, start, end)
        self._last = (segment, start, end, words)
        return words

    def occurs_in(self, segment: Segment) -> bool:
        """Whether a text can have a context word at all."""
        return bool(self._places_in(segment))

    def is_near(self, segment: Segment, start: int, end: int) -> bool:
        """Whether a context word is near a value."""
        self._look_ups += 1
        if self._look_ups <= FEW_VALUES:
            return self._words.any_in(self.around(segment, start, end))
        # Most values in a table of numbers have no word near, so this look-up is enough.
        places = self._places_in(segment)
        index = bisect_left(places, start - CONTEXT_BEFORE)
        if index == len(places) or places[index] >= end + CONTEXT_AFTER:
            return False
        return self._words.any_in(self.around(segment, start, end))

    def _places_in(self, segment: Segment) -> list[int]:
        places = self._places.get(id(segment))
        if places is None:
            each_place = _find_each(self._words.beginnings, segment.text)
            places = self._places[id(segment)] = sorted(each_place)
        return places


def _find_each(beginnings: Iterable[str], text: str) -> Iterator[int]:
    """Yields each place of one of `beginnings`, in any case, also inside a word."""
    lower = text.lower()
    if len(lower) != len(text):  # the lower case of a few letters has two characters
        lower = "".join(map(_lower, text))
    for beginning in beginnings:
        place = lower.find(beginning)
        while place >= 0:
            yield place
            place = lower.find(beginning, place + len(beginning))


def _lower(character: str) -> str:
    lower = character.lower()
    return lower if len(lower) == 1 else character


def words_around(text: str, start: int, end: int) -> list[str]:
    """Returns the words near a value in lower case; those in names such as dateOfBirth twice."""
    # Of a joined text, only the words of the same line are context.
    before = text[max(0, start - CONTEXT_BEFORE) : start].rpartition(LINE_END)[2]
    after = text[end : end + CONTEXT_AFTER].partition(LINE_END)[0]
    lower_before, lower_after = before.lower(), after.lower()
    words = _WORD.findall(f"{lower_before}{LINE_END}{lower_after}")
    # A name of several words has a capital. Most texts have none near a value.
    if (lower_before == before or not _INSIDE_NAME.search(before)) and (
        lower_after == after or not _INSIDE_NAME.search(after)
    ):
        return words
    parts = _WORD.findall(_INSIDE_NAME.sub(" ", before).lower())
    parts += _WORD.findall(_INSIDE_NAME.sub(" ", after).lower())
    return [*words, _BREAK, *parts]


def label_of(text: str, start: int) -> list[str]:
    """Returns the word directly before a value: it counts more than the words before it."""
    return _WORD.findall(text[max(0, start - CONTEXT_BEFORE) : start].lower())[-1:]


def is_fraction(text: str, start: int) -> bool:
    """Whether a number follows a decimal point: fractions can be as long as card numbers."""
    return text[start - 1 : start] == "." and text[max(0, start - 2) : start - 1].isdigit()
