"""DLP rules: which kinds of data to look for, and what to do with findings (docs/dlp.md)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND: Final = "dlp_rule"
CUSTOMISATION_KIND: Final = "dlp_customisation"

REGEX: Final = "regex"
NER: Final = "ner"
LLM: Final = "llm"
DETECTOR_TYPES: Final = (REGEX, NER, LLM)

NONE: Final = "none"
LOG_ONLY: Final = "log_only"
PROMPT: Final = "prompt"
REDACT: Final = "redact"
BLOCK: Final = "block"
ACTION_TIERS: Final = (NONE, LOG_ONLY, PROMPT, REDACT, BLOCK)
"""From weakest to strongest."""


@dataclass(frozen=True, slots=True)
class DlpRule:
    """A rule of a tenant, or of the platform for all tenants.

    Attributes:
        detector_type: one of `DETECTOR_TYPES`.
        action_tier: one of `ACTION_TIERS`.
        confidence_threshold: findings with a lower confidence are ignored.
        config_json: the configuration as it was posted: `pattern` for `REGEX`, `entities` or
            `labels` for the other types. The platform's rules name their `detector`.
        bundle_id: the compliance bundle of the rule; empty for none.
        clause: the clause that the rule serves, for instance "GDPR Art. 9"; empty without a bundle.
        created_at, updated_at: seconds since the epoch.
        expression, scope, scope_actions, mode, redaction: see `pdp.domain.placement.Placed`.
    """

    id: str
    detector_name: str
    detector_type: str
    entity_type: str
    action_tier: str
    enabled: bool = True
    confidence_threshold: float = 0.5
    config_json: Mapping[str, Any] = field(default_factory=dict)
    bundle_id: str = ""
    clause: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    expression: str = ""
    scope: Sequence[str] = ()
    scope_actions: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    redaction: str = ""


CUSTOMISABLE: Final = (
    "enabled",
    "action_tier",
    "confidence_threshold",
    "expression",
    "scope",
    "scope_actions",
    "mode",
    "redaction",
)
"""The fields of a platform rule that a tenant may set."""


@dataclass(frozen=True, slots=True)
class DlpCustomisation:
    """A tenant's changes of a platform rule. The entity's id is the rule's.

    A field is None if the tenant has not changed it.
    """

    rule_id: str
    enabled: bool | None = None
    action_tier: str | None = None
    confidence_threshold: float | None = None
    updated_at: float = 0.0
    expression: str | None = None
    scope: Sequence[str] | None = None
    scope_actions: Mapping[str, str] | None = None
    mode: str | None = None
    redaction: str | None = None


def apply_customisation(rule: DlpRule, own: DlpCustomisation | None) -> DlpRule:
    """Returns a platform rule with a tenant's changes."""
    if own is None:
        return rule
    changes = {name: value for name in CUSTOMISABLE if (value := getattr(own, name)) is not None}
    return replace(rule, **changes, updated_at=max(rule.updated_at, own.updated_at))


def body_of(value: DlpRule | DlpCustomisation) -> dict[str, Any]:
    """Returns the fields of `value` as the store keeps them."""
    return {name: getattr(value, name) for name in value.__slots__}
