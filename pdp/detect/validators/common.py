"""Shared by the validators: their type, the length limit, and the clean-up of a matched text."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final

from stdnum.exceptions import ValidationError

Validator = Callable[[str], bool]
"""Returns whether a matched text is a genuine identifier of its kind."""

MAX_LENGTH: Final = 128
"""Longer texts are rejected without a check; an IBAN with its label takes half of this length."""

_DIGITS: Final = frozenset(string.digits)
_LETTERS_AND_DIGITS: Final = frozenset(string.ascii_letters + string.digits)
_DIGITS_AND_SEPARATORS: Final = _DIGITS | frozenset(" -.\t\n\u00a0")

_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
"""Maps each digit to the digit sum of its double."""


def is_valid(validate: Callable[[str], str], text: str, compact: Callable[[str], str]) -> bool:
    """Whether a validator of python-stdnum accepts `text` after `compact` has removed separators.

    Args:
        validate: raises `ValidationError` if its argument is not valid.
        text: the matched text.
        compact: returns the part of the text to validate.
    """
    if len(text) > MAX_LENGTH:
        return False
    try:
        return bool(validate(compact(text)))
    except ValidationError:
        return False


# These functions keep only ASCII: str.isdigit and \w also accept digits of other scripts, which
# int() would read.
def digits_of(text: str) -> str:
    """Returns only the digits of `text`."""
    return "".join(filter(_DIGITS.__contains__, text))


def letters_and_digits_of(text: str) -> str:
    """Returns only the letters and digits of `text`, in upper case."""
    return "".join(filter(_LETTERS_AND_DIGITS.__contains__, text)).upper()


def last_word_of(text: str) -> str:
    """Returns the letters and digits of the last word of `text`, without a label before a colon."""
    return letters_and_digits_of(text[text.rfind(" ") + 1 :].rpartition(":")[2])


def only_digits_and_separators(text: str) -> bool:
    """Whether `text` consists only of digits and the usual separators between them."""
    return _DIGITS_AND_SEPARATORS.issuperset(text)


def luhn_sum_is_valid(digits: str) -> bool:
    """Whether the last of `digits` is their Luhn check digit (ISO/IEC 7812-1, annex B).

    Does the same as `stdnum.luhn` in a tenth of the time: card numbers are checked most often.
    """
    doubled = digits[-2::-2].translate(_DOUBLED)
    return (sum(map(int, digits[::-2])) + sum(map(int, doubled))) % 10 == 0
