"""The compliance bundles of the product: their data, installation and releases."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from pdp import catalog
from pdp.admin.install import catalog as installing
from pdp.admin.install.catalog import install_catalog
from pdp.catalog.compliance import SeededBundle, bundle_id, compliance_bundles, user_groups
from pdp.domain import compliance_bundle, dlp_rule, user_group
from pdp.domain.compliance_bundle import FRAMEWORK_BUNDLES, BundleState, ComplianceBundle
from pdp.domain.dlp_rule import ACTION_TIERS, DlpRule
from pdp.domain.effective_dlp_rules import platform_rules
from pdp.domain.kinds import read_policies
from pdp.domain.policy_set import PolicySet
from pdp.domain.tenant import PLATFORM
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.stored_entity import StoredEntity
    from pdp.store.port import Store

BUNDLES = compliance_bundles()
RULES = [(each.bundle, rule) for each in BUNDLES for rule in each.rules]
DETECTORS = catalog.detectors()

# The form of clauses in each regulation.
CLAUSES = {
    "ccpa": r"CCPA 1798\.140\((v|ae)\)\([12]\)\([A-L]\)",
    "eu_ai_act": r"EU AI Act Art\. \d+\(\d\)",
    "gdpr": r"GDPR Art\. \d+(\(\d\)(\([a-f]\))?)?",
    "glba": r"GLBA (15 U\.S\.C\. 68\d\d\([a-e4]\)|16 CFR 314\.4\(c\)\([1-8]\))",
    "hipaa": r"HIPAA (160\.103|162\.406|164\.308\(a\)\(5\)\(ii\)\(D\)|"
    r"164\.514\(b\)\(2\)\(i\)\([A-R]\))",
    "pci_dss": r"PCI DSS ([1-9]|1[0-2])(\.\d+){2,3}",
    "soc2": r"SOC 2 (CC[1-9]\.\d|C1\.[12]|P[1-8]\.\d)",
    "sox": r"SOX (302\(a\)\(4\)|404\(a\)|409)",
}


def _name_of(each: tuple[ComplianceBundle, DlpRule]) -> str:
    return each[1].detector_name


def test_every_regulation_has_a_bundle() -> None:
    assert {each.bundle.key for each in BUNDLES} == set(CLAUSES)
    assert set(FRAMEWORK_BUNDLES.values()) <= set(CLAUSES)


def test_ids_and_names_are_unique_and_stable() -> None:
    ids = [each.bundle.id for each in BUNDLES] + [rule.id for _, rule in RULES]
    assert len(set(ids)) == len(ids)
    assert all(UUID(each).version == 5 for each in ids)
    assert bundle_id("pci_dss") == "56a2e8f0-aa0e-5651-b1da-3b1d514016b6"
    names = [rule.detector_name for _, rule in RULES]
    assert len(set(names)) == len(names)
    assert [each.id for each in BUNDLES[0].rules] == [
        each.id for each in compliance_bundles()[0].rules
    ]


@pytest.mark.parametrize("each", RULES, ids=map(_name_of, RULES))
def test_a_rule_can_match_and_has_a_valid_clause(each: tuple[ComplianceBundle, DlpRule]) -> None:
    bundle, rule = each
    detector = DETECTORS[rule.config_json["detector"]]
    assert rule.entity_type == detector.entity_type
    assert rule.confidence_threshold <= detector.context_confidence, "otherwise no finding counts"
    assert rule.action_tier in set(ACTION_TIERS) - {"none"}
    assert re.fullmatch(CLAUSES[bundle.key], rule.clause), rule.clause
    assert not rule.enabled, "only its bundle puts it in force"


@pytest.mark.parametrize("each", BUNDLES, ids=lambda each: each.bundle.key)
def test_each_rule_is_in_a_definition_and_each_definition_differs_from_the_previous_one(
    each: SeededBundle,
) -> None:
    definitions = [set(definition["rule_ids"]) for definition in each.bundle.definitions]
    assert set().union(*definitions) == {rule.id for rule in each.rules}
    assert all(previous != following for previous, following in pairwise(definitions))
    assert all(definition["summary"] for definition in each.bundle.definitions)
    assert each.bundle.version == each.bundle.definitions[0]["version"]


def test_two_bundles_can_be_upgraded() -> None:
    upgradable = [each.bundle.key for each in BUNDLES if each.bundle.upgrade_available]
    assert upgradable == ["hipaa", "pci_dss"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    new_store = open_store(f"sqlite:///{tmp_path}/pdp.db")
    install_catalog(new_store)
    yield new_store
    new_store.close()


def entities_of(store: Store, kind: str) -> dict[str, StoredEntity]:
    with store.view() as reader:
        return {entity.id: entity for entity in reader.list(kind, PLATFORM)}


def test_all_bundles_rules_and_groups_are_installed(store: Store) -> None:
    assert list(entities_of(store, compliance_bundle.KIND)) == [each.bundle.id for each in BUNDLES]
    assert {rule.id for _, rule in RULES} <= set(entities_of(store, dlp_rule.KIND))
    assert list(entities_of(store, user_group.KIND)) == [each.id for each in user_groups()]


def test_an_unchanged_release_writes_nothing(store: Store) -> None:
    with store.write() as transaction:
        installing.install_compliance_bundles(transaction)
        installing.install_user_groups(transaction)
        assert not transaction.new_changes


def test_a_new_definition_does_not_change_the_rules_of_tenants(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new definition is only offered as an upgrade, and other DLP rules do not change."""
    before = entities_of(store, dlp_rule.KIND)
    pci = next(each for each in BUNDLES if each.bundle.key == "pci_dss")
    added = replace(pci.rules[0], id=str(UUID(int=1)), detector_name="PCI-DSS newest")
    newest = {"version": "2.0", "summary": "New", "rule_ids": [added.id]}
    bundle = replace(pci.bundle, definitions=[*pci.bundle.definitions, newest])
    release = [SeededBundle(bundle, (*pci.rules, added))]
    monkeypatch.setattr(installing, "compliance_bundles", lambda: release)
    with store.write() as transaction:
        installing.install_compliance_bundles(transaction)
    now = entities_of(store, dlp_rule.KIND)
    other_rules = {name for name, rule in before.items() if not rule.body["bundle_id"]}
    assert set(now) == other_rules | {rule.id for rule in pci.rules} | {added.id}
    platform = read_policies([*entities_of(store, compliance_bundle.KIND).values(), *now.values()])
    own = PolicySet({compliance_bundle.STATE_KIND: {pci.bundle.id: BundleState(pci.bundle.id)}})
    assert added.id not in platform_rules(platform, own)
    (installed,) = platform.of_kind(compliance_bundle.KIND).values()
    assert (installed.version, installed.latest_version) == ("1.0", "2.0")


@pytest.mark.parametrize("field", ["since", "until"])
def test_an_unknown_version_is_refused(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    rule: dict[str, Any] = {
        "key": "r",
        "name": "R",
        "detector": "iban",
        "entity_type": "X",
        "tier": "redact",
    }
    rule["threshold"] = 0.5
    rule |= {"clause": "X 1", field: "9.9"}
    entry = {
        "key": "k",
        "name": "K",
        "description": "",
        "regulatory_framework": "K",
        "initial": "1.0",
        "definitions": [{"version": "1.0", "summary": ""}],
        "rules": [rule],
    }
    monkeypatch.setattr("pdp.catalog.compliance.entries", lambda part, key: [entry])
    with pytest.raises(ValueError, match=r"9\.9"):
        compliance_bundles()
