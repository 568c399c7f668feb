"""Reads the policies of the platform and a tenant, of the kinds that a use case needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import compliance_bundle, dlp_rule, user_group
from pdp.domain.kinds import read_policies
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdp.domain.policy_set import PolicySet
    from pdp.store.port import Reader

BUNDLE_KINDS: Final = (compliance_bundle.KIND, compliance_bundle.STATE_KIND)
DLP_RULE_KINDS: Final = (dlp_rule.KIND, dlp_rule.CUSTOMISATION_KIND)
GROUP_KINDS: Final = (user_group.KIND,)


class PolicySets(NamedTuple):
    """The policies of the platform and a tenant."""

    platform: PolicySet
    own: PolicySet


def read_policy_sets(
    reader: Reader, tenant_id: str, kinds: Iterable[str], *, own: Iterable[str] | None = None
) -> PolicySets:
    """Returns the policies of these kinds.

    Args:
        reader: a view of the store.
        tenant_id: the tenant.
        kinds: the kinds of the platform's policies.
        own: the kinds of the tenant's policies; None for the same kinds.
    """
    kinds = tuple(kinds)
    platform_policies, own_policies = (
        read_policies(entity for kind in owner_kinds for entity in reader.list(kind, owner))
        for owner, owner_kinds in (
            (PLATFORM, kinds),
            (tenant_id, kinds if own is None else tuple(own)),
        )
    )
    return PolicySets(platform_policies, own_policies)
