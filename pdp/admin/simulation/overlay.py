"""Overlays: a tenant's policies with candidate policies in them, compiled for one simulation.

A candidate replaces the policy with its id, or else the one with its name; otherwise it is added.
Its id may be empty.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.customer_policies import check_policy as check_customer_policy
from pdp.admin.placements import check_placement
from pdp.admin.policy_packs.chains import ChainEntryDraft, build_entries
from pdp.admin.policy_packs.rules import build_rules, check_drafts
from pdp.domain import (
    customer_policy as customers,
)
from pdp.domain import (
    dlp_rule,
    policy_chain,
    policy_pack,
    static_policy,
)
from pdp.domain import (
    org_policy as org,
)
from pdp.domain.dlp_rule import CUSTOMISABLE, DlpCustomisation, DlpRule
from pdp.domain.effective_dlp_rules import tenant_rules
from pdp.domain.policy_chain import PolicyChain
from pdp.domain.policy_pack import MAX_TENANT_RULES, PolicyPack, PolicyRule
from pdp.engine.compiler import compile_tenant
from pdp.engine.dlp.config import read_config
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidArgument, InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.policy_packs.rules import RuleDraft
    from pdp.domain.customer_policy import CustomerPolicy
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.static_policy import StaticPolicy
    from pdp.engine.snapshot import Platform, Snapshot

_STATIC_PATH: Final = "overlay.static_policies"
_CUSTOMER_PATH: Final = "overlay.customer_policy.policies."
_PACKS_PATH: Final = "overlay.packs"
_CHAIN_PATH: Final = "overlay.chain.packs"
_DLP_PATH: Final = "overlay.dlp_rules"


class PackCandidate(NamedTuple):
    """A whole pack. `rule_ids` are the ids of its rules; an empty one for a rule without an id."""

    pack: PolicyPack
    rules: Sequence[RuleDraft]
    rule_ids: Sequence[str]


class ChainCandidate(NamedTuple):
    """A whole chain of the tenant. An entry may name a candidate pack by its name."""

    entries: Sequence[ChainEntryDraft]
    combining_algorithm: str


def apply_overlay(
    snapshot: Snapshot,
    *,
    policies: PolicySet | None = None,
    static_policies: Sequence[StaticPolicy] = (),
    org_policy: Mapping[str, Any] | None = None,
    customer_policy: CustomerPolicy | None = None,
    packs: Sequence[PackCandidate] = (),
    chain: ChainCandidate | None = None,
    dlp_rules: Sequence[DlpRule] = (),
) -> Snapshot:
    """Returns a copy of `snapshot` with the candidates in it.

    Args:
        snapshot: the tenant's policies.
        policies: the tenant's policies with those of a policy file in them; None for no file.
        static_policies: candidate static policies. A candidate takes over the validator of the
            policy that it replaces, because the REST objects do not show validators.
        org_policy: changes of the org policy, by field name.
        customer_policy: replaces the policy of its customer.
        packs: candidate policy packs.
        chain: replaces the tenant's own chain.
        dlp_rules: candidate DLP rules.

    Raises:
        InvalidPattern: patterns of some candidates are not RE2; the error names them all.
        InvalidArgument: another candidate has faults; the error names them.
    """
    platform = snapshot.platform
    own = snapshot.policies if policies is None else policies
    policies = _add_static_policies(own, platform.policies, static_policies)
    if org_policy:
        current = policies.of_kind(org.KIND).get(org.ID, org.DEFAULT_ORG_POLICY)
        policies = policies.with_policies(org.KIND, {org.ID: replace(current, **org_policy)})
    if customer_policy is not None:
        check_customer_policy(customer_policy, _CUSTOMER_PATH)
        candidates = {customer_policy.customer_id: customer_policy}
        policies = policies.with_policies(customers.KIND, candidates)
    if packs or chain:
        policies = add_packs(policies, platform.policies, packs, chain)
    if dlp_rules:
        policies = _add_dlp_rules(policies, platform, dlp_rules)
    return compile_tenant(platform, snapshot.tenant_id, policies, snapshot.revision, snapshot)


def _add_static_policies(
    own: PolicySet, platform: PolicySet, candidates: Sequence[StaticPolicy]
) -> PolicySet:
    _check_patterns(candidates)
    kind = static_policy.KIND
    present = {**platform.of_kind(kind), **own.of_kind(kind)}
    ids = {policy.name: policy.id for policy in present.values()}
    policies = {}
    for index, candidate in enumerate(candidates):
        policy_id = candidate.id or ids.get(candidate.name) or f"overlay_{index}"
        original = present.get(policy_id, candidate)
        policies[policy_id] = replace(
            candidate, id=policy_id, family=original.family, validator=original.validator
        )
    return own.with_policies(kind, policies)


def _check_patterns(candidates: Sequence[StaticPolicy]) -> None:
    violations: list[Violation] = []
    for index, candidate in enumerate(candidates):
        try:
            CompiledPattern(candidate.pattern)
        except InvalidPattern as error:
            field = f"{_STATIC_PATH}[{index}].pattern"
            violations.append(Violation(field, error.violations[0].reason))
    if violations:
        raise InvalidPattern.of(*violations)
    for index, candidate in enumerate(candidates):
        check_placement(candidate, static_policy.ACTIONS, f"{_STATIC_PATH}[{index}].")


def add_packs(
    own: PolicySet,
    platform: PolicySet,
    packs: Sequence[PackCandidate],
    chain: ChainCandidate | None,
) -> PolicySet:
    """Returns `own` with candidate packs and a candidate chain in it.

    A pack is replaced as a whole, with its rules. A candidate can also replace a bundle.

    Args:
        own: the tenant's policies.
        platform: the policies that ship with the product.
        packs: candidate packs.
        chain: replaces the tenant's own chain; None leaves it as it is.

    Raises:
        InvalidArgument: a rule or the chain is not well-formed.
        InvalidPattern: a rule's pattern is not RE2.
    """
    kind = policy_pack.KIND
    present: dict[str, PolicyPack] = {**platform.of_kind(kind), **own.of_kind(kind)}
    candidates, rules = _pack_candidates(own, present, packs)
    if candidates:
        own = own.with_policies(kind, candidates).with_policies(policy_pack.RULE_KIND, rules)
    if chain is None:
        return own
    chains = {policy_chain.ORG_ID: _chain(chain, candidates, present)}
    return own.with_policies(policy_chain.KIND, chains)


def _pack_candidates(
    own: PolicySet, present: Mapping[str, PolicyPack], packs: Sequence[PackCandidate]
) -> tuple[dict[str, PolicyPack], dict[str, PolicyRule]]:
    """Returns the candidate packs by id, and all rules that change with them."""
    if sum(len(candidate.rules) for candidate in packs) > MAX_TENANT_RULES:
        reason = f"must have at most {MAX_TENANT_RULES} rules"
        raise InvalidArgument.of(Violation(_PACKS_PATH, reason))
    for index, candidate in enumerate(packs):
        check_drafts(candidate.rules, f"{_PACKS_PATH}[{index}].rules")
    ids = {pack.name: pack.id for pack in present.values()}
    candidates: dict[str, PolicyPack] = {}
    rules: dict[str, PolicyRule] = {}
    for index, candidate in enumerate(packs):
        pack = candidate.pack
        pack_id = pack.id or ids.get(pack.name) or f"overlay_pack_{index}"
        candidates[pack_id] = replace(pack, id=pack_id, rule_count=len(candidate.rules))
        rules |= _deactivated_rules(own.of_kind(policy_pack.RULE_KIND), pack_id)
        rules |= _candidate_rules(pack_id, candidate, f"{_PACKS_PATH}[{index}].rules")
    return candidates, rules


def _deactivated_rules(rules: Mapping[str, PolicyRule], pack_id: str) -> dict[str, PolicyRule]:
    """Returns the present rules of a pack, deactivated."""
    return {
        rule_id: replace(rule, is_active=False)
        for rule_id, rule in rules.items()
        if rule.pack_id == pack_id
    }


def _candidate_rules(pack_id: str, candidate: PackCandidate, path: str) -> dict[str, PolicyRule]:
    rules = build_rules(pack_id, (), candidate.rules, 0.0, path)
    return {
        (rule_id or rule.id): replace(rule, id=rule_id or rule.id)
        for rule_id, rule in zip(candidate.rule_ids, rules, strict=True)
    }


def _chain(
    chain: ChainCandidate, candidates: Mapping[str, PolicyPack], present: Mapping[str, PolicyPack]
) -> PolicyChain:
    """Returns the chain, with the names of candidate packs resolved to their ids."""
    ids = {pack.name: pack_id for pack_id, pack in candidates.items()}
    entries = [
        ChainEntryDraft(ids.get(each.pack_id, each.pack_id), each.sequence)
        for each in chain.entries
    ]
    return PolicyChain(
        "overlay_chain",
        combining_algorithm=chain.combining_algorithm,
        packs=build_entries(entries, {**present, **candidates}, _CHAIN_PATH),
    )


def _add_dlp_rules(own: PolicySet, platform: Platform, candidates: Sequence[DlpRule]) -> PolicySet:
    """Returns `own` with candidate DLP rules in it.

    A candidate for a platform rule becomes the tenant's customisation of that rule.

    Raises:
        InvalidArgument: some candidates are not well-formed, or change a read-only field of a
            platform rule.
        InvalidPattern: a pattern among them is not RE2.
    """
    present = tenant_rules(platform.policies, own)
    own_rules = own.of_kind(dlp_rule.KIND)
    ids = {rule.detector_name: rule.id for rule in present.values()}
    rules: dict[str, DlpRule] = {}
    customisations: dict[str, DlpCustomisation] = {}
    errors: list[InvalidArgument] = []
    for index, candidate in enumerate(candidates):
        rule_id = candidate.id or ids.get(candidate.detector_name) or f"overlay_dlp_{index}"
        try:
            if rule_id in present and rule_id not in own_rules:
                customisations[rule_id] = _customisation(present[rule_id], candidate, index)
            else:
                original = present.get(rule_id, candidate)
                rule = replace(
                    candidate, id=rule_id, bundle_id=original.bundle_id, clause=original.clause
                )
                read_config(rule, platform.detectors, f"{_DLP_PATH}[{index}].")
                check_placement(rule, dlp_rule.ACTION_TIERS, f"{_DLP_PATH}[{index}].")
                rules[rule_id] = rule
        except InvalidArgument as error:
            errors.append(error)
    if errors:
        raise InvalidArgument.merged(errors)
    return own.with_policies(dlp_rule.KIND, rules).with_policies(
        dlp_rule.CUSTOMISATION_KIND, customisations
    )


def _customisation(rule: DlpRule, candidate: DlpRule, index: int) -> DlpCustomisation:
    read_only = ["detector_name", "detector_type", "entity_type"]
    if candidate.config_json:
        read_only.append("config_json")
    violations = [
        Violation(f"{_DLP_PATH}[{index}].{name}", "is read-only in a platform rule")
        for name in read_only
        if getattr(candidate, name) != getattr(rule, name)
    ]
    if violations:
        raise InvalidArgument.of(*violations)
    check_placement(candidate, dlp_rule.ACTION_TIERS, f"{_DLP_PATH}[{index}].")
    return DlpCustomisation(rule.id, **{name: getattr(candidate, name) for name in CUSTOMISABLE})
