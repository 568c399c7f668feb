"""The document of a policy file for the state of a tenant's policies."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pdp.domain import (
    compliance_bundle,
    customer_policy,
    dlp_rule,
    limits,
    org_policy,
    policy_chain,
    policy_exception,
    policy_pack,
    static_policy,
    tenant_settings,
    user_group,
)
from pdp.policy_files.builder import defaults_of
from pdp.policy_files.exception_section import rule_names
from pdp.policy_files.names import Shipped
from pdp.policy_files.secrets import with_references
from pdp.policy_files.shape import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pdp.domain.policy_set import PolicySet
    from pdp.policy_files.state import Body, State

Document = dict[str, Any]

_RULE_DEFAULTS: Final = defaults_of(policy_pack.RULE_KIND)
_SEQUENCE: Final = "sequence"


def document_of(state: State, shipped: PolicySet) -> Document:
    """Returns the policies of a file: entries by section, without empty sections.

    Fields with default values are left out. Policies are in order of creation.

    Args:
        state: the tenant's policies.
        shipped: the platform's policies.
    """
    return _Writer(state, Shipped(shipped)).document()


class _Writer:
    """Writes the sections of one tenant."""

    def __init__(self, state: State, shipped: Shipped) -> None:
        self._state = state
        self._shipped = shipped
        self._own_rules = _names_of(self._bodies(dlp_rule.KIND), "detector_name")
        self._own_bundles = _names_of(self._bodies(compliance_bundle.KIND), "name")
        self._packs = self._pack_names()
        self._taken = {
            kind: frozenset(names.values())
            for kind, names in (
                (dlp_rule.KIND, self._own_rules),
                (compliance_bundle.KIND, self._own_bundles),
                (policy_pack.KIND, self._packs),
            )
        }
        self._pack_rules = rule_names(
            self._bodies(policy_pack.KIND), self._bodies(policy_pack.RULE_KIND)
        )
        self._pack_rule_counts = Counter(
            name for names in self._pack_rules.values() for name in names
        )

    def document(self) -> Document:
        """Returns the sections that are not empty, in the order of `SECTIONS`."""
        singles: dict[str, Callable[[], Document]] = {
            "tenant_settings": self._tenant_settings,
            "org_policy": self._org_policy,
            "chain": self._chain,
        }
        lists: dict[str, Callable[[], Iterable[Document]]] = {
            "static_policies": self._static_policies,
            "overrides": self._overrides,
            "dlp": self._dlp,
            "dlp_settings": self._dlp_settings,
            "compliance_bundles": self._compliance_bundles,
            "bundle_settings": self._bundle_settings,
            "user_groups": self._user_groups,
            "limits": self._limits,
            "packs": self._own_packs,
            "pack_settings": self._pack_settings,
            "user_chains": self._user_chains,
            "customer_policies": self._customer_policies,
            "exceptions": self._exceptions,
        }
        document: Document = {}
        for key in SECTIONS:
            value: Any = singles[key]() if key in singles else list(lists.get(key, tuple)())
            if value:
                document[key] = value
        return document

    def _bodies(self, kind: str) -> Mapping[str, Body]:
        return self._state.get(kind, {})

    def _entry(self, key: str, kind: str, body: Body, **others: Any) -> Document:
        """Returns the fields of a policy that differ from the defaults, in the file's order."""
        section, defaults = SECTIONS[key], defaults_of(kind)
        values = {**body, **others}
        entry: Document = {}
        for name in section.file_fields():
            field = name if name in others else section.aliases.get(name, name)
            value = values.get(field)
            if value is not None and (name in others or value != defaults.get(field)):
                entry[name] = value
        return entry

    def _tenant_settings(self) -> Document:
        body = self._bodies(tenant_settings.KIND).get(tenant_settings.ID, {})
        return self._entry("tenant_settings", tenant_settings.KIND, body)

    def _org_policy(self) -> Document:
        kind = org_policy.KIND
        body = self._bodies(kind).get(org_policy.ID, {})
        defaults = defaults_of(kind)
        entry = self._entry("org_policy", kind, body)
        changed = {name: body[name] for name in body if body[name] != defaults[name]}
        groups = {
            "frameworks": ("gdpr", "ai_act", "soc2"),
            "blocking_rules": ("blocking_enabled", "block_on"),
        }
        for name, fields in groups.items():
            values = {
                each.removeprefix("blocking_"): changed[each] for each in fields if each in changed
            }
            if values:
                entry[name] = values
        if "alert_rules" in entry:
            entry["alert_rules"] = with_references(entry["alert_rules"])
        order = SECTIONS["org_policy"].file_fields()
        return {name: entry[name] for name in order if name in entry}

    def _static_policies(self) -> Iterator[Document]:
        kind = static_policy.KIND
        for body in self._bodies(kind).values():
            yield self._entry("static_policies", kind, body)

    def _overrides(self) -> Iterator[Document]:
        kind = static_policy.OVERRIDE_KIND
        for policy_id, body in self._bodies(kind).items():
            if self._shipped.system_policy(policy_id):
                yield self._entry("overrides", kind, body, policy_id=policy_id)

    def _dlp(self) -> Iterator[Document]:
        kind = dlp_rule.KIND
        for body in self._bodies(kind).values():
            yield self._entry("dlp", kind, body)

    def _rule_name(self, rule_id: str) -> str:
        """Returns the name of a DLP rule in a file; empty if there is no such rule."""
        own = self._own_rules.get(rule_id)
        if own is not None:
            return own
        name = self._shipped.rule_name(rule_id)
        return rule_id if name in self._taken[dlp_rule.KIND] else name

    def _dlp_settings(self) -> Iterator[Document]:
        kind = dlp_rule.CUSTOMISATION_KIND
        for rule_id, body in self._bodies(kind).items():
            name = self._shipped.rule_name(rule_id) and self._rule_name(rule_id)
            entry = self._entry("dlp_settings", kind, body, rule=name)
            if name and len(entry) > 1:
                yield entry

    def _compliance_bundles(self) -> Iterator[Document]:
        kind = compliance_bundle.KIND
        for bundle_id, body in self._bodies(kind).items():
            rules = self._rules_in(bundle_id)
            others = {"rule_ids": rules} if rules else {}
            framework = body["regulatory_framework"] or None
            values = {**body, "regulatory_framework": framework}
            yield self._entry("compliance_bundles", kind, values, **others)

    def _rules_in(self, bundle_id: str) -> list[str]:
        """Returns the names of the tenant's own rules in a bundle."""
        rules = self._bodies(dlp_rule.KIND)
        return [
            self._own_rules[rule_id]
            for rule_id, rule in rules.items()
            if rule.get("bundle_id") == bundle_id
        ]

    def _bundle_settings(self) -> Iterator[Document]:
        kind = compliance_bundle.STATE_KIND
        for bundle in self._shipped.policies.of_kind(compliance_bundle.KIND).values():
            body = self._bodies(kind).get(bundle.id, {})
            version = body.get("version") or bundle.version
            known = {each["version"] for each in bundle.definitions}
            others: Document = {"bundle": self._shipped.bundle_name(bundle.id)}
            if version != bundle.version and version in known:
                others["version"] = version
            rules = self._rules_in(bundle.id)
            if rules:
                others["rule_ids"] = rules
            entry = self._entry("bundle_settings", kind, {**body, "version": None}, **others)
            if len(entry) > 1:
                yield entry

    def _bundle_name(self, bundle_id: str) -> str:
        own = self._own_bundles.get(bundle_id)
        name = self._shipped.bundle_name(bundle_id) if own is None else own
        return bundle_id if own is None and name in self._taken[compliance_bundle.KIND] else name

    def _user_groups(self) -> Iterator[Document]:
        kind = user_group.KIND
        for group_id, body in self._bodies(kind).items():
            others: Document = {}
            if body.get("removed"):
                others["removed"] = True
            shipped = self._shipped.policies.of_kind(kind)
            if group_id in shipped and self._shipped.group(body["name"]) != group_id:
                others["id"] = group_id
            bundles = [self._bundle_name(each) for each in body.get("bundle_ids", ())]
            rules = [
                {**each, "rule_id": self._rule_name(each["rule_id"])}
                for each in body.get("dlp_rules", ())
            ]
            # What does not exist any more has no name.
            values = {
                **body,
                "id": None,
                "removed": None,
                "bundle_ids": [each for each in bundles if each],
                "dlp_rules": [each for each in rules if each["rule_id"]],
            }
            yield self._entry("user_groups", kind, values, **others)

    def _limits(self) -> Iterator[Document]:
        kind = limits.KIND
        for body in self._bodies(kind).values():
            dollars = {
                bound.name: body[bound.attribute] / limits.MICROS
                for bound in limits.QUOTAS
                if bound.name != bound.attribute and body.get(bound.attribute) is not None
            }
            plain = {name: as_whole(value) for name, value in dollars.items()}
            yield self._entry("limits", kind, body, **plain)

    def _pack_names(self) -> dict[str, str]:
        """Returns how chains name the tenant's packs: by id if another one has the name."""
        names = _names_of(self._bodies(policy_pack.KIND), "name")
        counts = Counter(names.values())
        return {pack_id: name if counts[name] == 1 else pack_id for pack_id, name in names.items()}

    def _pack_name(self, pack_id: str) -> str:
        own = self._packs.get(pack_id)
        if own is not None:
            return own
        name = self._shipped.pack_name(pack_id)
        return pack_id if name in self._taken[policy_pack.KIND] else name

    def _own_packs(self) -> Iterator[Document]:
        kind = policy_pack.KIND
        rules: dict[str, list[Body]] = {}
        for rule in self._bodies(policy_pack.RULE_KIND).values():
            rules.setdefault(rule["pack_id"], []).append(rule)
        for pack_id, body in self._bodies(kind).items():
            others: Document = {"id": pack_id} if self._packs[pack_id] == pack_id else {}
            own = sorted(rules.get(pack_id, ()), key=lambda rule: rule["sequence"])
            if own:
                others["rules"] = list(_rules(own))
            yield self._entry("packs", kind, {**body, "id": None}, **others)

    def _pack_settings(self) -> Iterator[Document]:
        kind = policy_pack.TOGGLE_KIND
        for pack_id, body in self._bodies(kind).items():
            name = self._shipped.pack_name(pack_id) and self._pack_name(pack_id)
            if name:
                yield self._entry("pack_settings", kind, body, pack=name)

    def _chain(self) -> Document:
        body = self._bodies(policy_chain.KIND).get(policy_chain.ORG_ID)
        return self._chain_entry("chain", body) if body is not None else {}

    def _user_chains(self) -> Iterator[Document]:
        for chain_id, body in self._bodies(policy_chain.KIND).items():
            if chain_id != policy_chain.ORG_ID:
                yield self._chain_entry("user_chains", body)

    def _chain_entry(self, key: str, body: Body) -> Document:
        packs: list[Any] = []
        for place, each in enumerate(body["packs"]):
            name = self._pack_name(each["pack_id"])
            in_order = each[_SEQUENCE] == place and place == len(packs)
            packs.append(name if in_order else {"pack": name, _SEQUENCE: each[_SEQUENCE]})
        return self._entry(key, policy_chain.KIND, body, packs=packs)

    def _customer_policies(self) -> Iterator[Document]:
        kind = customer_policy.KIND
        for body in self._bodies(kind).values():
            yield self._entry("customer_policies", kind, body, policies=body["document"])

    def _exceptions(self) -> Iterator[Document]:
        kind = policy_exception.KIND
        for body in self._bodies(kind).values():
            names = {
                "policies": map(self._static_name, body.get("policies") or ()),
                "dlp_rules": map(self._rule_name, body.get("dlp_rules") or ()),
                "rules": map(self._pack_rule_name, body.get("rules") or ()),
            }
            lists = {name: [each for each in found if each] for name, found in names.items()}
            times = {
                name: _time(body[name])
                for name in ("valid_from", "valid_until")
                if body.get(name) is not None
            }
            yield self._entry("exceptions", kind, {**body, **lists}, **times)

    def _static_name(self, policy_id: str) -> str:
        own = self._bodies(static_policy.KIND).get(policy_id)
        return str(own["name"]) if own else self._shipped.system_policy(policy_id)

    def _pack_rule_name(self, rule_id: str) -> str:
        """Returns the name of a rule of a pack; its id if another rule has the name."""
        names = self._pack_rules.get(rule_id)
        if names is None:
            return self._shipped.pack_rule_name(rule_id)
        return next((name for name in names if self._pack_rule_counts[name] == 1), rule_id)


def _time(seconds: float) -> str:
    """Returns a time in the form of RFC 3339."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat()
    return text.replace("+00:00", "Z")


def _rules(rules: Sequence[Body]) -> Iterator[Document]:
    fields = policy_pack_rule_fields()
    for place, rule in enumerate(rules):
        defaults = {**_RULE_DEFAULTS, _SEQUENCE: place, "conditions": {}}
        yield {
            name: rule[name]
            for name in fields
            if rule.get(name) is not None and rule[name] != defaults.get(name)
        }


def policy_pack_rule_fields() -> list[str]:
    """Returns the fields of a rule, in the order in which they are written."""
    draft = SECTIONS["packs"].descriptor.fields_by_name["rules"].message_type
    return [field.name for field in draft.fields]


def as_whole(number: float) -> float | int:
    """Returns a whole number as an integer."""
    return int(number) if number == int(number) else number


def _names_of(bodies: Mapping[str, Body], field: str) -> dict[str, str]:
    return {policy_id: str(body[field]) for policy_id, body in bodies.items()}
