"""The org policy: what a tenant records, monitors, alerts on and blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

KIND: Final = "org_policy"
ID: Final = "org_policy"
"""The id of a tenant's only org policy, also in matches and traces."""

NAME: Final = "Organization policy"

PARANOID: Final = "paranoid"
"""The logging level that also enables blocking."""

MINIMAL: Final = "minimal"
STANDARD: Final = "standard"

RECORD_ALL: Final = frozenset({"full", PARANOID})
"""The logging levels that record every decision."""

RISK_LEVELS: Final = ("none", "low", "medium", "high", "critical")
"""From weakest to strongest; the bands of `RiskTable`."""


def levels_from(lowest: str) -> frozenset[str]:
    """Returns the risk levels at or above `lowest`."""
    return frozenset(RISK_LEVELS[RISK_LEVELS.index(lowest) :])


@dataclass(frozen=True, slots=True)
class OrgPolicy:
    """A tenant's org policy. The defaults hold until the tenant changes it.

    Attributes:
        logging_level: `minimal`, `standard`, `full` or `paranoid`.
        gdpr, ai_act, soc2: whether the framework is enabled.
        alert_rules: the alert rules as they were posted (docs/decide.md, JSON rules).
        blocking_enabled: `blocking_rules.enabled`; see `blocks`.
        block_on: the lowest risk level that is blocked.
        mode: the mode of blocking by risk: one of `pdp.domain.placement.MODES`; empty means
            `ENFORCE`.
    """

    logging_level: str = "standard"
    gdpr: bool = True
    ai_act: bool = True
    soc2: bool = False
    alert_rules: Sequence[Mapping[str, Any]] = field(default_factory=list)
    blocking_enabled: bool = False
    block_on: str = "critical"
    mode: str = ""

    @property
    def blocks(self) -> bool:
        """Whether blocking by risk is enabled."""
        return self.blocking_enabled or self.logging_level == PARANOID


def without_addresses(alert_rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns alert rules without whom they notify: their conditions, as decisions need them."""
    return [{"condition": each.get("condition") or {}} for each in alert_rules]


def alert_expressions(alert_rules: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yields the expressions of alert rules, each with the index of its rule."""
    for index, document in enumerate(alert_rules):
        expression = (document.get("condition") or {}).get("expression")
        if expression:
            yield index, expression


DEFAULT_ORG_POLICY: Final = OrgPolicy()


def body_of(policy: OrgPolicy) -> dict[str, Any]:
    """Returns the fields of `policy` as the store keeps them."""
    return {name: getattr(policy, name) for name in policy.__slots__}
