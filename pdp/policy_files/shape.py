"""The sections of a policy file, and the fields of their entries.

The fields of an entry are those of the request that creates or changes such a policy over the API.
So a new field of a request is a field of the file at once. `Section` says how a section differs
from its request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp._gen.pdp.v1 import (
    compliance_bundle_pb2,
    customer_policy_pb2,
    dlp_rule_pb2,
    exception_pb2,
    limits_pb2,
    org_policy_pb2,
    policy_chain_pb2,
    policy_pack_pb2,
    static_policy_pb2,
    tenant_settings_pb2,
    user_group_pb2,
)
from pdp.admin import customer_policies, limits, static_policies
from pdp.admin.dlp.entities import MAX_RULES
from pdp.domain.compliance_bundle import MAX_BUNDLES
from pdp.domain.policy_chain import MAX_USER_CHAINS
from pdp.domain.policy_exception import MAX_EXCEPTIONS
from pdp.domain.policy_pack import MAX_PACKS
from pdp.domain.user_group import MAX_GROUPS
from pdp.jsonpb.fields import json_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

FORMAT: Final = "pdp-policies/2"

MAX_UPDATES: Final = 100
"""Entries of a section with one policy; each changes what those before it leave."""

MAX_SEEDED: Final = 1000
"""Entries about policies that ship with the product, in one section."""


class Section(NamedTuple):
    """One section of a policy file.

    Attributes:
        request: the request whose fields an entry has.
        name: the field that identifies an entry in its section; empty if there is one entry only.
        most: how many entries there may be.
        description: what the entries are, for editors.
        aliases: names of fields in files, with the request's name of each.
        omitted: fields of the request that an entry does not have.
        extras: fields of an entry that the request does not have, with their JSON types.
    """

    request: type[Message]
    name: str
    most: int
    description: str
    aliases: Mapping[str, str] = {}
    omitted: frozenset[str] = frozenset()
    extras: Mapping[str, str] = {}

    @property
    def single(self) -> bool:
        """Whether the section is one entry, not a list."""
        return not self.name

    def file_fields(self) -> list[str]:
        """Returns the fields of an entry, in the order in which they are written."""
        names = {field: alias for alias, field in self.aliases.items()}
        fields = [names.get(each.name, each.name) for each in json_fields(self.descriptor)]
        return [*self.extras, *(each for each in fields if each not in self.omitted)]

    @property
    def descriptor(self) -> Any:
        """The descriptor of the request."""
        return self.request.DESCRIPTOR


_BUNDLE: Final = {"bundle": "bundle_id"}

SECTIONS: Final[Mapping[str, Section]] = {
    "tenant_settings": Section(
        tenant_settings_pb2.UpdateTenantSettingsRequest, "", MAX_UPDATES, "The tenant's settings."
    ),
    "org_policy": Section(
        org_policy_pb2.UpdateOrgPolicyRequest,
        "",
        MAX_UPDATES,
        "What is recorded, reported and blocked by risk. The URL of a webhook is a reference to "
        "an environment variable, such as ${SLACK_WEBHOOK}.",
    ),
    "static_policies": Section(
        static_policy_pb2.CreateStaticPolicyRequest,
        "name",
        static_policies.MAX_POLICIES,
        "Patterns that are looked for in every text.",
    ),
    "overrides": Section(
        static_policy_pb2.CreateStaticPolicyOverrideRequest,
        "policy_id",
        MAX_SEEDED,
        "The tenant's own actions for system policies, by the id of the policy.",
        {"policy_id": "id"},
    ),
    "dlp": Section(
        dlp_rule_pb2.CreateDlpRuleRequest,
        "detector_name",
        MAX_RULES,
        "The tenant's own DLP rules.",
    ),
    "dlp_settings": Section(
        dlp_rule_pb2.UpdateDlpRuleRequest,
        "rule",
        MAX_SEEDED,
        "Changes of DLP rules that ship with the product: a detector such as email, or a rule of "
        "a bundle such as pci_dss/card.",
        {"rule": "rule_id"},
    ),
    "compliance_bundles": Section(
        compliance_bundle_pb2.CreateComplianceBundleRequest,
        "name",
        MAX_BUNDLES,
        "The tenant's own compliance bundles, with the names of their DLP rules.",
    ),
    "upgraded_bundles": Section(
        compliance_bundle_pb2.UpgradeComplianceBundleRequest,
        "bundle",
        MAX_SEEDED,
        "Bundles that ship with the product, at their latest definition.",
        _BUNDLE,
    ),
    "active_bundles": Section(
        compliance_bundle_pb2.ActivateComplianceBundleRequest,
        "bundle",
        MAX_SEEDED,
        "Bundles that are in force for all users.",
        _BUNDLE,
    ),
    "bundle_settings": Section(
        compliance_bundle_pb2.UpdateComplianceBundleRequest,
        "bundle",
        MAX_SEEDED,
        "The tenant's settings of bundles that ship with the product, such as pci_dss.",
        _BUNDLE,
        extras={"version": "string"},
    ),
    "user_groups": Section(
        user_group_pb2.CreateUserGroupRequest,
        "name",
        MAX_GROUPS,
        "User groups, with their bundles and stricter DLP rules by name.",
        extras={"id": "string", "removed": "boolean"},
    ),
    "limits": Section(
        limits_pb2.CreateLimitRequest,
        "subject_id",
        limits.MAX_LIMITS,
        "How much users and groups may use.",
    ),
    "packs": Section(
        policy_pack_pb2.CreatePolicyPackRequest,
        "name",
        MAX_PACKS,
        "The tenant's own policy packs, with their rules in order.",
        omitted=frozenset({"pack_type"}),
        extras={"id": "string"},
    ),
    "pack_settings": Section(
        policy_pack_pb2.UpdatePolicyPackRequest,
        "pack",
        MAX_SEEDED,
        "Whether policy packs that ship with the product are active.",
        {"pack": "pack_id"},
        omitted=frozenset({"name", "description", "compliance_standard", "version"}),
    ),
    "chain": Section(
        policy_chain_pb2.ReplaceOrgPolicyChainRequest,
        "",
        MAX_UPDATES,
        "The policy packs that apply to all requests, by name and in order.",
    ),
    "user_chains": Section(
        policy_chain_pb2.ReplaceUserPolicyChainRequest,
        "user_id",
        MAX_USER_CHAINS,
        "Additional policy packs of single users.",
    ),
    "exceptions": Section(
        exception_pb2.CreateExceptionRequest,
        "name",
        MAX_EXCEPTIONS,
        "Policies that are lifted for some requests, by the names of the policies. A rule of a "
        "pack is named by itself, or as Pack > Rule.",
    ),
    "customer_policies": Section(
        customer_policy_pb2.PutCustomerPolicyRequest,
        "customer_id",
        customer_policies.MAX_CUSTOMERS,
        "What the tenant's customers may do.",
    ),
}
"""In the order in which they are written."""
