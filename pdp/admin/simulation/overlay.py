"""Candidate policies laid over a tenant's own, compiled for one simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pdp.admin.customer_policies import check as check_customer
from pdp.admin.simulation.overlay_dlp import lay_dlp_rules
from pdp.admin.simulation.overlay_packs import ChainCandidate, PackCandidate, lay_packs
from pdp.domain import customer_policy as customers
from pdp.domain import org_policy as org
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.engine.compiler import compile_tenant
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.customer_policy import CustomerPolicy
    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.policy_set import PolicySet
    from pdp.engine.snapshot import Snapshot


def overlaid(
    snapshot: Snapshot,
    *,
    static_policies: Sequence[StaticPolicy] = (),
    org_policy: Mapping[str, Any] | None = None,
    customer_policy: CustomerPolicy | None = None,
    packs: Sequence[PackCandidate] = (),
    chain: ChainCandidate | None = None,
    dlp_rules: Sequence[DlpRule] = (),
) -> Snapshot:
    """Returns `snapshot` with the candidates in it; it itself stays as it is.

    A candidate replaces the policy of its id, else of its name, else is added. Its id may be
    empty. What it replaces lends it its validator, which the REST objects do not show. `org_policy`
    holds changes to the tenant's org policy, by field name. `customer_policy` takes the place of
    its customer's, `chain` that of the tenant's own chain.

    Raises:
        InvalidPattern: some candidates' patterns are not RE2; it names them all.
        InvalidArgument: another candidate has faults; it names them.
    """
    policies = snapshot.policies
    laid_over = _lay_static(policies, snapshot.platform.policies, static_policies)
    if org_policy:
        present = policies.of_kind(org.KIND).get(org.ID, org.DEFAULT_ORG_POLICY)
        laid_over = laid_over.with_policies(org.KIND, {org.ID: replace(present, **org_policy)})
    if customer_policy is not None:
        check_customer(customer_policy, "overlay.customer_policy.policies.")
        candidate_of = {customer_policy.customer_id: customer_policy}
        laid_over = laid_over.with_policies(customers.KIND, candidate_of)
    if packs or chain:
        laid_over = lay_packs(laid_over, snapshot.platform.policies, packs, chain)
    if dlp_rules:
        laid_over = lay_dlp_rules(laid_over, snapshot.platform, dlp_rules)
    return compile_tenant(
        snapshot.platform, snapshot.tenant_id, laid_over, snapshot.revision, snapshot
    )


def _lay_static(
    own: PolicySet, platform: PolicySet, candidates: Sequence[StaticPolicy]
) -> PolicySet:
    _check(candidates)
    known = {**platform.of_kind(KIND), **own.of_kind(KIND)}
    by_name = {policy.name: policy.id for policy in known.values()}
    laid = {}
    for index, candidate in enumerate(candidates):
        policy_id = candidate.id or by_name.get(candidate.name) or f"overlay_{index}"
        replaced = known.get(policy_id, candidate)
        laid[policy_id] = replace(
            candidate, id=policy_id, family=replaced.family, validator=replaced.validator
        )
    return own.with_policies(KIND, laid)


def _check(candidates: Sequence[StaticPolicy]) -> None:
    violations: list[Violation] = []
    for index, candidate in enumerate(candidates):
        try:
            CompiledPattern(candidate.pattern)
        except InvalidPattern as error:
            place = f"overlay.static_policies[{index}].pattern"
            violations.append(Violation(place, error.violations[0].reason))
    if violations:
        message = "; ".join(f"{field}: {reason}" for field, reason in violations)
        raise InvalidPattern(message, *violations)
