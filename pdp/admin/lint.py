"""Finds rules of a tenant that do nothing, or less than they seem: for `pdp policies lint`.

- *shadowed*: a rule before it decides every request that meets it;
- *contradictory*: another policy looks for the same and does something else;
- *duplicate*: another policy looks for the same and does the same;
- *unmatched*: no record of the period has it;
- and what the answer of a write would warn of.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.effect_checks import find_shadowing_rule
from pdp.admin.example_requests import example_request
from pdp.admin.write_checks import CHECKS
from pdp.admin.written_policy import WriteContext, WrittenPolicy
from pdp.domain import dlp_rule, policy_pack, static_policy
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.policy_pack import PolicyPack, packs_with_rules
from pdp.domain.write_warning import RULE_NEVER_REACHED
from pdp.engine.rules.chains import ChainRule
from pdp.engine.rules.documents import known_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pdp.engine.snapshot import Snapshot

    LooksFor = Callable[[Any], Any]
    Does = Callable[[Any], Any]
    NameOf = Callable[[Any], str]

SHADOWED: Final = "shadowed"
CONTRADICTORY: Final = "contradictory"
DUPLICATE: Final = "duplicate"
UNMATCHED: Final = "unmatched"
WARNING: Final = "warning"

MAX_FINDINGS: Final = 1000
"""Findings of one run."""


class LintFinding(NamedTuple):
    """One thing that the author of a policy may not expect.

    Attributes:
        finding: `SHADOWED`, `CONTRADICTORY`, `DUPLICATE`, `UNMATCHED` or `WARNING`.
        kind: the kind of the policy.
        id, name: the policy.
        message: what is the matter, and what to do.
        other_id, other_name: the policy that shadows it, or that looks for the same; empty for
            none.
        example: a request, as JSON, that meets the policy; None if there is none.
        field: the field that a warning is about; empty for the whole policy.
        code: the code of a warning; empty for others.
    """

    finding: str
    kind: str
    id: str
    name: str
    message: str
    other_id: str = ""
    other_name: str = ""
    example: Mapping[str, Any] | None = None
    field: str = ""
    code: str = ""


def lint(snapshot: Snapshot, matched: Collection[str] | None = None) -> list[LintFinding]:
    """Returns what the author of a tenant's own policies may not expect, at most `MAX_FINDINGS`.

    Args:
        snapshot: the tenant's policies.
        matched: the IDs of the policies that matched in the period; None if that is not known.
    """
    context = WriteContext(snapshot)
    findings: list[LintFinding] = []
    for check in (_shadowed, _same, _warnings):
        for finding in check(context):
            findings.append(finding)
            if len(findings) == MAX_FINDINGS:
                return findings
    if matched is not None:
        shadowed = {each.id for each in findings if each.finding == SHADOWED}
        findings += _unmatched(context, {*matched, *shadowed})
    return findings[:MAX_FINDINGS]


def enforced_policies(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    """Returns the kind, the ID and the name of each of the tenant's own policies in force."""
    own = snapshot.policies
    policies = [
        (static_policy.KIND, each.id, each.name)
        for each in own.of_kind(static_policy.KIND).values()
        if each.enabled
    ]
    policies += (
        (dlp_rule.KIND, each.id, each.detector_name)
        for each in own.of_kind(dlp_rule.KIND).values()
        if each.enabled
    )
    context = WriteContext(snapshot)
    packs = packs_with_rules(snapshot.platform.policies, own, context.packs_in_chains)
    own_rules = own.of_kind(policy_pack.RULE_KIND)
    policies += (
        (policy_pack.RULE_KIND, rule.id, rule.name)
        for each in packs.values()
        if each.pack.is_active
        for rule in each.rules
        if rule.is_active and rule.id in own_rules
    )
    return policies


def _shadowed(context: WriteContext) -> Iterator[LintFinding]:
    own_rules = context.snapshot.policies.of_kind(policy_pack.RULE_KIND)
    for rule in context.ordered_rules:
        if rule.rule.id not in own_rules:
            continue
        other = find_shadowing_rule(context, rule.rule.id)
        if other is not None:
            yield _finding_of_rule(
                SHADOWED,
                rule,
                other,
                f'rule "{other.rule.name}" of pack "{other.pack.name}" decides every request that '
                "meets it; move it before that rule, or narrow that rule",
            )


