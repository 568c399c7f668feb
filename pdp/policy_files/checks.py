"""Checks of the policies that an import leaves: what the use cases check one policy at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.admin.dlp.entities import MAX_RULES as MAX_DLP_RULES
from pdp.admin.user_groups import list_violations, rule_violations
from pdp.domain import (
    compliance_bundle,
    dlp_rule,
    policy_chain,
    policy_exception,
    policy_pack,
    user_group,
)
from pdp.domain.compliance_bundle import all_bundles
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.effective_dlp_rules import effective_dlp_rules, tenant_rules
from pdp.domain.user_group import UserGroup, all_groups
from pdp.engine.dlp.config import read_config
from pdp.errors import MAX_VIOLATIONS, InvalidArgument, Violation
from pdp.policy_files.shape import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_set import PolicySet
    from pdp.policy_files.state import Body, State

_MOST: Final[Mapping[str, int]] = {
    "static_policy": SECTIONS["static_policies"].most,
    "customer_policy": SECTIONS["customer_policies"].most,
    "limit": SECTIONS["limits"].most,
    dlp_rule.KIND: MAX_DLP_RULES,
    policy_pack.KIND: policy_pack.MAX_PACKS,
    policy_pack.RULE_KIND: policy_pack.MAX_TENANT_RULES,
    policy_chain.KIND: policy_chain.MAX_USER_CHAINS + 1,
    compliance_bundle.KIND: compliance_bundle.MAX_BUNDLES,
    policy_exception.KIND: policy_exception.MAX_EXCEPTIONS,
}
"""How many policies of a kind one tenant may have."""


class Checks:
    """Checks of one import."""

    def __init__(
        self,
        before: State,
        after: State,
        changed: Collection[tuple[str, str]],
        places: Mapping[str, str],
        shipped: PolicySet,
    ) -> None:
        """Args:
        before: the tenant's policies.
        after: the policies that the import leaves.
        changed: kind and id of each policy that is created or changed.
        places: the path of each policy in the file, by kind and id.
        shipped: the platform's policies.
        """
        self._before = before
        self._after = after
        self._new = changed
        self._places = places
        self._shipped = shipped

    def run(self, own: PolicySet, detectors: Mapping[str, EntityDetector]) -> None:
        """Raises an error if the policies have faults.

        Args:
            own: the policies that the import leaves.
            detectors: the detectors that DLP rules may name.

        Raises:
            InvalidArgument: or `InvalidPattern`, with the places of the faults.
        """
        violations = [
            *self._counts(own),
            *self._removed_packs(),
            *self._names(own),
            *self._required_rules(own),
            *self._groups(own),
        ]
        if violations:
            raise InvalidArgument.of(*violations[:MAX_VIOLATIONS])
        self._check_dlp_rules(detectors)

    def _place(self, kind: str, policy_id: str) -> str:
        return self._places.get(f"{kind}/{policy_id}", f"policies.{kind}.{policy_id}.")

    def _changed(self, kind: str) -> Iterator[tuple[str, Body]]:
        for policy_id, body in self._after[kind].items():
            if (kind, policy_id) in self._new:
                yield policy_id, body

    def _counts(self, own: PolicySet) -> Iterator[Violation]:
        for kind, most in _MOST.items():
            count = len(self._after.get(kind, {}))
            if count > max(most, len(self._before.get(kind, {}))):
                yield Violation("policies", f"a tenant may have at most {most} of {kind}")
        groups = len(all_groups(self._shipped, own))
        if groups > user_group.MAX_GROUPS and any(self._changed(user_group.KIND)):
            reason = f"a tenant may have at most {user_group.MAX_GROUPS} groups"
            yield Violation("policies.user_groups", reason)

    def _removed_packs(self) -> Iterator[Violation]:
        """Yields the packs that the file removes although a chain uses them."""
        packs = {*self._after[policy_pack.KIND], *self._shipped.of_kind(policy_pack.KIND)}
        for chain_id, chain in self._after[policy_chain.KIND].items():
            for entry in chain["packs"]:
                pack = self._before[policy_pack.KIND].get(entry["pack_id"])
                if entry["pack_id"] not in packs:
                    name = pack["name"] if pack else entry["pack_id"]
                    user = chain.get("user_id")
                    chain_name = f"the chain of user {user}" if user else "the chain"
                    reason = f'{chain_name} uses pack "{name}", which the file does not have'
                    place = self._place(policy_chain.KIND, chain_id)
                    yield Violation(f"{place}packs", reason)

    def _names(self, own: PolicySet) -> Iterator[Violation]:
        """Yields the names that two bundles or two groups would have."""
        named: tuple[tuple[str, Mapping[str, Any]], ...] = (
            (compliance_bundle.KIND, all_bundles(self._shipped, own)),
            (user_group.KIND, all_groups(self._shipped, own)),
        )
        for kind, policies in named:
            holders: dict[str, str] = {}
            for policy_id, policy in policies.items():
                other = holders.setdefault(policy.name, policy_id)
                if other != policy_id and policy_id in self._after.get(kind, {}):
                    yield Violation(f"{self._place(kind, policy_id)}name", f"is that of {other}")

    def _required_rules(self, own: PolicySet) -> Iterator[Violation]:
        kind = dlp_rule.CUSTOMISATION_KIND
        bundles = all_bundles(self._shipped, own)
        rules = self._shipped.of_kind(dlp_rule.KIND)
        for rule_id, body in self._changed(kind):
            off = body.get("enabled") is False or body.get("action_tier") == dlp_rule.NONE
            rule = rules.get(rule_id)
            bundle = bundles.get(rule.bundle_id) if rule is not None else None
            if off and bundle is not None and bundle.enabled:
                reason = f'is required by bundle "{bundle.name}"; deactivate the bundle first'
                yield Violation(self._place(kind, rule_id).removesuffix("."), reason)

    def _groups(self, own: PolicySet) -> Iterator[Violation]:
        changed = dict(self._changed(user_group.KIND))
        if not changed:
            return
        rules = {
            **tenant_rules(self._shipped, own),
            **effective_dlp_rules(self._shipped, own).everyone,
        }
        for group_id, body in changed.items():
            group = UserGroup(**body)
            before = self._before[user_group.KIND].get(group_id, {})
            unchanged = [each for each in before.get("dlp_rules", ()) if each in group.dlp_rules]
            for field, reason in (
                *list_violations(group),
                *rule_violations(group.dlp_rules, rules, unchanged),
            ):
                yield Violation(f"{self._place(user_group.KIND, group_id)}{field}", reason)

    def _check_dlp_rules(self, detectors: Mapping[str, EntityDetector]) -> None:
        errors: list[InvalidArgument] = []
        for rule_id, body in self._changed(dlp_rule.KIND):
            try:
                read_config(DlpRule(**body), detectors, self._place(dlp_rule.KIND, rule_id))
            except InvalidArgument as error:
                errors.append(error)
                if len(errors) == MAX_VIOLATIONS:
                    break
        if errors:
            raise InvalidArgument.merged(errors)
