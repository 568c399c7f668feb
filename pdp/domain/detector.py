"""Entity detectors: how a kind of data is recognised in a text, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class EntityDetector:
    """What is looked for, and what a find is worth.

    Attributes:
        id: of a detector that ships with the product, for instance `credit_card`; of a tenant's
            own, the id of its rule.
        patterns: RE2; each takes part in the one scan of a request.
        validator: name of the check that a value must pass; empty for none.
        confidence: of a find (its check passed, where there is one) with no context word near.
        context_confidence: of a find with a context word near it.
        context: words, lower case, that are looked for before and after a find.
        allowlist: values, in lower case, that are examples and never findings.
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
    allowlist: frozenset[str] = frozenset()
