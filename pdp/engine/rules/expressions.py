"""Expressions: conditions that say when a policy applies to a request (docs/conditions.md).

A layer judges the expression of a policy last, when everything else of the policy holds. A policy
applies only if its expression is true: an unknown expression is not met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.engine.conditions import Condition, compile_condition, refuse_unclear_names
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.errors import InvalidCondition, Violation

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.conditions import Truth
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.findings import Findings

MAX_EXPRESSION: Final = 4096
"""The size of an expression in bytes of UTF-8; the parser of conditions checks it."""


class Judgement(NamedTuple):
    """Whether a request meets an expression, and why not.

    Attributes:
        is_met: whether it does; false if that is unknown.
        reason: why the expression is not met, for a trace; empty if it is.
        truth: the result of the expression: True, False, or None for unknown.
    """

    is_met: bool
    reason: str = ""
    truth: Truth = True


_MET: Final = Judgement(True)
_NOT_MET: Final = Judgement(False, "its expression is false", False)
_UNKNOWN: Final = Judgement(False, "its expression is unknown", None)


class Expression:
    """A compiled expression of a policy. Immutable.

    Attributes:
        condition: the condition.
    """

    __slots__ = ("condition",)

    def __init__(self, condition: Condition) -> None:
        self.condition = condition

    def judge(
        self, request: Request, findings: Findings, source: FactSource = NO_FACT_SOURCE
    ) -> Judgement:
        """Returns whether a request meets the expression.

        Costs less than a microsecond if the expression names no findings. The reason says what was
        unknown if the request asks for a trace.

        Args:
            request: the request.
            findings: the findings of the scan.
            source: computes the groups of the subject, and the entity types of the findings: see
                `Policies.facts`. The default knows no user groups and no detectors.
        """
        facts = source.of(request, findings)
        truth = self.condition.evaluate(request, facts)
        if truth:
            return _MET
        if not request.explain:
            return _UNKNOWN if truth is None else _NOT_MET
        explanation = self.condition.explain(request, facts)
        return Judgement(False, f"its expression is {explanation}", truth)


def compile_expression(source: str, field: str = "expression", timezone: str = "UTC") -> Expression:
    """Compiles an expression that a caller has sent.

    Args:
        source: the expression; not empty.
        field: the path of the field, for errors.
        timezone: the time zone of its times, as an IANA name.

    Raises:
        InvalidCondition: the expression does not compile, or a name in it is unclear. Each
            violation has the field, and a reason with line and column.
    """
    try:
        expression = known_expression(source, timezone)
        refuse_unclear_names(source)
    except InvalidCondition as error:
        raise InvalidCondition(
            f"{field}: {error.message}",
            *(Violation(field, each.reason) for each in error.violations),
            line=error.line,
            column=error.column,
        ) from None
    return expression


def known_expression(source: str, timezone: str = "UTC") -> Expression:
    """Compiles an expression of the store, which `compile_expression` has accepted before.

    Raises:
        InvalidCondition: the expression does not compile.
    """
    return Expression(compile_condition(source, timezone))
