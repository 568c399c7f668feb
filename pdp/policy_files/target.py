"""The state of a tenant's policies that a policy file describes."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain import (
    customer_policy,
    dlp_rule,
    limits,
    org_policy,
    policy_chain,
    policy_pack,
    static_policy,
    tenant_settings,
    user_group,
)
from pdp.errors import MAX_VIOLATIONS, InvalidArgument
from pdp.policy_files.builder import StateBuilder, defaults_of
from pdp.policy_files.bundle_sections import BundleSections
from pdp.policy_files.exception_section import ExceptionSection
from pdp.policy_files.names import derived_id
from pdp.policy_files.secrets import restore_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pdp.domain.policy_set import PolicySet
    from pdp.policy_files.builder import Author
    from pdp.policy_files.entries import Entries, Entry
    from pdp.policy_files.state import Body, State

_COSTS: Final[Mapping[str, str]] = {
    bound.name: bound.attribute for bound in limits.QUOTAS if bound.name != bound.attribute
}
"""The costs in dollars, with the field that has them in micro-dollars."""

_CUSTOMISABLE: Final = frozenset(each.name for each in fields(dlp_rule.DlpCustomisation)) - {
    "rule_id",
    "updated_at",
}


class TargetState(NamedTuple):
    """The policies that a file describes.

    Attributes:
        state: all policies of the kinds that the file changes, by kind and id.
        places: the path of each policy in the file, by its id.
    """

    state: State
    places: dict[str, str]


def target_of(
    entries: Entries,
    present: State,
    shipped_policies: PolicySet,
    author: Author,
    *,
    replace: bool,
) -> TargetState:
    """Returns the policies that a tenant has after an import.

    Args:
        entries: the entries of the file.
        present: the tenant's policies of all kinds.
        shipped_policies: the platform's policies.
        author: who makes the change.
        replace: whether policies that the file does not have are removed from its sections.

    Raises:
        InvalidArgument: a name stands for nothing or occurs twice, or a value is not possible; the
            error names all such places.
    """
    builder = _TargetBuilder(entries, present, shipped_policies, author, replace=replace)
    builder.build()
    if builder.violations:
        raise InvalidArgument.of(*builder.violations[:MAX_VIOLATIONS])
    return TargetState(builder.state, builder.places)


class _TargetBuilder(StateBuilder):
    """Builds the state section by section."""

    def build(self) -> None:
        """Builds the state. Sections that others refer to come first."""
        sections: dict[str, Callable[[Sequence[Entry]], None]] = {
            "tenant_settings": self._tenant_settings,
            "org_policy": self._org_policy,
            "static_policies": self._static_policies,
            "overrides": self._overrides,
            "dlp": self._dlp,
            "dlp_settings": self._dlp_settings,
            **BundleSections(self).sections(),
            "user_groups": self._user_groups,
            "limits": self._limits,
            "packs": self._packs,
            "pack_settings": self._pack_settings,
            "chain": self._chain,
            "user_chains": self._user_chains,
            "customer_policies": self._customer_policies,
            "exceptions": ExceptionSection(self).read,
        }
        for key, read in sections.items():
            if key in self.entries:
                read(self.entries[key])

    def _tenant_settings(self, entries: Sequence[Entry]) -> None:
        kind, policy_id = tenant_settings.KIND, tenant_settings.ID
        self._clear_single(kind, policy_id)
        for entry in entries:
            base = self._base(kind, policy_id)
            self._put_single(kind, policy_id, entry, {**base, **entry.fields})

    def _org_policy(self, entries: Sequence[Entry]) -> None:
        kind, policy_id = org_policy.KIND, org_policy.ID
        self._clear_single(kind, policy_id)
        for entry in entries:
            body = self._base(kind, policy_id)
            given = dict(entry.fields)
            blocking = given.pop("blocking_rules", {})
            body |= given.pop("frameworks", {})
            body |= {_BLOCKING[name]: value for name, value in blocking.items()}
            if "alert_rules" in given:
                present = self.present.get(kind, {}).get(policy_id, {}).get("alert_rules", ())
                rules, missing = restore_secrets(given["alert_rules"], present)
                given["alert_rules"] = rules
                for index, reason in missing:
                    place = f"{entry.path}alert_rules[{index}].notify.slack_webhook_url"
                    self.refuse(place, reason)
            self._put_single(kind, policy_id, entry, {**body, **given})

    def _base(self, kind: str, policy_id: str) -> Body:
        """Returns what the entry of a section with one entry changes."""
        return {**defaults_of(kind), **self.bodies(kind).get(policy_id, {})}

    def _clear_single(self, kind: str, policy_id: str) -> None:
        """Removes the policy of a section with one entry, if the file describes all of it."""
        if self.replace:
            self.bodies(kind).pop(policy_id, None)

    def _put_single(self, kind: str, policy_id: str, entry: Entry, body: Body) -> None:
        bodies = self.bodies(kind)
        if policy_id not in bodies and body == defaults_of(kind):
            return
        bodies[policy_id] = body
        self.places[f"{kind}/{policy_id}"] = entry.path

    def _static_policies(self, entries: Sequence[Entry]) -> None:
        kind = static_policy.KIND
        self.bodies(kind, cleared=True)
        for entry in entries:
            policy_id = self.id_of(kind, entry.fields["name"])
            self.put(kind, policy_id, entry, self.body(kind, entry.fields, id=policy_id))

    def _overrides(self, entries: Sequence[Entry]) -> None:
        kind = static_policy.OVERRIDE_KIND
        self.bodies(kind, cleared=True)
        for entry in entries:
            name = entry.fields.pop("id", "")
            path = f"{entry.path}policy_id"
            policy_id = self.found(self.shipped.system_policy(name), name, path, "system policy")
            self.put(kind, policy_id, entry, self.body(kind, entry.fields, policy_id=policy_id))

    def _dlp(self, entries: Sequence[Entry]) -> None:
        kind = dlp_rule.KIND
        self.bodies(kind, cleared=True)
        for entry in entries:
            rule_id = self.id_of(kind, entry.fields["detector_name"])
            present = self.present.get(kind, {}).get(rule_id, {})
            kept = {name: present[name] for name in ("bundle_id", "clause") if name in present}
            self.put(kind, rule_id, entry, self.body(kind, entry.fields, id=rule_id, **kept))

    def _dlp_settings(self, entries: Sequence[Entry]) -> None:
        kind = dlp_rule.CUSTOMISATION_KIND
        bodies = self.bodies(kind)
        blank = defaults_of(kind)
        if self.replace:
            for rule_id in [each for each in bodies if not _is_blank(bodies[each], blank)]:
                del bodies[rule_id]
        for entry in entries:
            given = dict(entry.fields)
            rule_id = self.rule_id(given.pop("rule_id", ""), f"{entry.path}rule")
            if rule_id in self.current(dlp_rule.KIND):
                rules = self.bodies(dlp_rule.KIND)
                rules[rule_id] = {**rules[rule_id], **given}
                continue
            for name in sorted(given.keys() - _CUSTOMISABLE):
                self.refuse(f"{entry.path}{name}", "is read-only in a rule of the platform")
            body = {**blank, **bodies.get(rule_id, {}), "rule_id": rule_id}
            self.put(kind, rule_id, entry, {**body, **given})

    def _user_groups(self, entries: Sequence[Entry]) -> None:
        kind = user_group.KIND
        self.bodies(kind, cleared=True)
        for entry in entries:
            name = entry.fields["name"]
            shipped = self.shipped.policies.of_kind(kind)
            group_id = entry.extras.get("id") or self.shipped.group(name) or self.id_of(kind, name)
            if "id" in entry.extras and group_id not in shipped:
                self.refuse(f"{entry.path}id", "must be the id of a group of the platform")
            removed = entry.extras.get("removed", False)
            if removed and group_id not in shipped:
                self.refuse(f"{entry.path}removed", "only groups of the platform can be removed")
            given = self._group_references(entry)
            body = self.body(kind, given, id=group_id, removed=removed)
            self.put(kind, group_id, entry, body)

    def _group_references(self, entry: Entry) -> Body:
        """Returns the fields of a group, with ids in place of names."""
        given = dict(entry.fields)
        if "members" in given:
            given["members"] = list(dict.fromkeys(given["members"]))
        if "bundle_ids" in given:
            names = dict.fromkeys(given["bundle_ids"])
            place = f"{entry.path}bundle_ids"
            given["bundle_ids"] = [
                self.bundle_id(name, f"{place}[{index}]") for index, name in enumerate(names)
            ]
        if "dlp_rules" in given:
            place = f"{entry.path}dlp_rules"
            given["dlp_rules"] = [
                {**each, "rule_id": self.rule_id(each["rule_id"], f"{place}[{index}].rule_id")}
                for index, each in enumerate(given["dlp_rules"])
            ]
        return given

    def _limits(self, entries: Sequence[Entry]) -> None:
        kind = limits.KIND
        self.bodies(kind, cleared=True)
        present = {
            (body["scope"], body["subject_id"]): limit_id
            for limit_id, body in self.present.get(kind, {}).items()
        }
        for entry in entries:
            given = dict(entry.fields)
            for name, attribute in _COSTS.items():
                if name in given:
                    given[attribute] = self._micros(given.pop(name), f"{entry.path}{name}")
            subject = (given["scope"], given["subject_id"])
            limit_id = present.get(subject) or self.free_id(kind, *subject)
            self.put(kind, limit_id, entry, self.body(kind, given, id=limit_id))

    def _micros(self, dollars: float, path: str) -> int:
        # Uses the decimal digits, because 0.29 * 1e6 is not a whole number in binary.
        exact = Decimal(repr(dollars)) * limits.MICROS
        if exact != int(exact):
            self.refuse(path, "must have at most six decimals")
        return int(exact)

    def _packs(self, entries: Sequence[Entry]) -> None:
        kind = policy_pack.KIND
        self.bodies(kind, cleared=True)
        rules = self.bodies(policy_pack.RULE_KIND, cleared=True)
        for entry in entries:
            name = entry.fields["name"]
            pack_id = entry.extras.get("id") or self.id_of(kind, name)
            if pack_id in self.shipped.policies.of_kind(kind):
                self.refuse(f"{entry.path}id", "is the id of a pack of the platform")
            given = dict(entry.fields)
            drafts = given.pop("rules", [])
            body = self.body(kind, given, id=pack_id, rule_count=len(drafts))
            self.put(kind, pack_id, entry, body)
            for rule_id in [each for each, rule in rules.items() if rule["pack_id"] == pack_id]:
                del rules[rule_id]
            for rule_id, rule in self._rules(pack_id, drafts, f"{entry.path}rules"):
                rules[rule_id] = rule

    def _rules(self, pack_id: str, drafts: Sequence[Body], path: str) -> Iterator[tuple[str, Body]]:
        """Yields the rules of a pack; one without a sequence goes after all rules before it."""
        kind = policy_pack.RULE_KIND
        present: dict[str, list[str]] = {}
        for rule_id, body in self.present.get(kind, {}).items():
            if body["pack_id"] == pack_id:
                present.setdefault(body["name"], []).append(rule_id)
        used: dict[str, int] = {}
        sequences: set[int] = set()
        for index, draft in enumerate(drafts):
            name = draft["name"]
            number = used[name] = used.get(name, 0) + 1
            same = present.get(name, ())
            rule_id = (
                same[number - 1]
                if number <= len(same)
                else self.free_id(kind, pack_id, name, str(number))
            )
            sequence = draft.get("sequence", max(sequences, default=-1) + 1)
            if sequence in sequences:
                self.refuse(f"{path}[{index}].sequence", "is in use by another rule of the pack")
            elif sequence > policy_pack.MAX_SEQUENCE:
                most = policy_pack.MAX_SEQUENCE
                self.refuse(f"{path}[{index}].sequence", f"must be at most {most}")
            sequences.add(sequence)
            self.places[f"{kind}/{rule_id}"] = f"{path}[{index}]."
            fixed = {"id": rule_id, "pack_id": pack_id, "sequence": sequence}
            yield rule_id, {"conditions": {}, **self.body(kind, draft, **fixed)}

    def _pack_settings(self, entries: Sequence[Entry]) -> None:
        kind = policy_pack.TOGGLE_KIND
        self.bodies(kind, cleared=True)
        for entry in entries:
            name = entry.fields.get("pack_id", "")
            path = f"{entry.path}pack"
            pack_id = self.found(self.shipped.pack(name), name, path, "pack of the platform")
            if "is_active" not in entry.fields:
                self.refuse(f"{entry.path}is_active", "is required")
                continue
            self.put(kind, pack_id, entry, self.body(kind, entry.fields, pack_id=pack_id))

    def _chain(self, entries: Sequence[Entry]) -> None:
        self._clear_single(policy_chain.KIND, policy_chain.ORG_ID)
        for entry in entries:
            self._put_chain(entry, "")

    def _user_chains(self, entries: Sequence[Entry]) -> None:
        chains = self.bodies(policy_chain.KIND)
        if self.replace:
            for chain_id in [each for each in chains if each != policy_chain.ORG_ID]:
                del chains[chain_id]
        for entry in entries:
            self._put_chain(entry, entry.fields["user_id"])

    def _put_chain(self, entry: Entry, user_id: str) -> None:
        kind, chain_id = policy_chain.KIND, policy_chain.entity_id(user_id)
        present = self.present.get(kind, {}).get(chain_id, {})
        entry_ids = {each["pack_id"]: each["id"] for each in present.get("packs", ())}
        own = self.current_ids(policy_pack.KIND)
        packs: dict[int, Body] = {}
        for index, each in enumerate(entry.fields.get("packs", ())):
            path, name = f"{entry.path}packs[{index}]", each.get("id", "")
            pack_id = own.get(name) or self.shipped.pack(name)
            if name in self.current(policy_pack.KIND):
                pack_id = name
            pack_id = self.found(pack_id, name, path, "policy pack")
            sequence = each.get("sequence", max(packs, default=-1) + 1)
            if sequence in packs:
                self.refuse(f"{path}.sequence", "is used twice")
            if pack_id and pack_id in {other["pack_id"] for other in packs.values()}:
                self.refuse(path, "is named twice")
            entry_id = entry_ids.get(pack_id) or derived_id(kind, chain_id, pack_id)
            packs[sequence] = {"id": entry_id, "pack_id": pack_id, "sequence": sequence}
        algorithm = entry.fields.get("combining_algorithm", policy_chain.FIRST_APPLICABLE)
        chain = {
            "id": present.get("id") or derived_id(kind, chain_id),
            "scope": policy_chain.USER if user_id else policy_chain.ORG,
            "user_id": user_id,
            "combining_algorithm": algorithm,
            "packs": [packs[sequence] for sequence in sorted(packs)],
        }
        others = {name: entry.fields[name] for name in entry.fields.keys() - chain.keys()}
        if not user_id:
            self.places.pop(f"{kind}/{chain_id}", None)
        self.put(kind, chain_id, entry, self.body(kind, others, **chain))

    def _customer_policies(self, entries: Sequence[Entry]) -> None:
        kind = customer_policy.KIND
        self.bodies(kind, cleared=True)
        for entry in entries:
            given = dict(entry.fields)
            document = given.pop("policies")
            customer_id = given["customer_id"]
            self.put(kind, customer_id, entry, self.body(kind, given, document=document))


_BLOCKING: Final = {"enabled": "blocking_enabled", "block_on": "block_on"}


def _is_blank(body: Body, blank: Body) -> bool:
    """Whether a customisation changes nothing."""
    return all(body.get(name) == value for name, value in blank.items() if name != "updated_at")
