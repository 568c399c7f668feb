"""Compares names of fields by their words: `credit_card`, `credit-card` and `creditCard` are one.

Case does not count. `user.ssn` is also `ssn`, because its last part is. `e_mail` is not `email`,
and `ssn_hash` is not `ssn`, because their words differ.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME: Final = 1024
"""Characters of a name that are compared, the last ones. A policy's names have at most 256."""

MAX_NAMES: Final = 4096
"""Names of requests whose spellings are kept: most requests have the same fields."""

MAX_KEPT: Final = 128
"""Characters of a name whose spellings are kept."""

_PART_ENDS: Final = "./"
"""What separates the parts of a path: `user.ssn`, `/user/ssn`."""

_CAPITALS: Final = "A-ZÀ-ÖØ-ÞΑ-ΩЀ-Я"
_OTHERS: Final = rf"[^\W\d_{_CAPITALS}]"
_find_words: Final = re.compile(
    rf"[{_CAPITALS}]+(?!{_OTHERS})|[{_CAPITALS}]?{_OTHERS}+|\d+|[{_PART_ENDS}]"
).findall
"""Finds words, numbers and ends of parts. A word ends before a capital letter, at a number, and at
everything that is no letter or digit. Linear: each alternative reads a run at most twice."""


def spellings_of(names: Iterable[str]) -> frozenset[str]:
    """Returns the spellings of all `names`, for `is_one_of`."""
    return frozenset(
        spelling for name in names for spelling in _spellings(_normalize(name)) if spelling
    )


def is_one_of(name: str, spellings: frozenset[str]) -> bool:
    """Whether a name, or the last part of it, is one of the names that `spellings` are from."""
    if name in spellings:  # most policies have names as requests have them
        return True
    read = _kept_names if len(name) <= MAX_KEPT else _names
    return not spellings.isdisjoint(read(name))


def _names(name: str) -> tuple[str, ...]:
    """Returns all spellings of a name, and those of its last part."""
    name = _normalize(name[-MAX_NAME:])
    last = _last_part(name)
    return _spellings(name) if last == name else (*_spellings(name), *_spellings(last))


_kept_names: Final = lru_cache(MAX_NAMES)(_names)


def _normalize(name: str) -> str:
    return (name if name.isascii() else unicodedata.normalize("NFKC", name)).strip()


def _last_part(name: str) -> str:
    """Returns what is after the last dot or slash, without an index: `ssn` for `rows[0].ssn[1]`."""
    while name.endswith("]") and "[" in name:
        index = name[name.rindex("[") + 1 : -1]
        if index and not index.isdecimal():
            return index  # rows["ssn"]
        name = name[: name.rindex("[")]
    name = name.rstrip(_PART_ENDS)
    return name[max(map(name.rfind, _PART_ENDS)) + 1 :]


def _spellings(name: str) -> tuple[str, str]:
    """Returns the name without its case, and its words."""
    return name.casefold(), _words(name)


def _words(name: str) -> str:
    """Returns the words of a name, in lower case and joined by `_`; its parts stay apart."""
    return "_".join(_find_words(name)).casefold()
