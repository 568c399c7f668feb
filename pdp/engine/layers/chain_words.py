"""How the chain layer says what a rule came to: codes, messages, matches and trace rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import policy_pack
from pdp.domain.decision import Match, Outcome, TraceRow
from pdp.domain.layers import CHAIN

if TYPE_CHECKING:
    from pdp.engine.rules.chains import ChainRule
    from pdp.engine.rules.matching import Held

ROUTE_UNAVAILABLE: Final = "CHAIN_ROUTE_UNAVAILABLE"

_SEVERITIES: Final = {
    Outcome.BLOCK: "high",
    Outcome.CANCEL: "high",
    Outcome.PROMPT: "medium",
    Outcome.REDACT: "low",
}
_VERBS: Final = {
    policy_pack.BLOCK: "Blocked",
    policy_pack.CANCEL: "Cancelled",
    policy_pack.REDACT: "Redacted",
}
_STOPPED: Final = 403
_UNAVAILABLE: Final = 503


class Looked(NamedTuple):
    """One rule that was looked at, and what of its conditions held."""

    rule: ChainRule
    held: Held
    outcome: Outcome


def reason_code(rule: ChainRule, *, dead: bool) -> str:
    """Says to programs what a rule did."""
    if dead:
        return ROUTE_UNAVAILABLE
    kind = rule.action.type
    return "" if kind == policy_pack.ALLOW else f"CHAIN_{kind}"


def status(outcome: Outcome, *, dead: bool) -> int:
    """Returns what a gateway may answer with."""
    if dead:
        return _UNAVAILABLE
    return _STOPPED if outcome >= Outcome.PROMPT else 200


def message(rule: ChainRule, target: str | None) -> str:
    """Says to people what a rule did; `target` is the model that it routes to, if it does."""
    action, name = rule.action, rule.rule.name
    if target == "":
        wanted = action.model or action.tier
        return f'Blocked: rule "{name}" routes to {wanted}, which is not available.'
    if target:
        return f'Routed to {target} by rule "{name}".'
    verb = _VERBS.get(action.type)
    return action.message or (f'{verb} by rule "{name}".' if verb else "")


def match(looked: Looked) -> Match:
    """Returns the match of a rule that counts."""
    rule = looked.rule.rule
    severity = _SEVERITIES.get(looked.outcome, "")
    return Match(CHAIN, rule.id, rule.name, looked.rule.action.type, severity, looked.held.reason)


def row(looked: Looked) -> TraceRow:
    """Returns the trace row of a rule that was looked at."""
    rule, pack = looked.rule.rule, looked.rule.pack
    matched = looked.held.matched
    return TraceRow(
        layer=CHAIN,
        reason=looked.held.reason,
        matched=matched,
        outcome=looked.outcome if matched else Outcome.ALLOW,
        policy_id=pack.id,
        policy_name=pack.name,
        rule_id=rule.id,
        rule_name=rule.name,
        sequence=rule.sequence,
    )
