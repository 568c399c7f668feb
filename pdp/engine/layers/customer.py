"""The customer layer (seeds 001, 004): what a request's customer may do.

A request whose customer is not known cannot be judged by that customer's policy, so it is blocked,
or let pass with a warning where the tenant's settings say so (decide.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pdp.domain import customer_policy as names
from pdp.domain.decision import (
    NO_VERDICT,
    Match,
    Obligation,
    ObligationType,
    Outcome,
    PolicyWarning,
    RiskFactor,
    TraceRow,
    Verdict,
)
from pdp.domain.layers import CUSTOMER
from pdp.domain.risk import MAX_SCORE
from pdp.engine.layers.customer_trace import rows_of
from pdp.engine.rules.customers import NO_HITS, Customer, Hits, compile_customer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.domain.customer_policy import CustomerPolicy
    from pdp.domain.request import Request
    from pdp.domain.risk import RiskTable
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.scan import Findings

UNKNOWN: Final = "CUSTOMER_UNKNOWN"
ACTION_BLOCKED: Final = "CUSTOMER_ACTION_BLOCKED"
TOOL_NOT_ALLOWED: Final = "CUSTOMER_TOOL_NOT_ALLOWED"
ACTION_NOT_ALLOWED: Final = "CUSTOMER_ACTION_NOT_ALLOWED"
FIELDS_MASKED: Final = "CUSTOMER_FIELDS_MASKED"

_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class CustomerLayer:
    """Judges requests that name a customer.

    Attributes:
        customers: the customers of the tenant, by id.
        unknown_outcome: what a request of any other comes to.
        risk: the points of what applies.
        severities: of a custom rule, by its points.
    """

    customers: Mapping[str, Customer]
    unknown_outcome: Outcome
    risk: RiskTable
    severities: Sequence[str]
    name: str = CUSTOMER
    patterns: dict[str, str] = field(default_factory=dict)

    def judge(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the policy of the request's customer."""
        if not request.customer_id:
            return NO_VERDICT
        customer = self.customers.get(request.customer_id)
        if customer is None:
            return self._unknown(request)
        hits = customer.hits(request)
        if hits is NO_HITS and not request.explain:
            return NO_VERDICT
        verdict = NO_VERDICT if hits is NO_HITS else self._verdict(request, hits)
        if request.explain:
            return verdict._replace(rows=rows_of(customer, request, hits, verdict.outcome))
        return verdict

    def _unknown(self, request: Request) -> Verdict:
        customer = request.customer_id
        outcome = self.unknown_outcome
        action = "block" if outcome is Outcome.BLOCK else "warn"
        reason = f"customer {customer!r} is unknown"
        row = TraceRow(CUSTOMER, reason, True, outcome, customer, customer)
        return Verdict(
            outcome=outcome,
            reason_code=UNKNOWN,
            message="The request names a customer that is not known.",
            status_hint=_FORBIDDEN if outcome is Outcome.BLOCK else 200,
            matches=(Match(CUSTOMER, customer, customer, action, "high", reason),),
            warnings=() if action == "block" else (PolicyWarning(customer, reason),),
            floors=(RiskFactor(CUSTOMER, customer, self.risk.unknown_customer),),
            rows=(row,) if request.explain else (),
        )

    def _verdict(self, request: Request, hits: Hits) -> Verdict:
        customer, risk = request.customer_id, self.risk
        outcome, reason_code, message = _judged(request, hits)
        return Verdict(
            outcome=outcome,
            reason_code=reason_code,
            message=message,
            status_hint=_FORBIDDEN if outcome is Outcome.BLOCK else 200,
            matches=tuple(_matches(customer, request, hits, self.severities)),
            obligations=(
                (Obligation(ObligationType.MASK_FIELDS, fields=hits.fields),) if hits.fields else ()
            ),
            floors=tuple(_floors(hits, risk)),
            impacts=tuple([rule.impact for rule in hits.rules]),
            pii_detected=bool(hits.fields),
        )


