"""Checks of the placements of policies: their expressions, and their actions in single places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.domain.placement import scope_action_violations
from pdp.engine.rules.expressions import compile_expression
from pdp.errors import InvalidArgument, InvalidCondition, Violation

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
    check_expression(policy.expression, prefix)


def check_expression(expression: str, prefix: str = "") -> None:
    """Checks the expression of a policy; an empty one is none.

    Raises:
        InvalidCondition: it is not a condition.
    """
    if not expression:
        return
    try:
        compile_expression(expression)
    except InvalidCondition as error:
        faults = (Violation(f"{prefix}expression", each.reason) for each in error.violations)
        raise InvalidCondition(
            error.message, *faults, line=error.line, column=error.column
        ) from None
