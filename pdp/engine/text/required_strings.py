"""The strings of which a text of words has at least one if a pattern is found in it.

They tell with one small automaton that none of many patterns is found.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.engine.text.pattern_syntax import WORD_EDGE, UnclearPattern, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdp.engine.text.pattern_syntax import Sequence, SyntaxPart

MAX_STRINGS: Final = 96
"""So many strings for one place of a pattern; more would say little of a text."""

MAX_LENGTH: Final = 8
"""Of a longer string its beginning is enough."""

_Strings = frozenset[str]
_EMPTY: Final[_Strings] = frozenset({""})


class Required(NamedTuple):
    """Strings of which a text of words has at least one if a pattern is found in it.

    Attributes:
        strings: the strings, in lower case, with `WORD_EDGE` for the ends of words. No strings if
            the pattern is found in no text of words. An empty string is in every text.
        frequency: how often one of them is expected at a place of an ordinary text, from 0 to 1.
    """

    strings: _Strings
    frequency: float


NO_REQUIREMENT: Final = Required(_EMPTY, 1.0)
"""The pattern may be found in any text."""


@lru_cache(1024)
def required_strings(source: str) -> Required:
    """Returns the strings, of those that a pattern requires, which are least frequent.

    Args:
        source: a pattern that RE2 compiles.
    """
    try:
        return _of_branches(parse(source))
    except UnclearPattern:
        return NO_REQUIREMENT


def without_longer(strings: Iterable[str]) -> _Strings:
    """Returns the strings without those that have another one in them."""
    shortest: list[str] = []
    for each in sorted(strings, key=len):
        if not any(other in each for other in shortest):
            shortest.append(each)
    return frozenset(shortest)


def _of_branches(branches: tuple[Sequence, ...]) -> Required:
    strings: set[str] = set()
    for branch in branches:
        if is_possible(branch):
            strings |= _of_sequence(branch).strings
    return _required(strings)


def is_possible(sequence: Sequence) -> bool:
    """Returns whether a text of words may have a match of a sequence."""
    return all(
        not part.least or part.strings or any(map(is_possible, part.branches)) for part in sequence
    )


def _of_sequence(sequence: Sequence) -> Required:
    best = NO_REQUIREMENT
    for candidate in _candidates(sequence):
        if candidate.frequency < best.frequency:
            best = candidate
            if best.frequency <= _RARE:
                break
    return best


def _candidates(sequence: Sequence) -> Iterator[Required]:
    """Yields what parts that follow each other require together, then what groups require."""
    all_strings = list(map(_strings_of, sequence))
    for start in range(len(sequence)):
        joined = _EMPTY
        for strings, is_whole in all_strings[start:]:
            longer = None if strings is None else _joined(joined, strings)
            if longer is None:
                break
            is_first, joined = joined is _EMPTY, longer
            # The next part follows the last repetition, and the first one follows the part before.
            if min(map(len, joined)) >= MAX_LENGTH or not (is_whole or is_first):
                break
        if "" not in joined:
            yield _required({each[:MAX_LENGTH] for each in joined})
    for part in sequence:
        if part.branches and part.least:
            yield _of_branches(part.branches)


def _strings_of(part: SyntaxPart) -> tuple[_Strings | None, bool]:
    """Returns what a part may be, and whether it is that as a whole.

    The strings are None if they are too many. Of a part that is not whole they are what one
    repetition is.
    """
    once = _of_group(part.branches) if part.branches else part.strings
    if once is None:
        return None, False
    if not part.least:
        return (once | _EMPTY, True) if part.most == 1 else (None, False)
    if part.least == part.most:
        strings: _Strings | None = once
        for _ in range(part.least - 1):
            strings = None if strings is None else _joined(strings, once)
        if strings is not None:
            return strings, True
    return once, False


def _of_group(branches: tuple[Sequence, ...]) -> _Strings | None:
    """Returns all that a group may be; None if that is too much."""
    strings: _Strings = frozenset()
    for branch in filter(is_possible, branches):
        joined = _EMPTY
        for part in branch:
            own, is_whole = _strings_of(part)
            longer = _joined(joined, own) if own is not None and is_whole else None
            if longer is None:
                return None
            joined = longer
        strings |= joined
        if len(strings) > MAX_STRINGS:
            return None
    return strings


def _joined(first: _Strings, second: _Strings) -> _Strings | None:
    if len(first) * len(second) > MAX_STRINGS:
        return None
    return frozenset([one + other for one in first for other in second])


def _required(strings: Iterable[str]) -> Required:
    all_strings = frozenset(strings)
    return Required(all_strings, min(1.0, sum(map(_frequency, all_strings))))


_FREQUENT_WORDS: Final = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "or had an they which one you were all her she there would their we him been has when who will "
    "no more if out so up said what its about than into them can only other time new some could "
    "these two may first then do any like my now over such our man me even most made after also "
    "well did many before must years back see through way where get much go good your how because "
    "should own people down work just very make world still between life being under last use used "
    "using same right take come while here day part since against place again off never home found "
    "without number year little long great every another need set line file read write please help "
    "want know think look thing name list show example text value data give tell find call order "
    "change point house state small large high end"
)
"""The most frequent words of English texts, and a few that people often write to models."""

_WORDS: Final = f" {_FREQUENT_WORDS} ".replace(" ", "  ")
_FIRST_WORD: Final = 0.02
"""How often the first word is expected at a place; the second one half as often, and so on."""

_LETTERS: Final = "etaoinshrdlcumwfgypbvkjxqz"
"""From the most frequent one on."""

_FREQUENCIES: Final = {
    **{letter: 0.08 * 0.87**rank for rank, letter in enumerate(_LETTERS)},
    " ": 0.17,
    "\n": 0.01,
    ".": 0.01,
    ",": 0.01,
    WORD_EDGE: 0.35,
}
_OTHER: Final = 5e-4
_NEXT_LETTER: Final = 0.2
_SHORT: Final = 3
_SHORT_WORD: Final = 2e-3
_RARE: Final = 1e-5
"""Strings that are less frequent than this are good enough."""


@lru_cache(1024)
def _frequency(string: str) -> float:
    """Returns how often a string is expected at a place of an ordinary text."""
    frequency, previous = 1.0, ""
    for each in string:
        own = _FREQUENCIES.get(each, _OTHER)
        frequency *= max(own, _NEXT_LETTER) if each.isalpha() and previous.isalpha() else own
        previous = each
    if len(string.strip(WORD_EDGE)) < _SHORT:
        frequency = max(frequency, _SHORT_WORD)
    return min(1.0, max(frequency, _in_words(string.replace(WORD_EDGE, " "))))


def _in_words(string: str) -> float:
    """Returns how often a string is expected at a place as a part of the frequent words."""
    total = 0.0
    position = _WORDS.find(string)
    while position >= 0:
        total += _FIRST_WORD / (_WORDS.count("  ", 0, position + 1) + 1)
        position = _WORDS.find(string, position + 1)
    return total
