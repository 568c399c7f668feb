"""What the evaluated rules of a chain add to its verdict: matches, trace rows and obligations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import policy_pack
from pdp.domain.decision import Hold, Match, Obligation, ObligationType, Outcome, TraceRow
from pdp.domain.layers import CHAIN
from pdp.domain.redaction_kind import kind_by_value
from pdp.engine.rules.exceptions import with_effect
from pdp.engine.rules.matching import redactions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.domain.decision import Redaction
    from pdp.domain.policy_exception import PolicyException
    from pdp.engine.rules.chains import ChainRule, RouteTarget
    from pdp.engine.rules.matching import ConditionResult, Facts

_ROUTE_UNAVAILABLE: Final = "CHAIN_ROUTE_UNAVAILABLE"

_SEVERITIES: Final = {
    Outcome.BLOCK: "high",
    Outcome.CANCEL: "high",
    Outcome.PROMPT: "medium",
    Outcome.ESCALATE: "medium",
    Outcome.REDACT: "low",
}
_VERBS: Final = {
    policy_pack.BLOCK: "Blocked",
    policy_pack.CANCEL: "Cancelled",
    policy_pack.REDACT: "Redacted",
}
_FORBIDDEN: Final = 403
_UNAVAILABLE: Final = 503


class EvaluatedRule(NamedTuple):
    """A rule that was evaluated.

    Attributes:
        chain_rule: the rule.
        result: whether its conditions are met.
        outcome: the outcome of the rule if it counts.
        facts: the facts on which it was evaluated.
    """

    chain_rule: ChainRule
    result: ConditionResult
    outcome: Outcome
    facts: Facts


def obligations_of(
    rules: Sequence[EvaluatedRule], destination: RouteTarget | None
) -> Iterator[Obligation]:
    """Yields all prompts and approvals, and the first route: a request has one destination."""
    if destination is not None:
        yield Obligation(
            ObligationType.ROUTE_TO, model=destination.model, provider=destination.provider
        )
    for each in rules:
        if each.outcome is Outcome.PROMPT:
            yield Obligation(ObligationType.PROMPT, message=each.chain_rule.action.message)
        if each.outcome is Outcome.ESCALATE:
            yield Obligation(ObligationType.APPROVAL, message=message_of(each, None))


def hold_of(rule: ChainRule) -> Hold:
    """Returns how a rule holds requests, if it is one that does."""
    action = rule.action
    outcome = Outcome[action.type]
    message = action.message or _escalation_message(rule.rule.name)
    if outcome is Outcome.PROMPT:
        return Hold(outcome, CHAIN, rule.rule.id, rule.rule.name, message=message)
    return Hold(
        outcome,
        CHAIN,
        rule.rule.id,
        rule.rule.name,
        message=message,
        approvers=action.approvers,
        expires_s=int(action.expires_s),
    )


def _escalation_message(name: str) -> str:
    return f'Rule "{name}" needs the approval of a second person.'


def redactions_of(rules: Sequence[EvaluatedRule]) -> list[Redaction]:
    """Returns what the rules that redact remove, in order."""
    return [
        redaction
        for each in rules
        if each.outcome is Outcome.REDACT
        for redaction in redactions(
            each.chain_rule.conditions,
            each.chain_rule.action.replacement,
            each.facts,
            kind_by_value(each.chain_rule.rule.redaction),
        )
    ]


def _is_unavailable(rule: EvaluatedRule) -> bool:
    """Whether a rule routes to a model that is not available."""
    is_route = rule.chain_rule.action.type == policy_pack.ROUTE_TO
    return is_route and rule.outcome is Outcome.BLOCK


def reason_code(rule: EvaluatedRule) -> str:
    """Returns the reason code of the rule that decides; empty for a plain ALLOW."""
    if _is_unavailable(rule):
        return _ROUTE_UNAVAILABLE
    is_plain = rule.outcome is Outcome.ALLOW
    return "" if is_plain else f"CHAIN_{rule.chain_rule.action.type}"


def status_hint(rule: EvaluatedRule) -> int:
    """Returns the HTTP status with which a caller may answer, if this rule decides."""
    if _is_unavailable(rule):
        return _UNAVAILABLE
    return _FORBIDDEN if rule.outcome >= Outcome.PROMPT else 200


def message_of(rule: EvaluatedRule, destination: RouteTarget | None) -> str:
    """Returns the message for people.

    Args:
        rule: the rule that decides.
        destination: the model that the request is routed to; None if it is not.
    """
    action, name = rule.chain_rule.action, rule.chain_rule.rule.name
    if _is_unavailable(rule):
        target = action.model or action.tier
        return f'Blocked: rule "{name}" routes to {target}, which is not available.'
    if rule.outcome is Outcome.ROUTE_TO and destination is not None:
        return f'Routed to {destination.model} by rule "{name}".'
    if rule.outcome is Outcome.ESCALATE:
        return action.message or _escalation_message(name)
    verb = _VERBS.get(action.type)
    return action.message or (f'{verb} by rule "{name}".' if verb else "")


def match_of(evaluated: EvaluatedRule) -> Match:
    """Returns the match of a rule whose conditions are met."""
    rule, action = evaluated.chain_rule.rule, evaluated.chain_rule.action
    severity = _SEVERITIES.get(evaluated.outcome, "")
    return Match(CHAIN, rule.id, rule.name, action.type, severity, evaluated.result.reason)


def explained(
    evaluated: EvaluatedRule,
    exception: PolicyException | None,
    *,
    is_monitored: bool,
    approved_by: str = "",
) -> EvaluatedRule:
    """Returns the rule with a reason that also says why its match has no effect.

    Args:
        evaluated: the rule.
        exception: the exception that lifts it; None if none does.
        is_monitored: whether the rule is in monitor mode.
        approved_by: the approval or confirmation that lets it pass; empty for none.
    """
    matched, reason = evaluated.result
    if not matched:
        return evaluated
    reason = with_effect(reason, exception, is_monitored=is_monitored, approved_by=approved_by)
    return evaluated._replace(result=evaluated.result._replace(reason=reason))


def trace_row(evaluated: EvaluatedRule, *, has_effect: bool = True) -> TraceRow:
    """Returns the row of a rule in the trace of a decision.

    Args:
        evaluated: the rule.
        has_effect: whether its match counts: it is neither monitored nor lifted.
    """
    rule, pack = evaluated.chain_rule.rule, evaluated.chain_rule.pack
    matched, reason = evaluated.result
    return TraceRow(
        layer=CHAIN,
        reason=reason,
        matched=matched,
        outcome=evaluated.outcome if matched and has_effect else Outcome.ALLOW,
        policy_id=pack.id,
        policy_name=pack.name,
        rule_id=rule.id,
        rule_name=rule.name,
        sequence=rule.sequence,
    )
