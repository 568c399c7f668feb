"""The syntax of an RE2 pattern as a tree of what its matches may be in a text of words.

A *text of words* has only letters, white space and a few marks: see `CHARACTERS`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from string import ascii_letters
from typing import Final, NamedTuple

import re2

WHITE_SPACE: Final = " \t\r\n"

CHARACTERS: Final = f"{ascii_letters}{WHITE_SPACE}.,?!'-"
"""The characters of a text of words. Every other one is part of a value, of code or of markup."""

_ONE_SPACE: Final = str.maketrans(dict.fromkeys(WHITE_SPACE, " "))

WORD_EDGE: Final = "\0"
"""Stands among characters for the beginning or the end of a word."""

UNBOUNDED: Final = -1
"""The `most` of a part that may be repeated without end."""


class UnclearPattern(Exception):
    """A pattern has a part that is not read here."""


class SyntaxPart(NamedTuple):
    """One part of a sequence: characters, a place between characters, or a group.

    Attributes:
        strings: for characters, what they may be in a text of words: in lower case, and with a
            space for all white space. `WORD_EDGE` or the empty string for a place.
        branches: for a group, its alternatives.
        least: how many times it occurs at least.
        most: how many times it occurs at most; `UNBOUNDED` for any number.
    """

    strings: frozenset[str] = frozenset()
    branches: tuple[Sequence, ...] = ()
    least: int = 1
    most: int = 1


Sequence = tuple[SyntaxPart, ...]

_ANYWHERE: Final = SyntaxPart(frozenset({""}))
_PLACES: Final = {
    **dict.fromkeys(("^", "$", r"\B", r"\A", r"\z"), _ANYWHERE),
    r"\b": SyntaxPart(frozenset({WORD_EDGE})),
}

_ESCAPE: Final = r"\\x\{[0-9a-fA-F]+\}|\\x[0-9a-fA-F]{2}|\\[pP](?:\{\^?\w+\}|\w)|\\[^QEC0-9]"
_TOKEN: Final = re.compile(
    r"(?P<open>\((?:\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?:))?(?!\?))"
    r"|(?P<close>\))"
    r"|(?P<bar>\|)"
    r"|(?P<repetition>(?:[*+?]|\{\d+(?:,\d*)?\})\??)"
    rf"|(?P<part>{_ESCAPE}|\[\^?\]?(?:\[:\^?\w+:\]|{_ESCAPE}|[^\]\\])*\]"
    r"|[^\\\[\](){}|.*+?^$]+(?![*+?{])|[^\\\[()|])",
    re.DOTALL,
)
_FLAGS: Final = re.compile(r"\(\?[imsU]+\)")
_COUNTS: Final = {"*": (0, UNBOUNDED), "+": (1, UNBOUNDED), "?": (0, 1)}


def parse(source: str) -> tuple[Sequence, ...]:
    """Returns the alternatives of a pattern.

    Args:
        source: a pattern that RE2 compiles.

    Raises:
        UnclearPattern: it has a part that is not read here.
    """
    flags = _FLAGS.match(source)
    position = flags.end() if flags else 0
    sequence: list[SyntaxPart] = []
    branches: list[Sequence] = []
    outer: list[tuple[list[Sequence], list[SyntaxPart]]] = []
    for token in _TOKEN.finditer(source, position):
        if token.start() != position:
            raise UnclearPattern(source[position:])
        position, text = token.end(), token.group()
        match token.lastgroup:
            case "part":
                sequence.append(_part(text))
            case "repetition":
                sequence.append(_repeated(sequence.pop(), text))
            case "open":
                outer.append((branches, sequence))
                branches, sequence = [], []
            case "bar":
                branches.append(tuple(sequence))
                sequence = []
            case _:
                group = SyntaxPart(branches=(*branches, tuple(sequence)))
                branches, sequence = outer.pop()
                sequence.append(group)
    if position != len(source):
        raise UnclearPattern(source[position:])
    return (*branches, tuple(sequence))


def _repeated(part: SyntaxPart, repetition: str) -> SyntaxPart:
    if (part.least, part.most) != (1, 1):
        raise UnclearPattern(repetition)
    if repetition[0] in _COUNTS:
        least, most = _COUNTS[repetition[0]]
    else:
        first, comma, last = repetition.rstrip("?")[1:-1].partition(",")
        least = int(first)
        most = int(last) if last else UNBOUNDED if comma else least
    return part._replace(least=least, most=most)


@lru_cache(1024)
def _part(text: str) -> SyntaxPart:
    """Returns the part of an escape, of a class, or of literal characters."""
    if text in _PLACES:
        return _PLACES[text]
    if text[0] not in r"\[.":
        is_possible = all(each in CHARACTERS for each in text)
        return SyntaxPart(frozenset((_normal(text),) if is_possible else ()))
    # With and without regard to case: a class that excludes `a` admits `A` in one of them.
    runs = re2.compile(f"(?s)(?:{text}|(?i:{text}))+").findall(CHARACTERS)
    return SyntaxPart(frozenset(_normal("".join(runs))))


def _normal(characters: str) -> str:
    return characters.lower().translate(_ONE_SPACE)
