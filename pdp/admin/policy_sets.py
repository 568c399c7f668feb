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


def read_policy_sets(reader: Reader, tenant_id: str, kinds: Iterable[str]) -> PolicySets:
    """Returns the policies of these kinds."""
    kinds = tuple(kinds)
    platform, own = (
        read_policies(entity for kind in kinds for entity in reader.list(kind, owner))
        for owner in (PLATFORM, tenant_id)
    )
    return PolicySets(platform, own)
