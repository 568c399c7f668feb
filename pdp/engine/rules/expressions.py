"""Conditions of policies: when a policy applies to a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.engine.conditions import Condition, compile_condition

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.findings import Findings


class Judgement(NamedTuple):
    """Whether a request meets an expression, and why not.

    Attributes:
        is_met: whether it does; false if it is unknown.
        reason: why the expression is not met; empty if it is.
    """

    is_met: bool
    reason: str = ""


_MET = Judgement(True)
_NOT_MET = Judgement(False, "its expression is not met")


class Expression:
    """A compiled expression of a policy. Immutable."""

    __slots__ = ("condition",)

    def __init__(self, condition: Condition) -> None:
        self.condition = condition

    def judge(self, request: Request, findings: Findings) -> Judgement:
        """Returns whether a request meets the expression."""
        result = self.condition.evaluate(request)
        if result:
            return _MET
        return _NOT_MET if result is False else Judgement(False, "its expression is unknown")


def compile_expression(source: str) -> Expression:
    """Compiles an expression.

    Raises:
        InvalidCondition: the expression is not a condition.
    """
    return Expression(compile_condition(source))
