"""Static policies: patterns that the engine looks for in every text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BLOCK: Final = "block"

ACTIONS: Final = ("log", "warn", BLOCK)
"""From weakest to strongest."""

Source = Literal["system", "tenant"]

KIND: Final = "static_policy"
OVERRIDE_KIND: Final = "static_override"


@dataclass(frozen=True, slots=True)
class StaticPolicy:
    """A pattern, and the action if it matches.

    Attributes:
        pattern: RE2; matched against the text and every string of the arguments.
        action: one of `ACTIONS`.
        severity: `low`, `medium`, `high` or `critical`.
        system: whether it ships with the product, for all tenants.
        family: the kind of what a system policy finds, one of `FAMILIES`; empty for a tenant's
            policy.
        validator: name of the check that a matched value must pass; empty for none.
        version: starts at 1 and rises with every change.
        created_at, updated_at: seconds since the epoch.
        expression, scope, scope_actions, mode, redaction: see `pdp.domain.placement.Placed`.
        in_prose: its action where prose talks about what it finds; empty for the same action. It
            counts only if it is weaker. See `pdp.engine.text.sql_prose`.
    """

    id: str
    name: str
    category: str
    pattern: str
    action: str
    description: str = ""
    severity: str = "medium"
    enabled: bool = True
    message: str = ""
    system: bool = False
    family: str = ""
    validator: str = ""
    version: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0
    expression: str = ""
    scope: Sequence[str] = ()
    scope_actions: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    redaction: str = ""
    in_prose: str = ""


@dataclass(frozen=True, slots=True)
class StaticOverride:
    """A tenant's own action for a system policy.

    Attributes:
        expression, scope: when and where the override applies; otherwise the policy's own action
            does.
        scope_actions, mode, redaction, in_prose: replace those of the policy where the override
            applies.
    """

    policy_id: str
    action: str
    reason: str = ""
    created_at: float = 0.0
    expression: str = ""
    scope: Sequence[str] = ()
    scope_actions: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    redaction: str = ""
    in_prose: str = ""


SQL: Final = "sql"
COMMAND: Final = "command"
PROMPT_INJECTION: Final = "prompt_injection"

PERSONAL_FAMILIES: Final = frozenset({"pii", "financial", "medical"})
"""Families whose findings set `pii_detected`."""

FAMILIES: Final = frozenset({SQL, COMMAND, PROMPT_INJECTION, "secret"}) | PERSONAL_FAMILIES

FORMER_SQL: Final = "sqli"
"""The name of the family `SQL` in policies that an earlier release has stored."""

ATTACK_FAMILIES: Final = frozenset({SQL, FORMER_SQL, COMMAND, PROMPT_INJECTION})
"""Families of orders that someone hides in a text, or in a value of it."""


def body_of(value: StaticPolicy | StaticOverride) -> dict[str, Any]:
    """Returns the fields of `value` as the store keeps them."""
    return {name: getattr(value, name) for name in value.__slots__}
