"""Which policies no case of the suites has reached: none of its decisions names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.cases.model import Reached
from pdp.domain import policy_pack
from pdp.domain.layers import CHAIN, CUSTOMER, DLP, LIMITS, STATIC
from pdp.policy_files.names import derived_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pdp.cases.model import SuitePolicies, SuiteResult


class CoveredPolicy(NamedTuple):
    """A policy that cases can reach.

    Attributes:
        file: the file with the policy.
        line: its line.
        section: its section.
        name: its name.
    """

    file: Path
    line: int
    section: str
    name: str


class Coverage(NamedTuple):
    """The policies of all suites, and those that no case has reached."""

    policies: Sequence[CoveredPolicy]
    unreached: Sequence[CoveredPolicy]

    @property
    def share(self) -> float:
        """The share of the policies that cases have reached, from 0 to 1."""
        return 1 - len(self.unreached) / len(self.policies) if self.policies else 1.0


def coverage_of(results: Iterable[SuiteResult]) -> Coverage:
    """Returns the coverage of suites. Disabled policies do not count.

    A policy file that several suites name counts once: one case of any suite is enough.
    """
    policies: dict[CoveredPolicy, bool] = {}
    for result in results:
        reached = {each for case in result.results for each in case.reached}
        keys = {
            key
            for layer, policy_id, name in reached
            for key in ((layer, policy_id, ""), (layer, "", name), (layer, policy_id, name))
        }
        for source in result.suite.policies:
            for policy, key in _policies(source):
                policies[policy] = policies.get(policy, False) or key in keys
    unreached = [policy for policy, hit in policies.items() if not hit]
    return Coverage(list(policies), unreached)


def _policies(source: SuitePolicies) -> Iterator[tuple[CoveredPolicy, Reached]]:
    """Yields the policies of a file, each with its match; what is empty in it may be anything."""
    document = source.document
    for section, (layer, field) in _SECTIONS.items():
        for index, entry in enumerate(document.get(section) or ()):
            if entry.get("enabled", True):
                path, name = f"policies.{section}[{index}]", entry[field]
                match = Reached(layer, "", name)
                if field == "policy_id":
                    match = Reached(layer, name, "")
                yield _covered(source, path, section, name), match
    for index, entry in enumerate(document.get("limits") or ()):
        if entry.get("is_active", True):
            subject = (entry["scope"], entry["subject_id"])
            policy = _covered(source, f"policies.limits[{index}]", "limits", " ".join(subject))
            yield policy, Reached(LIMITS, derived_id("limit", *subject), "")
    for index, pack in enumerate(document.get("packs") or ()):
        if pack.get("is_active", True):
            for place, name, rule_id in _rules(pack):
                path = f"policies.packs[{index}].rules[{place}]"
                title = f"{pack['name']} > {name}"
                yield _covered(source, path, "packs", title), Reached(CHAIN, rule_id, "")
    yield from _customer_rules(source)


def _customer_rules(source: SuitePolicies) -> Iterator[tuple[CoveredPolicy, Reached]]:
    section = "customer_policies"
    for index, entry in enumerate(source.document.get(section) or ()):
        customer, path = entry["customer_id"], f"policies.{section}[{index}]"
        rules = (entry.get("policies") or {}).get("custom_rules") or {}
        for name in rules:
            place = f"{path}.policies.custom_rules.{name}"
            policy = _covered(source, place, section, f"{customer} > {name}")
            yield policy, Reached(CUSTOMER, customer, name)
        if not rules:
            yield _covered(source, path, section, customer), Reached(CUSTOMER, customer, "")


def _covered(source: SuitePolicies, path: str, section: str, name: str) -> CoveredPolicy:
    file, line = source.place_of(path)
    return CoveredPolicy(file.resolve(), line, section, name)


_SECTIONS = {
    "static_policies": (STATIC, "name"),
    "overrides": (STATIC, "policy_id"),
    "dlp": (DLP, "detector_name"),
}
"""The layer and the name of each policy of these sections."""


def _rules(pack: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Yields the active rules of a pack: the place, the name and the id of each."""
    pack_id = pack.get("id") or derived_id(policy_pack.KIND, pack["name"])
    used: dict[str, int] = {}
    for place, rule in enumerate(pack.get("rules") or ()):
        name = rule["name"]
        number = used[name] = used.get(name, 0) + 1
        if rule.get("is_active", True):
            yield place, name, derived_id(policy_pack.RULE_KIND, pack_id, name, str(number))
