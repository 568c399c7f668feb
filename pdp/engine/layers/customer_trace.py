"""The customer layer's rows of a trace: one for each part of the policy that was looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.domain import customer_policy as names
from pdp.domain.decision import Outcome, TraceRow
from pdp.domain.layers import CUSTOMER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.domain.request import Request
    from pdp.engine.rules.customers import CompiledCustomRule, Customer, Hits


def rows_of(
    customer: Customer, request: Request, hits: Hits, outcome: Outcome
) -> tuple[TraceRow, ...]:
    """Returns what was looked at, in order, after one row for the whole of it.

    Args:
        customer: whose policy was asked.
        request: what was judged.
        hits: what of the policy applies to it.
        outcome: what that comes to.
    """
    customer_id = customer.policy.customer_id
    matched = any(hits)
    reason = f"judged by the policy of customer {customer_id!r}"
    if not matched:
        reason += ", of which nothing applies"
    parts = (*_of_action(customer, request, hits), *_of_rest(customer, request, hits))
    true = {rule.impact.id for rule in hits.rules}
    rules = (_of_rule(rule, request, rule.impact.id in true) for _, rule in customer.rules)
    rows = [TraceRow(CUSTOMER, reason, matched, outcome), *parts, *rules]
    return tuple(
        row._replace(
            policy_id=customer_id, policy_name=customer_id, rule_name=row.rule_id, sequence=index
        )
        for index, row in enumerate(rows)
    )


def _of_action(customer: Customer, request: Request, hits: Hits) -> Iterator[TraceRow]:
    action = request.action
    if not action:
        return
    if hits.blocked is not None:
        key, entry = hits.blocked
        reason = f"action {action} is blocked by {entry}"
        yield TraceRow(CUSTOMER, reason, True, Outcome.BLOCK, rule_id=key)
        return
    if customer.blocked_actions or customer.blocked_patterns:
        yield TraceRow(CUSTOMER, f"action {action} is not blocked", rule_id=names.BLOCKED_ACTIONS)
    if customer.allowed_patterns:
        key = names.ALLOWED_ACTION_PATTERNS
        if hits.action_refused:
            reason = f"action {action} fits no allowed pattern"
            yield TraceRow(CUSTOMER, reason, True, Outcome.BLOCK, rule_id=key)
        else:
            fitting = customer.allowed_patterns.find(action)
            yield TraceRow(CUSTOMER, f"action {action} is allowed by {fitting}", rule_id=key)


def _of_rest(customer: Customer, request: Request, hits: Hits) -> Iterator[TraceRow]:
    if request.tool and customer.allowed_tools:
        key = names.ALLOWED_TOOLS
        if hits.tool_refused:
            reason = f"tool {request.tool} is not allowed"
            yield TraceRow(CUSTOMER, reason, True, Outcome.BLOCK, rule_id=key)
        else:
            yield TraceRow(CUSTOMER, f"tool {request.tool} is allowed", rule_id=key)
    if customer.sensitive_fields:
        key = names.SENSITIVE_FIELDS
        if hits.fields:
            reason = f"to be masked: {', '.join(hits.fields)}"
            yield TraceRow(CUSTOMER, reason, True, Outcome.REDACT, rule_id=key)
        else:
            yield TraceRow(CUSTOMER, "the request names no sensitive field", rule_id=key)
    if customer.classifications:
        found = ", ".join(hits.classifications)
        reason = f"the target is {found}" if found else "the target has no sensitive classification"
        key = names.SENSITIVE_CLASSIFICATIONS
        yield TraceRow(CUSTOMER, reason, bool(found), rule_id=key)


def _of_rule(rule: CompiledCustomRule, request: Request, matched: bool) -> TraceRow:
    _, name, points = rule.impact
    if matched:
        return TraceRow(CUSTOMER, f"the condition is true: {points:+d}", True, rule_id=name)
    return TraceRow(CUSTOMER, f"the condition is {rule.condition.explain(request)}", rule_id=name)
