"""Entity detectors: how a kind of data is recognised in a text, and how sure that is."""

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
"""Of the detectors that ship with the product; a tenant's own are `CUSTOM`."""

PERSONAL_CATEGORIES: Final = frozenset({PII, FINANCIAL, MEDICAL})
"""Categories whose findings set `pii_detected` (decide.md, Risk)."""


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
"""Names of one and the same type: seed 002 writes SSN where the detectors say US_SSN."""

_ALIASES: Final = {name: group for group in ALIASES for name in group}


def entity_aliases(entity_type: str) -> frozenset[str]:
    """Returns all names of an entity type, the given one among them."""
    return _ALIASES.get(entity_type) or frozenset({entity_type})


class Words(NamedTuple):
    """Words that are looked for near a find.

    Attributes:
        single: words.
        phrases: several in a row, each with a space around it and between them.
    """

    single: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted: Iterable[str]) -> Words:
        """Returns what `wanted`, in lower case, comes to."""
        words = tuple(wanted)
        return cls(
            frozenset(word for word in words if " " not in word),
            tuple(f" {word} " for word in words if " " in word),
        )

    def any_in(self, words: Sequence[str]) -> bool:
        """Whether any of these is among `words`, which stand in a row."""
        if not self.single.isdisjoint(words):
            return True
        if not self.phrases:
            return False
        row = f" {' '.join(words)} "
        return any(phrase in row for phrase in self.phrases)


# Compared and hashed by identity: a decision keys its findings by detector.
@dataclass(frozen=True, slots=True, eq=False)
class EntityDetector:
    """What is looked for, and what a find is worth.

    Attributes:
        id: of a detector that ships with the product, for instance `credit_card`; of a tenant's
            own, the id of its rule.
        patterns: RE2; each takes part in the one scan of a request. Where one has a group named
            `value`, that group is what was found, and the rest is how it was recognised.
        validator: name of the check that a value must pass; empty for none.
        confidence: of a find (its check passed, where there is one) with no context word near.
        context_confidence: of a find with a context word near it.
        context: words, lower case, that are looked for before and after a find.
        against: words, lower case, that speak against it where they are near and no context word
            is: the confidence is then half of what it would be.
        weak: of patterns whose shape other things have as well, the confidence of a find with no
            context word near.
        allowlist: values, in lower case, that are examples and never findings.
        words, words_against: `context` and `against`, ready to be looked for.
    """

    id: str
    name: str
    entity_type: str
    category: str
    patterns: tuple[str, ...]
    description: str = ""
    validator: str = ""
    confidence: float = 1.0
    context_confidence: float = 1.0
    context: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    weak: Mapping[str, float] = field(default_factory=dict)
    allowlist: frozenset[str] = frozenset()
    words: Words = field(init=False)
    words_against: Words = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", Words.of(self.context))
        object.__setattr__(self, "words_against", Words.of(self.against))
