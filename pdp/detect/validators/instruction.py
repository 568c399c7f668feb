"""Validators of orders to a model: whether a phrase is an order, and not a mention of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_OPENING: Final = tuple("\"'`\u201c\u2018«„「『")
_CLOSING: Final = tuple("\"'`\u201d\u2019»\u201c」』")

_CASE_CHANGE: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SEPARATORS: Final = re.compile(r"[\W_]+")
_PLAIN_WORDS: Final = frozenset(
    {
        *("ignore", "disregard", "forget", "bypass", "all", "any", "the", "your", "previous"),
        *("prior", "above", "instruction", "instructions", "rule", "rules", "prompt", "guideline"),
        *("guidelines", "approval", "guardrails", "reveal", "show", "print", "repeat", "output"),
        *("leak", "me", "hidden", "system"),
    }
)
"""The words of the patterns that this validator is for, as they are usually written."""


def unquoted(text: str) -> bool:
    """Whether a phrase does not stand alone between quotes, as a phrase that is mentioned does.

    Args:
        text: the phrase, with the characters directly before and after it if they are quotes.
    """
    return not (text.startswith(_OPENING) and text.endswith(_CLOSING))


def disguised(text: str) -> bool:
    """Whether a phrase is spelled so that it hides: digits for letters, separators, no spaces.

    Identifiers and slugs are plain: `ignorePreviousInstructions`, `ignore-previous-instructions`.
    """
    words = _SEPARATORS.split(_CASE_CHANGE.sub(" ", text))
    return any(word.lower() not in _PLAIN_WORDS for word in words if word)


VALIDATORS: Final[tuple[Validator, ...]] = (unquoted, disguised)
