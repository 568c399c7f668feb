"""The sections of a policy file about compliance bundles: their settings and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain import compliance_bundle, dlp_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.domain.compliance_bundle import ComplianceBundle
    from pdp.policy_files.builder import StateBuilder
    from pdp.policy_files.entries import Entry
    from pdp.policy_files.state import Body

_METADATA: Final = ("name", "description", "regulatory_framework")


class BundleSections:
    """Reads the sections about bundles into the state of a builder."""

    def __init__(self, builder: StateBuilder) -> None:
        self._builder = builder

    def sections(self) -> Mapping[str, Callable[[Sequence[Entry]], None]]:
        """Returns what reads each section."""
        return {
            "compliance_bundles": self._own_bundles,
            "upgraded_bundles": self._upgraded,
            "active_bundles": self._active,
            "bundle_settings": self._settings,
        }

    def _own_bundles(self, entries: Sequence[Entry]) -> None:
        builder, kind = self._builder, compliance_bundle.KIND
        builder.bodies(kind, cleared=True)
        for entry in entries:
            given = dict(entry.fields)
            names = given.pop("rule_ids", [] if builder.replace else None)
            bundle_id = builder.id_of(kind, given["name"])
            version = builder.present.get(kind, {}).get(bundle_id, {}).get("version", "1.0")
            given = {"regulatory_framework": "", "version": version, **given}
            builder.put(kind, bundle_id, entry, builder.body(kind, given, id=bundle_id))
            if names is not None:
                self._set_rules(bundle_id, names, f"{entry.path}rule_ids")

    def _set_rules(self, bundle_id: str, names: Sequence[str], path: str) -> None:
        """Makes the named rules the tenant's own rules of a bundle."""
        builder = self._builder
        rules = builder.bodies(dlp_rule.KIND)
        rule_ids = [builder.rule_id(name, f"{path}[{index}]") for index, name in enumerate(names)]
        shipped = builder.shipped.policies.of_kind(compliance_bundle.KIND).get(bundle_id)
        defined = shipped.defined_rules if shipped is not None else ()
        for index, rule_id in enumerate(rule_ids):
            if rule_id and rule_id not in rules and rule_id not in defined:
                builder.refuse(f"{path}[{index}]", "is not one of the tenant's own rules")
        for rule_id, rule in rules.items():
            if rule_id in rule_ids:
                rules[rule_id] = {**rule, "bundle_id": bundle_id}
            elif rule.get("bundle_id") == bundle_id:
                rules[rule_id] = {**rule, "bundle_id": ""}

    def _upgraded(self, entries: Sequence[Entry]) -> None:
        self._reset("version")
        for entry in entries:
            bundle = self._seeded(entry)
            if bundle is not None:
                self._put_state(bundle, entry, {"version": bundle.latest_version})

    def _active(self, entries: Sequence[Entry]) -> None:
        self._reset("enabled")
        builder = self._builder
        for entry in entries:
            bundle_id = builder.bundle_id(entry.fields.get("bundle_id", ""), f"{entry.path}bundle")
            self._enable_rules(bundle_id)
            if bundle_id in builder.current(compliance_bundle.KIND):
                own = builder.bodies(compliance_bundle.KIND)
                own[bundle_id] = {**own[bundle_id], "enabled": True}
                continue
            bundle = self._seeded(entry, silent=True)
            if bundle is not None:
                self._put_state(bundle, entry, {"enabled": True})

    def _enable_rules(self, bundle_id: str) -> None:
        """Enables the tenant's own rules of a bundle, as its activation over the API does."""
        for rule_id, rule in self._builder.current(dlp_rule.KIND).items():
            if bundle_id and rule.get("bundle_id") == bundle_id and not rule.get("enabled", True):
                self._builder.bodies(dlp_rule.KIND)[rule_id] = {**rule, "enabled": True}

    def _settings(self, entries: Sequence[Entry]) -> None:
        self._reset("enabled", "version", *_METADATA)
        for entry in entries:
            bundle = self._seeded(entry)
            if bundle is None:
                continue
            given = dict(entry.fields)
            del given["bundle_id"]
            names = given.pop("rule_ids", None)
            given = {
                name: None if name in _METADATA and value == getattr(bundle, name) else value
                for name, value in given.items()
            }
            if "version" in entry.extras:
                given["version"] = version = entry.extras["version"]
                if version not in {each["version"] for each in bundle.definitions}:
                    self._builder.refuse(f"{entry.path}version", f'there is no "{version}"')
            self._put_state(bundle, entry, given)
            if names is not None:
                self._set_rules(bundle.id, names, f"{entry.path}rule_ids")

    def _seeded(self, entry: Entry, *, silent: bool = False) -> ComplianceBundle | None:
        """Returns the seeded bundle that an entry names; refuses other names."""
        builder = self._builder
        name = entry.fields.get("bundle_id", "")
        bundle_id = builder.shipped.bundle(name)
        if not bundle_id and not silent:
            reason = f'there is no bundle "{name}" of the product'
            builder.refuse(f"{entry.path}bundle", reason)
        bundles: Mapping[str, ComplianceBundle] = builder.shipped.policies.of_kind(
            compliance_bundle.KIND
        )
        return bundles.get(bundle_id)

    def _reset(self, *names: str) -> None:
        """Resets settings of all seeded bundles, if the file describes all of them."""
        builder = self._builder
        states = builder.bodies(compliance_bundle.STATE_KIND)
        if not builder.replace:
            return
        bundles = builder.shipped.policies.of_kind(compliance_bundle.KIND)
        for bundle_id, body in states.items():
            bundle = bundles.get(bundle_id)
            version = bundle.version if bundle is not None else ""
            initial = {"enabled": False, "version": version}
            reset = {name: initial.get(name) for name in names}
            states[bundle_id] = {**body, **reset}
        if "name" in names:
            for rule_id, rule in builder.current(dlp_rule.KIND).items():
                if rule.get("bundle_id") in bundles:
                    builder.bodies(dlp_rule.KIND)[rule_id] = {**rule, "bundle_id": ""}

    def _put_state(self, bundle: ComplianceBundle, entry: Entry, given: Body) -> None:
        builder, kind = self._builder, compliance_bundle.STATE_KIND
        initial: dict[str, Any] = {"bundle_id": bundle.id, "version": bundle.version}
        body = builder.body(kind, initial)
        present = builder.bodies(kind).get(bundle.id, {})
        builder.bodies(kind)[bundle.id] = {**body, **present, **given}
        builder.places.setdefault(f"{kind}/{bundle.id}", entry.path)