def _judged(request: Request, hits: Hits) -> tuple[Outcome, str, str]:
    """Returns outcome, reason code and message of the strongest of what applies."""
    action, tool = request.action, request.tool
    if hits.blocked is not None:
        message = f"The action {action} is blocked for this customer."
        return Outcome.BLOCK, ACTION_BLOCKED, message
    if hits.tool_refused:
        message = f"The tool {tool} is not among those that this customer may use."
        return Outcome.BLOCK, TOOL_NOT_ALLOWED, message
    if hits.action_refused:
        message = f"The action {action} is not among those that this customer may take."
        return Outcome.BLOCK, ACTION_NOT_ALLOWED, message
    if hits.fields:
        message = "Fields that are sensitive for this customer must be masked."
        return Outcome.REDACT, FIELDS_MASKED, message
    return Outcome.ALLOW, "", ""


def _matches(
    customer: str, request: Request, hits: Hits, severities: Sequence[str]
) -> Iterator[Match]:
    """Yields what applies, strongest first; each is named by the list or the rule that it is of."""

    def match(name: str, action: str, severity: str, reason: str) -> Match:
        return Match(CUSTOMER, customer, name, action, severity, reason)

    if hits.blocked is not None:
        key, entry = hits.blocked
        reason = f"action {request.action} is blocked by {entry}"
        yield match(key, "block", "critical", reason)
    if hits.tool_refused:
        reason = f"tool {request.tool} is not allowed"
        yield match(names.ALLOWED_TOOLS, "block", "high", reason)
    if hits.action_refused:
        reason = f"action {request.action} fits no allowed pattern"
        yield match(names.ALLOWED_ACTION_PATTERNS, "block", "high", reason)
    if hits.fields:
        reason = f"sensitive fields: {', '.join(hits.fields)}"
        yield match(names.SENSITIVE_FIELDS, "mask", "medium", reason)
    if hits.classifications:
        reason = f"sensitive classifications: {', '.join(hits.classifications)}"
        yield match(names.SENSITIVE_CLASSIFICATIONS, "log", "medium", reason)
    for _, (_, name, points) in hits.rules:
        yield match(name, "score", severities[points], f"the condition is true: {points:+d}")


def _floors(hits: Hits, risk: RiskTable) -> Iterator[RiskFactor]:
    if hits.blocked is not None:
        yield RiskFactor(CUSTOMER, hits.blocked[0], risk.blocked_action)
    if hits.tool_refused:
        yield RiskFactor(CUSTOMER, names.ALLOWED_TOOLS, risk.not_allowed)
    if hits.action_refused:
        yield RiskFactor(CUSTOMER, names.ALLOWED_ACTION_PATTERNS, risk.not_allowed)
    if hits.fields:
        yield RiskFactor(CUSTOMER, names.SENSITIVE_FIELDS, risk.sensitive)
    if hits.classifications:
        yield RiskFactor(CUSTOMER, names.SENSITIVE_CLASSIFICATIONS, risk.sensitive)


def build(policies: Policies) -> Layer:
    """Compiles the layer; what has not changed since `policies.previous` is not compiled again.

    Raises:
        InvalidCondition: a custom rule does not compile.
    """
    block = policies.settings.unknown_customer == "block"
    previous = policies.previous.get(CUSTOMER)
    held = previous.customers if isinstance(previous, CustomerLayer) else {}
    return CustomerLayer(
        customers=_customers(policies.own.of_kind(names.KIND), held),
        unknown_outcome=Outcome.BLOCK if block else Outcome.WARN,
        risk=policies.risk,
        severities=_severities(policies.risk),
    )


def _severities(risk: RiskTable) -> Sequence[str]:
    """Returns the severity of each number of points: its level, and low where that is none."""
    levels = [risk.level(points) for points in range(MAX_SCORE + 1)]
    return ["low" if level == "none" else level for level in levels]


def _customers(
    wanted: Mapping[str, CustomerPolicy], held: Mapping[str, Customer]
) -> Mapping[str, Customer]:
    """Compiles those of `wanted` that `held` was not compiled from.

    A policy never changes and is replaced by another object when its customer's is, so the same
    object is the same policy.
    """
    customers: dict[str, Customer] = {}
    for customer_id, policy in wanted.items():
        compiled = held.get(customer_id)
        if compiled is None or compiled.policy is not policy:
            compiled = compile_customer(policy, f"customer policy {customer_id}: ")
        customers[customer_id] = compiled
    return customers
