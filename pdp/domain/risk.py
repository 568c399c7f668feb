"""The table of risk points and bands (docs/decide.md, Risk). `PDP_RISK_FILE` can replace it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SCORE: Final = 100

SEVERITIES: Final = ("low", "medium", "high", "critical")
"""From weakest to strongest."""


@dataclass(frozen=True, slots=True)
class RiskTable:
    """The risk floor of each kind of match, and the lowest score of each band.

    Attributes:
        severity: a static match, by the policy's severity.
        dlp: a DLP match, by the rule's action tier.
        kill_switch: a model that a kill switch disables.
        limit: a request that exceeds a limit.
        unknown_customer: a customer that does not exist.
        blocked_action: an action that a customer's policy blocks.
        not_allowed: a tool or an action that a customer's policy does not allow.
        sensitive: a field or a classification that is sensitive for a customer.
        chain_deny: a BLOCK or CANCEL of a policy chain.
        chain_prompt: a PROMPT of a policy chain.
        chain_redact: a REDACT of a policy chain.
        escalation: a rule that demands an approval.
        engine_error: a request that could not be evaluated.
        bands: (lowest score, level), from the highest band down.
    """

    severity: Mapping[str, int] = field(
        default_factory=lambda: {"low": 15, "medium": 40, "high": 65, "critical": 90}
    )
    dlp: Mapping[str, int] = field(
        default_factory=lambda: {"log_only": 15, "prompt": 40, "redact": 40, "block": 65}
    )
    kill_switch: int = 65
    limit: int = 40
    unknown_customer: int = 65
    blocked_action: int = 90
    not_allowed: int = 65
    sensitive: int = 40
    chain_deny: int = 65
    chain_prompt: int = 40
    chain_redact: int = 15
    escalation: int = 40
    engine_error: int = 90
    bands: tuple[tuple[int, str], ...] = (
        (81, "critical"),
        (56, "high"),
        (31, "medium"),
        (11, "low"),
        (0, "none"),
    )

    def level(self, score: int) -> str:
        """Returns the band of a score from 0 to 100."""
        for lowest, level in self.bands:
            if score >= lowest:
                return level
        raise ValueError(f"{score} is below all bands")


DEFAULT_RISK_TABLE: Final = RiskTable()


def risk_points(table: RiskTable) -> dict[str, Any]:
    """Returns a table as JSON."""
    return asdict(table)


def risk_table(points: Mapping[str, Any]) -> RiskTable:
    """Returns the table of what `risk_points` has returned.

    Raises:
        TypeError, ValueError: it is not such a table.
    """
    bands = tuple((int(lowest), str(level)) for lowest, level in points["bands"])
    return RiskTable(**{**points, "bands": bands})