def _finding_of_rule(finding: str, rule: ChainRule, other: ChainRule, message: str) -> LintFinding:
    return LintFinding(
        finding,
        policy_pack.RULE_KIND,
        rule.rule.id,
        rule.rule.name,
        message,
        other.rule.id,
        other.rule.name,
        example_request(rule),
    )


def _same(context: WriteContext) -> Iterator[LintFinding]:
    """Yields the policies that look for the same as an earlier one."""
    own = context.snapshot.policies
    for kind, (looks_for, does, name_of) in _SAME.items():
        earlier: dict[str, Any] = {}
        for policy in own.of_kind(kind).values():
            other = earlier.setdefault(_key(looks_for(policy)), policy)
            if other is policy:
                continue
            is_duplicate = does(policy) == does(other)
            verb = "does the same" if is_duplicate else "does something else"
            yield LintFinding(
                DUPLICATE if is_duplicate else CONTRADICTORY,
                kind,
                policy.id,
                name_of(policy),
                f'"{name_of(other)}" looks for the same and {verb}; remove one of them',
                other.id,
                name_of(other),
                _example(kind, policy),
            )


def _example(kind: str, policy: Any) -> Mapping[str, Any] | None:
    if kind != policy_pack.RULE_KIND:
        return None
    pack = PolicyPack(policy.pack_id, "")
    return example_request(ChainRule(pack, policy, *known_rule(policy.conditions, policy.action)))


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=list)


def _static_looks_for(policy: Any) -> Any:
    return [policy.pattern, sorted(policy.scope), policy.expression, policy.enabled]


def _static_does(policy: Any) -> Any:
    return [
        policy.action,
        dict(policy.scope_actions),
        policy.in_prose,
        policy.mode,
        policy.severity,
    ]


def _dlp_looks_for(rule: Any) -> Any:
    labels = {name: rule.config_json.get(name) for name in ("pattern", "entities", "labels")}
    return [rule.detector_type, labels, sorted(rule.scope), rule.expression, rule.enabled]


def _dlp_does(rule: Any) -> Any:
    return [rule.action_tier, dict(rule.scope_actions), rule.mode, rule.entity_type]


def _rule_looks_for(rule: Any) -> Any:
    conditions = {name: value for name, value in rule.conditions.items() if value not in (None, "")}
    return [rule.pack_id, rule.applies_to, conditions, rule.is_active]


def _rule_does(rule: Any) -> Any:
    return dict(rule.action)


_SAME: Final[Mapping[str, tuple[LooksFor, Does, NameOf]]] = {
    static_policy.KIND: (_static_looks_for, _static_does, lambda policy: policy.name),
    dlp_rule.KIND: (_dlp_looks_for, _dlp_does, lambda rule: rule.detector_name),
    policy_pack.RULE_KIND: (_rule_looks_for, _rule_does, lambda rule: rule.name),
}
"""What policies of a kind look for, what they do, and their names."""


def _warnings(context: WriteContext) -> Iterator[LintFinding]:
    """Yields what the answers of writes would warn of, except for shadowed rules."""
    own = context.snapshot.policies
    for kind in ENTITY_CLASSES:
        for policy in own.of_kind(kind).values():
            body = {each.name: getattr(policy, each.name) for each in fields(policy)}
            yield from _warnings_about(context, WrittenPolicy(kind, body))


def _warnings_about(context: WriteContext, policy: WrittenPolicy) -> Iterator[LintFinding]:
    for check in CHECKS:
        for warning in check(context, policy):
            if warning.code != RULE_NEVER_REACHED:
                yield LintFinding(
                    WARNING,
                    policy.kind,
                    _id_of(policy.body),
                    _name_of(policy.body),
                    warning.message,
                    field=warning.field,
                    code=warning.code,
                )


def _id_of(body: Mapping[str, Any]) -> str:
    return str(body.get("id") or body.get("policy_id") or body.get("rule_id") or "")


def _name_of(body: Mapping[str, Any]) -> str:
    return str(body.get("name") or body.get("detector_name") or _id_of(body))


def _unmatched(context: WriteContext, matched: Collection[str]) -> Iterator[LintFinding]:
    for kind, policy_id, name in enforced_policies(context.snapshot):
        if policy_id not in matched:
            message = "no record of the period has it; check its conditions, or remove it"
            yield LintFinding(UNMATCHED, kind, policy_id, name, message)
