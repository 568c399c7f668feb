"""The customer layer: applies the policy of the customer that a request names.

If the customer is unknown, the request is blocked. If the tenant's settings say so, it passes with
a warning instead (decide.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pdp.domain import customer_policy as keys
from pdp.domain.approval import DEFAULT_APPROVERS, DEFAULT_EXPIRY_S
from pdp.domain.decision import (
    NO_VERDICT,
    Hold,
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
from pdp.domain.placement import MONITOR
from pdp.domain.risk import MAX_SCORE
from pdp.engine.rules.customers import NO_HITS, Customer, Hits, compile_customer
from pdp.engine.rules.exceptions import with_effect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.domain.customer_policy import CustomerPolicy
    from pdp.domain.request import Request
    from pdp.domain.risk import RiskTable
    from pdp.engine.conditions.facts import ConditionFacts
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.layers.base import Layer, Policies
    from pdp.engine.rules.customers import CompiledCustomRule
    from pdp.engine.scan import Findings

UNKNOWN: Final = "CUSTOMER_UNKNOWN"
ACTION_BLOCKED: Final = "CUSTOMER_ACTION_BLOCKED"
TOOL_NOT_ALLOWED: Final = "CUSTOMER_TOOL_NOT_ALLOWED"
ACTION_NOT_ALLOWED: Final = "CUSTOMER_ACTION_NOT_ALLOWED"
ESCALATED: Final = "CUSTOMER_ESCALATED"
FIELDS_MASKED: Final = "CUSTOMER_FIELDS_MASKED"

_OUTCOMES: Final = {
    "block": Outcome.BLOCK,
    "escalate": Outcome.ESCALATE,
    "mask": Outcome.REDACT,
    "log": Outcome.ALLOW,
    "score": Outcome.ALLOW,
}
"""What each action of a match does."""

_FORBIDDEN: Final = 403

_NO_HOLDS: Final[tuple[Hold, ...]] = ()


@dataclass(frozen=True, slots=True)
class CustomerLayer:
    """Applies customer policies to requests that name a customer.

    Attributes:
        customers: the compiled policies of the tenant's customers, by customer ID.
        unknown_outcome: the outcome if the customer is unknown.
        risk: the risk points.
        severities: the severity of a custom rule, by its points.
        facts: computes what conditions name besides the request.
    """

    customers: Mapping[str, Customer]
    unknown_outcome: Outcome
    risk: RiskTable
    severities: Sequence[str]
    facts: FactSource
    name: str = CUSTOMER
    patterns: dict[str, str] = field(default_factory=dict)

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the customer's policy; `NO_VERDICT` if the request names none."""
        if not request.customer_id:
            return NO_VERDICT
        customer = self.customers.get(request.customer_id)
        if customer is None:
            return self._unknown(request)
        facts = self.facts.of(request, findings)
        hits = customer.hits(request, facts)
        if hits is NO_HITS and not request.explain:
            return NO_VERDICT
        verdict = NO_VERDICT if hits is NO_HITS else self._verdict(request, hits)
        if request.explain:
            rows = _rows(customer, request, facts, hits, verdict.outcome)
            verdict = verdict._replace(rows=rows)
        return _monitored(verdict) if customer.policy.mode == MONITOR else verdict

    def patterns_for(self, customer_id: str) -> int:
        """Returns the number of patterns that the conditions of a customer search for."""
        customer = self.customers.get(customer_id)
        return 0 if customer is None else customer.patterns

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
        holds = _holds(request, hits) if hits.escalated else _NO_HOLDS
        waiting = tuple(each for each in holds if each.key not in request.passed)
        outcome, reason_code, message = _strongest(request, hits, waiting)
        return Verdict(
            outcome=outcome,
            reason_code=reason_code,
            message=message,
            status_hint=_FORBIDDEN if outcome >= Outcome.PROMPT else 200,
            matches=tuple(_matches(customer, request, hits, holds, self.severities)),
            obligations=tuple(_obligations(hits, waiting)),
            holds=waiting,
            floors=tuple(_floors(hits, risk)),
            impacts=tuple([rule.impact for rule in hits.rules]),
            pii_detected=bool(hits.fields),
        )


def _monitored(verdict: Verdict) -> Verdict:
    """Returns the verdict of a policy in monitor mode: what it would have done, and no effect."""
    return Verdict(
        matches=tuple(
            match._replace(would_be=_OUTCOMES[match.action].name) for match in verdict.matches
        ),
        rows=tuple(
            row._replace(outcome=Outcome.ALLOW, reason=f"{row.reason} (monitor mode)")
            for row in verdict.rows
        ),
    )


def _holds(request: Request, hits: Hits) -> tuple[Hold, ...]:
    """Returns the entries of the policy that demand an approval for a request."""
    return tuple(
        Hold(
            Outcome.ESCALATE,
            CUSTOMER,
            request.customer_id,
            key,
            f"{key}: {entry}",
            _escalation(request, key),
            DEFAULT_APPROVERS,
            DEFAULT_EXPIRY_S,
        )
        for key, entry in hits.escalated
    )


