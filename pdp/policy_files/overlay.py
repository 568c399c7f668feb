"""A policy file laid over a tenant's policies, for simulations and replays."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pdp.policy_files.builder import Author, as_json
from pdp.policy_files.change import changes_between, policies_in, state_after
from pdp.policy_files.checks import Checks
from pdp.policy_files.entries import read_entries
from pdp.policy_files.secrets import STAND_IN, resolve
from pdp.policy_files.state import KINDS
from pdp.policy_files.target import target_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_set import PolicySet
    from pdp.policy_files.state import State


_AUTHOR: Final = Author("overlay", is_admin=True, may_be_permanent=True, needs_no_approval=True)


def with_policy_file(
    own: PolicySet,
    shipped: PolicySet,
    document: Mapping[str, Any],
    detectors: Mapping[str, EntityDetector],
    prefix: str,
    *,
    replace: bool = False,
) -> PolicySet:
    """Returns a tenant's policies with those of a policy file in them, as an import leaves them.

    Alerts are not sent for simulated decisions, so references to secrets need no values.

    Args:
        own: the tenant's policies.
        shipped: the platform's policies.
        document: the policies of the file, by section.
        detectors: the detectors that DLP rules may name.
        prefix: put before the paths of errors.
        replace: whether policies that the file does not have are removed from its sections.

    Raises:
        InvalidArgument: or a subclass: the document has faults.
    """
    entries = read_entries(resolve(document, STAND_IN), prefix)
    before = _state(own)
    target = target_of(entries, before, shipped, _AUTHOR, replace=replace)
    steps = changes_between(before, target.state)
    after = state_after(before, steps)
    policies = policies_in(after)
    changed = {(step.kind, step.entity_id) for step in steps if step.op != "delete"}
    Checks(before, after, changed, target.places, shipped).run(policies, detectors)
    return own.with_changes(
        (step.kind, step.entity_id, policies.of_kind(step.kind).get(step.entity_id))
        for step in steps
    )


def _state(policies: PolicySet) -> State:
    return {
        kind: {policy_id: _body(policy) for policy_id, policy in policies.of_kind(kind).items()}
        for kind in KINDS
    }


def _body(policy: Any) -> dict[str, Any]:
    return {each.name: as_json(getattr(policy, each.name)) for each in fields(policy)}
