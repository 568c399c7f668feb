"""Candidate policies laid over a tenant's own, compiled for one simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.engine.compiler import compile_tenant
from pdp.engine.patterns import CompiledPattern
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.engine.snapshot import Snapshot


def overlaid(snapshot: Snapshot, *, static_policies: Sequence[StaticPolicy]) -> Snapshot:
    """Returns `snapshot` with the candidates in it; it itself stays as it is.

    A candidate replaces the policy of its id, else of its name, else is added. Its id may be
    empty. What it replaces lends it its validator, which the REST objects do not show.

    Raises:
        InvalidPattern: some candidates' patterns are not RE2; it names them all.
    """
    _check(static_policies)
    policies = snapshot.policies
    known = {**snapshot.platform.policies.of_kind(KIND), **policies.of_kind(KIND)}
    by_name = {policy.name: policy.id for policy in known.values()}
    laid = {}
    for index, candidate in enumerate(static_policies):
        policy_id = candidate.id or by_name.get(candidate.name) or f"overlay_{index}"
        replaced = known.get(policy_id, candidate)
        laid[policy_id] = replace(
            candidate, id=policy_id, family=replaced.family, validator=replaced.validator
        )
    return compile_tenant(
        snapshot.platform,
        snapshot.tenant_id,
        policies.replaced(KIND, laid),
        snapshot.revision,
        snapshot,
        settings=snapshot.settings,
    )


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