def _escalation(request: Request, key: str) -> str:
    if key == keys.ESCALATE_TOOLS:
        return f"The tool {request.tool} needs the approval of a second person."
    return f"The action {request.action} needs the approval of a second person."


def _obligations(hits: Hits, waiting: Sequence[Hold]) -> Iterator[Obligation]:
    if hits.fields:
        yield Obligation(ObligationType.MASK_FIELDS, fields=hits.fields)
    for each in waiting:
        yield Obligation(ObligationType.APPROVAL, message=each.message)


def _strongest(request: Request, hits: Hits, waiting: Sequence[Hold]) -> tuple[Outcome, str, str]:
    """Returns the outcome, the reason code and the message of the strongest hit.

    Args:
        request: the request.
        hits: the parts of the policy that apply to it.
        waiting: what has no approval yet.
    """
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
    if waiting:
        return Outcome.ESCALATE, ESCALATED, waiting[0].message
    if hits.fields:
        message = "Fields that are sensitive for this customer must be masked."
        return Outcome.REDACT, FIELDS_MASKED, message
    return Outcome.ALLOW, "", ""


def _matches(
    customer: str, request: Request, hits: Hits, holds: Sequence[Hold], severities: Sequence[str]
) -> Iterator[Match]:
    """Yields a match for each hit, strongest first. Its name is the list or the rule."""

    def match(name: str, action: str, severity: str, reason: str) -> Match:
        return Match(CUSTOMER, customer, name, action, severity, reason)

    if hits.blocked is not None:
        key, entry = hits.blocked
        reason = f"action {request.action} is blocked by {entry}"
        yield match(key, "block", "critical", reason)
    if hits.tool_refused:
        reason = f"tool {request.tool} is not allowed"
        yield match(keys.ALLOWED_TOOLS, "block", "high", reason)
    if hits.action_refused:
        reason = f"action {request.action} fits no allowed pattern"
        yield match(keys.ALLOWED_ACTION_PATTERNS, "block", "high", reason)
    for hold in holds:
        approved_by = request.passed.get(hold.key, "")
        reason = with_effect(f"approval is needed by {hold.rule}", None, approved_by=approved_by)
        yield match(hold.name, "escalate", "medium", reason)._replace(approved_by=approved_by)
    if hits.fields:
        reason = f"sensitive fields: {', '.join(hits.fields)}"
        yield match(keys.SENSITIVE_FIELDS, "mask", "medium", reason)
    if hits.classifications:
        reason = f"sensitive classifications: {', '.join(hits.classifications)}"
        yield match(keys.SENSITIVE_CLASSIFICATIONS, "log", "medium", reason)
    for _, (_, name, points) in hits.rules:
        yield match(name, "score", severities[points], f"the condition is true: {points:+d}")


def _floors(hits: Hits, risk: RiskTable) -> Iterator[RiskFactor]:
    if hits.blocked is not None:
        yield RiskFactor(CUSTOMER, hits.blocked[0], risk.blocked_action)
    if hits.tool_refused:
        yield RiskFactor(CUSTOMER, keys.ALLOWED_TOOLS, risk.not_allowed)
    if hits.action_refused:
        yield RiskFactor(CUSTOMER, keys.ALLOWED_ACTION_PATTERNS, risk.not_allowed)
    for key, _ in hits.escalated:
        yield RiskFactor(CUSTOMER, key, risk.escalation)
    if hits.fields:
        yield RiskFactor(CUSTOMER, keys.SENSITIVE_FIELDS, risk.sensitive)
    if hits.classifications:
        yield RiskFactor(CUSTOMER, keys.SENSITIVE_CLASSIFICATIONS, risk.sensitive)


def _rows(
    customer: Customer, request: Request, facts: ConditionFacts, hits: Hits, outcome: Outcome
) -> tuple[TraceRow, ...]:
    """Returns a trace row for the whole policy, then one for each part that was evaluated.

    Args:
        customer: the policy.
        request: the request.
        facts: what conditions name besides the request.
        hits: the parts of the policy that apply to the request.
        outcome: the outcome of these parts together.
    """
    customer_id = customer.policy.customer_id
    matched = any(hits)
    reason = f"judged by the policy of customer {customer_id!r}"
    if not matched:
        reason += ", of which nothing applies"
    true_rules = {rule.impact.id for rule in hits.rules}
    rows = [
        TraceRow(CUSTOMER, reason, matched, outcome),
        *_action_rows(customer, request, hits),
        *_tool_rows(customer, request, hits),
        *_escalation_rows(request, hits),
        *_target_rows(customer, hits),
        *(
            _rule_row(rule, request, facts, rule.impact.id in true_rules)
            for _, rule in customer.rules
        ),
    ]
    return tuple(
        row._replace(
            policy_id=customer_id, policy_name=customer_id, rule_name=row.rule_id, sequence=index
        )
        for index, row in enumerate(rows)
    )


