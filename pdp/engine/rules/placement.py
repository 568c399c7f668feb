"""Compiled placements: where a policy looks, when it applies, and what it does there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.domain.placement import MONITOR, NO_ACTIONS
from pdp.engine.rules.expressions import Expression, known_expression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.placement import Placed


class Placement(NamedTuple):
    """Where a policy looks, when it applies, and what it does there.

    Attributes:
        expression: the condition that a request must meet; None for none.
        scopes: the places that it looks into; empty for all.
        actions: its actions in single places, by place.
        is_monitored: whether it is judged and recorded only.
    """

    expression: Expression | None
    scopes: frozenset[str]
    actions: Mapping[str, str] = NO_ACTIONS
    is_monitored: bool = False

    def looks_in(self, scope: str) -> bool:
        """Whether the policy looks in a place."""
        return not self.scopes or scope in self.scopes


def compile_placement(policy: Placed) -> Placement | None:
    """Returns the placement of a policy; None if it applies everywhere, always, with one action.

    Raises:
        InvalidCondition: the expression is not a condition.
    """
    is_monitored = policy.mode == MONITOR
    if not (policy.expression or policy.scope or policy.scope_actions or is_monitored):
        return None
    return Placement(
        known_expression(policy.expression) if policy.expression else None,
        frozenset(policy.scope),
        dict(policy.scope_actions),
        is_monitored,
    )
