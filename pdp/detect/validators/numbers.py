"""What validators share: the number within a matched text, and one way to ask python-stdnum."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final

from stdnum.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LENGTH: Final = 128
"""The longest text, in characters, that a validator looks at: an IBAN and its label fit in half."""

_DIGITS: Final = frozenset(string.digits)
_LETTERS_AND_DIGITS: Final = frozenset(string.ascii_letters + string.digits)
_DIGITS_AND_SEPARATORS: Final = _DIGITS | frozenset(" -.\t\n\u00a0")

_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
"""Of each digit, the sum of the digits of its double."""


def accepts(validate: Callable[[str], str], text: str, compact: Callable[[str], str]) -> bool:
    """Whether `validate`, which raises on a bad number, takes what `compact` leaves of `text`."""
    if len(text) > MAX_LENGTH:
        return False
    try:
        return bool(validate(compact(text)))
    except ValidationError:
        return False


# Only ASCII is kept: str.isdigit and \w also take digits of other scripts, which int() would read.
def digits_of(text: str) -> str:
    """Returns the digits of `text` and nothing else."""
    return "".join(filter(_DIGITS.__contains__, text))


def letters_and_digits_of(text: str) -> str:
    """Returns the letters and digits of `text`, in upper case."""
    return "".join(filter(_LETTERS_AND_DIGITS.__contains__, text)).upper()


def last_word_of(text: str) -> str:
    """Returns the letters and digits of the last word of `text`, without a label before a colon."""
    return letters_and_digits_of(text[text.rfind(" ") + 1 :].rpartition(":")[2])


def only_digits_and_separators(text: str) -> bool:
    """Whether `text` has nothing but digits and what people write between them."""
    return _DIGITS_AND_SEPARATORS.issuperset(text)


def luhn_sum_is_valid(digits: str) -> bool:
    """Whether the last of `digits` is their Luhn check digit (ISO/IEC 7812-1, annex B).

    As `stdnum.luhn` has it, ten times as fast: cards are what a guard checks most often.
    """
    doubled = digits[-2::-2].translate(_DOUBLED)
    return (sum(map(int, digits[::-2])) + sum(map(int, doubled))) % 10 == 0
