"""Entity detectors: how to recognise a kind of data in a text, and with which confidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SECRET: Final = "secret"  # noqa: S105 - a kind of data
PII: Final = "pii"
FINANCIAL: Final = "financial"
MEDICAL: Final = "medical"
INFRASTRUCTURE: Final = "infrastructure"
CUSTOM: Final = "custom"

CATEGORIES: Final = (SECRET, PII, FINANCIAL, MEDICAL, INFRASTRUCTURE)
"""The categories of the detectors that ship with the product. A tenant's own are `CUSTOM`."""

PERSONAL_CATEGORIES: Final = frozenset({PII, FINANCIAL, MEDICAL})
"""Categories whose findings set `pii_detected` (docs/decide.md, Risk)."""

ALIASES: Final[tuple[frozenset[str], ...]] = (
    frozenset({"US_SSN", "SSN"}),
    frozenset({"EMAIL_ADDRESS", "EMAIL"}),
    frozenset({"PHONE_NUMBER", "PHONE"}),
    frozenset({"IBAN_CODE", "IBAN"}),
    frozenset({"CREDIT_CARD", "CREDIT_CARD_NUMBER"}),
    frozenset({"IP_ADDRESS", "IP"}),
    frozenset({"US_DRIVER_LICENSE", "DRIVER_LICENSE"}),
    frozenset({"MEDICAL_RECORD_NUMBER", "MRN"}),
    frozenset({"HEALTH_INSURANCE_ID", "HEALTH_PLAN_NUMBER"}),
    frozenset({"US_DEA", "DEA_NUMBER"}),
    frozenset({"US_NPI", "NPI"}),
    frozenset({"US_MBI", "MBI"}),
    frozenset({"US_ROUTING_NUMBER", "ROUTING_NUMBER"}),
    frozenset({"PERSON", "PERSON_NAME"}),
)
"""Names of the same type: the DLP API accepts SSN, and the detectors call it US_SSN."""

_ALIASES: Final = {name: group for group in ALIASES for name in group}


def entity_aliases(entity_type: str) -> frozenset[str]:
    """Returns all names of an entity type, including `entity_type` itself."""
    return _ALIASES.get(entity_type) or frozenset({entity_type})


_FIRST_EAST_ASIAN: Final = "\u2e80"
"""The first character of the blocks of Chinese, Japanese and Korean."""


class ContextWords(NamedTuple):
    """Words to look for near a finding.

    Attributes:
        single: single words.
        phrases: several words in a row, with a space before, between and after them.
        parts: words of languages that are written without spaces, or with endings that are
            attached (Chinese, Japanese, Korean). They also count as a part of a word.
        beginnings: the first word of each: a text without any of them has no word or phrase.
    """

    single: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, terms: Iterable[str]) -> ContextWords:
        """Returns the words and phrases of `terms`, which are in lower case."""
        words = tuple(terms)
        return cls(
            frozenset(word for word in words if " " not in word),
            tuple(f" {word} " for word in words if " " in word),
            tuple(word for word in words if word[0] >= _FIRST_EAST_ASIAN),
            tuple(dict.fromkeys(word.partition(" ")[0] for word in words)),
        )

    def any_in(self, words: Sequence[str]) -> bool:
        """Returns whether `words`, in their order, contain any word or phrase."""
        if not self.single.isdisjoint(words):
            return True
        if not self.phrases and not self.parts:
            return False
        row = f" {' '.join(words)} "
        if any(phrase in row for phrase in self.phrases):
            return True
        return not row.isascii() and any(part in row for part in self.parts)


# Compared and hashed by identity, because a decision keys its findings by detector.
@dataclass(frozen=True, slots=True, eq=False)
class EntityDetector:
    """Patterns for a kind of data, and the confidence of their findings.

    Attributes:
        id: for instance `credit_card`; for a tenant's own detector, the id of its rule.
        patterns: RE2 patterns, all part of the single scan of a request. If a pattern has a group
            named `value`, that group is the value; the rest is only context.
        validator: name of the check that a value must pass; empty for none.
        label_validator: name of the check that the label must pass; empty for none. The label is
            the part of a match before its value.
        extension: name of the function that finds where a value ends, if a pattern matches only its
            start; empty for none.
        confidence: the confidence of a finding that passes the check, without a context word near.
        context_confidence: the confidence of a finding with a context word near.
        context: words in lower case that confirm a finding when they are before or after it.
        against: words in lower case that speak against a finding. If such a word is near and no
            context word is, the confidence is halved.
        weak: for ambiguous patterns, the confidence of a finding without a context word near.
        allowlist: values in lower case that are examples and never findings.
        words, words_against: `context` and `against`, prepared for the search.
    """

    id: str
    name: str
    entity_type: str
    category: str
    patterns: tuple[str, ...]
    description: str = ""
    validator: str = ""
    label_validator: str = ""
    extension: str = ""
    confidence: float = 1.0
    context_confidence: float = 1.0
    context: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    weak: Mapping[str, float] = field(default_factory=dict)
    allowlist: frozenset[str] = frozenset()
    words: ContextWords = field(init=False)
    words_against: ContextWords = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", ContextWords.of(self.context))
        object.__setattr__(self, "words_against", ContextWords.of(self.against))
