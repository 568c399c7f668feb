"""The warnings about the candidates of an overlay, as if they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.admin.write_checks import collect_warnings
from pdp.admin.written_policy import WrittenPolicy
from pdp.domain import customer_policy as customers
from pdp.domain import dlp_rule, policy_pack, static_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.admin.simulation.overlay import PackCandidate
    from pdp.domain.customer_policy import CustomerPolicy
    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.static_policy import StaticPolicy
    from pdp.domain.write_warning import WriteWarning
    from pdp.engine.snapshot import Snapshot


def overlay_warnings(
    snapshot: Snapshot,
    *,
    static_policies: Sequence[StaticPolicy] = (),
    customer_policy: CustomerPolicy | None = None,
    packs: Sequence[PackCandidate] = (),
    dlp_rules: Sequence[DlpRule] = (),
) -> tuple[WriteWarning, ...]:
    """Returns the warnings about candidates that `apply_overlay` has accepted.

    Args:
        snapshot: the tenant's policies with the candidates.
        static_policies: see `apply_overlay`.
        customer_policy: see `apply_overlay`.
        packs: see `apply_overlay`.
        dlp_rules: see `apply_overlay`.
    """
    written = _written(static_policies, customer_policy, packs, dlp_rules)
    return collect_warnings(snapshot, list(written))


def _written(
    static_policies: Sequence[StaticPolicy],
    customer_policy: CustomerPolicy | None,
    packs: Sequence[PackCandidate],
    dlp_rules: Sequence[DlpRule],
) -> Iterator[WrittenPolicy]:
    for index, policy in enumerate(static_policies):
        prefix = f"overlay.static_policies[{index}]."
        yield WrittenPolicy(static_policy.KIND, static_policy.body_of(policy), prefix)
    if customer_policy is not None:
        prefix = "overlay.customer_policy.policies."
        yield WrittenPolicy(customers.KIND, customers.body_of(customer_policy), prefix)
    for pack_index, candidate in enumerate(packs):
        for index, rule in enumerate(candidate.rules):
            prefix = f"overlay.packs[{pack_index}].rules[{index}]."
            body = {"conditions": rule.conditions, "action": rule.action}
            yield WrittenPolicy(policy_pack.RULE_KIND, body, prefix)
    for index, each in enumerate(dlp_rules):
        prefix = f"overlay.dlp_rules[{index}]."
        yield WrittenPolicy(dlp_rule.KIND, dlp_rule.body_of(each), prefix)
