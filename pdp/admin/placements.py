"""Checks of the placements of policies: their expressions, and their actions in single places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.domain.placement import scope_action_violations
from pdp.engine.rules.expressions import compile_expression
from pdp.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection

    from pdp.domain.placement import Placed


def check_placement(policy: Placed, actions: Collection[str], prefix: str = "") -> None:
    """Checks the placement of a policy.

    Args:
        policy: the policy.
        actions: the actions that it may have.
        prefix: a prefix for the field paths in errors, if the policy is part of another message.

    Raises:
        InvalidArgument: an action in a single place is invalid; the error names all of them.
        InvalidCondition: the expression is not a condition.
    """
    violations = list(scope_action_violations(policy.scope_actions, actions, prefix))
    if violations:
        raise InvalidArgument.of(*violations)
    if policy.expression:
        compile_expression(policy.expression, f"{prefix}expression")
