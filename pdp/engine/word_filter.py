"""Says of most texts of words only that none of many patterns occurs, with one small automaton.

Most patterns look for values, code or markup, and cannot occur in a text that has only words. The
others require certain words or parts of words: see `pdp.engine.text.required_strings`. One
automaton looks for all of these, and for the few patterns whose words are too frequent to say
anything. It has few states, so that a text of words that are new costs little, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pdp.engine.shards import GROUP_BASE_BYTES, ONLY_CANARY, ScanMemoryExhausted, compile_set
from pdp.engine.text.pattern_syntax import CHARACTERS, WHITE_SPACE, WORD_EDGE
from pdp.engine.text.required_strings import required_strings, without_longer

if TYPE_CHECKING:
    from collections.abc import Iterable

RARE: Final = 3e-4
"""A pattern whose strings are more frequent, in places of an ordinary text, is searched itself."""

_CHARACTERS: Final = CHARACTERS.encode()
_NOTHING: Final = r"[^\x00-\x{10FFFF}]"
"""A pattern that is found nowhere."""

_SYNTAX: Final = {" ": f"[{WHITE_SPACE}]", WORD_EDGE: r"\b"}


def is_words_only(data: bytes) -> bool:
    """Returns whether a text has only words: letters, white space and a few marks."""
    return not data.translate(None, _CHARACTERS)


class WordFilter:
    """Tells whether some of many patterns may occur in a text of words."""

    __slots__ = ("_match",)

    def __init__(self, sources: Iterable[str]) -> None:
        """Args:
        sources: the patterns.

        Raises:
            InvalidPattern: they are too large for one automaton.
        """
        strings: set[str] = set()
        frequent: list[str] = []
        for source in sources:
            required = required_strings(source)
            if required.frequency <= RARE:
                strings |= required.strings
            else:
                frequent.append(source)
        self._match = compile_set([_any_of(strings), *frequent], GROUP_BASE_BYTES)

    def may_match(self, data: bytes) -> bool:
        """Returns whether a pattern may occur in a text of words.

        Raises:
            ScanMemoryExhausted: RE2 ran out of memory.
        """
        indices = self._match(data)
        if not indices:
            raise ScanMemoryExhausted
        return len(indices) != ONLY_CANARY


def _any_of(strings: Iterable[str]) -> str:
    """Returns a pattern for all strings. In order, so that their beginnings share states."""
    choices = "|".join(map(_escaped, sorted(without_longer(strings))))
    return f"(?i)(?:{choices})" if choices else _NOTHING


def _escaped(string: str) -> str:
    return "".join(_SYNTAX.get(each) or re.escape(each) for each in string)