def _action_rows(customer: Customer, request: Request, hits: Hits) -> Iterator[TraceRow]:
    action = request.action
    if not action:
        return
    if hits.blocked is not None:
        key, entry = hits.blocked
        reason = f"action {action} is blocked by {entry}"
        yield TraceRow(CUSTOMER, reason, True, Outcome.BLOCK, rule_id=key)
        return
    if customer.blocked_actions or customer.blocked_patterns:
        yield TraceRow(CUSTOMER, f"action {action} is not blocked", rule_id=keys.BLOCKED_ACTIONS)
    is_escalated = any(key != keys.ESCALATE_TOOLS for key, _ in hits.escalated)
    if customer.allowed_patterns and not is_escalated:
        key = keys.ALLOWED_ACTION_PATTERNS
        if hits.action_refused:
            reason = f"action {action} fits no allowed pattern"
            yield TraceRow(CUSTOMER, reason, True, Outcome.BLOCK, rule_id=key)
        else:
            pattern = customer.allowed_patterns.find(action)
            yield TraceRow(CUSTOMER, f"action {action} is allowed by {pattern}", rule_id=key)


def _tool_rows(customer: Customer, request: Request, hits: Hits) -> Iterator[TraceRow]:
    if not (request.tool and customer.allowed_tools) or request.tool in customer.escalated_tools:
        return
    key = keys.ALLOWED_TOOLS
    if hits.tool_refused:
        reason = f"tool {request.tool} is not allowed"
        yield TraceRow(CUSTOMER, reason, True, Outcome.BLOCK, rule_id=key)
    else:
        yield TraceRow(CUSTOMER, f"tool {request.tool} is allowed", rule_id=key)


def _escalation_rows(request: Request, hits: Hits) -> Iterator[TraceRow]:
    for hold in _holds(request, hits):
        approved_by = request.passed.get(hold.key, "")
        reason = with_effect(f"approval is needed by {hold.rule}", None, approved_by=approved_by)
        outcome = Outcome.ALLOW if approved_by else Outcome.ESCALATE
        yield TraceRow(CUSTOMER, reason, True, outcome, rule_id=hold.name)


def _target_rows(customer: Customer, hits: Hits) -> Iterator[TraceRow]:
    if customer.sensitive_fields:
        key = keys.SENSITIVE_FIELDS
        if hits.fields:
            reason = f"to be masked: {', '.join(hits.fields)}"
            yield TraceRow(CUSTOMER, reason, True, Outcome.REDACT, rule_id=key)
        else:
            yield TraceRow(CUSTOMER, "the request names no sensitive field", rule_id=key)
    if customer.classifications:
        matched = bool(hits.classifications)
        reason = "the target has no sensitive classification"
        if matched:
            reason = f"the target is {', '.join(hits.classifications)}"
        yield TraceRow(CUSTOMER, reason, matched, rule_id=keys.SENSITIVE_CLASSIFICATIONS)


def _rule_row(
    rule: CompiledCustomRule, request: Request, facts: ConditionFacts, matched: bool
) -> TraceRow:
    _, name, points = rule.impact
    if matched:
        return TraceRow(CUSTOMER, f"the condition is true: {points:+d}", True, rule_id=name)
    return TraceRow(
        CUSTOMER, f"the condition is {rule.condition.explain(request, facts)}", rule_id=name
    )


def build(policies: Policies) -> Layer:
    """Compiles the layer. Policies that have not changed since the last time are reused.

    Raises:
        InvalidCondition: a custom rule does not compile.
    """
    block = policies.settings.unknown_customer == "block"
    unknown_outcome = Outcome.BLOCK if block else Outcome.WARN
    previous, shared = policies.previous.get(CUSTOMER), policies.shared.get(CUSTOMER)
    compiled = previous.customers if isinstance(previous, CustomerLayer) else {}
    customers = _customers(policies.own.of_kind(keys.KIND), compiled)
    if not isinstance(shared, CustomerLayer) or shared.risk is not policies.risk:
        severities = _severities(policies.risk)
        return CustomerLayer(customers, unknown_outcome, policies.risk, severities, policies.facts)
    if not customers and unknown_outcome is shared.unknown_outcome:
        return shared
    return replace(
        shared, customers=customers, unknown_outcome=unknown_outcome, facts=policies.facts
    )


def _severities(risk: RiskTable) -> Sequence[str]:
    """Returns the severity for each number of points: its risk level, or low if that is none."""
    levels = [risk.level(points) for points in range(MAX_SCORE + 1)]
    return ["low" if level == "none" else level for level in levels]


def _customers(
    policies: Mapping[str, CustomerPolicy], previous: Mapping[str, Customer]
) -> Mapping[str, Customer]:
    """Compiles `policies`, and reuses those of `previous` that have not changed.

    Policies are immutable: a write replaces the object. So the same object is the same policy.
    """
    customers: dict[str, Customer] = {}
    for customer_id, policy in policies.items():
        compiled = previous.get(customer_id)
        if compiled is None or compiled.policy is not policy:
            compiled = compile_customer(policy, f"customer policy {customer_id}: ")
        customers[customer_id] = compiled
    return customers
