"""The built-in policy packs: ids, documents, examples, installation and releases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import re2
import yaml

from pdp import catalog
from pdp.admin.install import catalog as installing
from pdp.admin.install.catalog import install_catalog
from pdp.domain import policy_chain
from pdp.domain.decision import Outcome
from pdp.domain.policy_chain import DENY_OVERRIDES, ChainEntry, PolicyChain
from pdp.domain.policy_pack import BUNDLE, KIND, RULE_KIND, PackRules, PolicyPack, PolicyRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.rules.documents import read_rule
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.store.port import Store

FILES = sorted((Path(catalog.__file__).parent / "policy_packs").glob("*.yaml"))
ENTRIES = [
    (pack, rule)
    for file in FILES
    for pack in yaml.safe_load(file.read_text(encoding="utf-8"))["packs"]
    for rule in pack["rules"]
]
BUNDLES = catalog.policy_packs()
ALLOWING = ("ALLOW", "ALLOW_WITH_OVERRIDE", "ROUTE_TO")


def _name(value: Any) -> str:
    return str(value["key"])


def test_every_standard_has_a_bundle() -> None:
    standards = [each.pack.compliance_standard for each in BUNDLES]
    assert sorted(filter(None, standards)) == [
        "CCPA",
        "EU AI Act",
        "GDPR",
        "GLBA",
        "HIPAA",
        "OWASP LLM Top 10",
        "PCI-DSS",
        "SOC 2",
    ]


def test_ids_are_stable_and_unique() -> None:
    """Chains refer to bundles by id, so a changed id would remove the bundle from chains."""
    ids = {each.pack.name: each.pack.id for each in BUNDLES}
    assert ids["PCI-DSS v4.0 Compliance Bundle"] == "1628a98d-e540-570c-a358-e617de40f6f9"
    assert ids["OWASP LLM Top 10 Bundle"] == "3dc51e27-33d0-50fa-92fa-dba0597a3bb3"
    all_ids = [*ids.values(), *(rule.id for each in BUNDLES for rule in each.rules)]
    assert len(set(all_ids)) == len(all_ids)
    assert all(UUID(each).version == 5 for each in all_ids)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.pack.name)
def test_a_bundle_is_complete(bundle: PackRules) -> None:
    pack, rules = bundle
    assert pack.pack_type == BUNDLE
    assert pack.description
    assert pack.rule_count == len(rules) >= 8
    assert [rule.sequence for rule in rules] == list(range(len(rules)))
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.pack_id == pack.id and rule.description for rule in rules)


@pytest.mark.parametrize(("pack", "rule"), ENTRIES, ids=_name)
def test_a_rule_matches_its_examples(pack: dict[str, Any], rule: dict[str, Any]) -> None:
    conditions, action = read_rule(rule["conditions"], rule["action"])
    # A rule that allows would end the chain before the following bundles.
    assert action.type not in ALLOWING
    if not conditions.content_regex:
        assert "examples" not in rule
        return
    search = re2.compile(conditions.content_regex).search
    assert [text for text in rule["examples"]["match"] if not search(text)] == []
    assert [text for text in rule["examples"]["no_match"] if search(text)] == []


def installed_packs_and_rules(store: Store) -> tuple[dict[str, PolicyPack], dict[str, PolicyRule]]:
    with store.view() as reader:
        packs = {each.id: PolicyPack(**each.body) for each in reader.list(KIND, PLATFORM)}
        rules = {each.id: PolicyRule(**each.body) for each in reader.list(RULE_KIND, PLATFORM)}
    return packs, rules


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    new_store = open_store(f"sqlite:///{tmp_path}/pdp.db")
    yield new_store
    new_store.close()


def test_bundles_are_installed_once(store: Store) -> None:
    assert install_catalog(store)
    packs, rules = installed_packs_and_rules(store)
    assert packs.keys() == {each.pack.id for each in BUNDLES}
    assert len(rules) == sum(each.pack.rule_count for each in BUNDLES)
    assert all(each.created_at == each.updated_at > 0 for each in packs.values())
    assert not install_catalog(store)


def test_a_release_changes_only_what_differs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    install_catalog(store)
    packs, rules = installed_packs_and_rules(store)
    first, second, *rest = BUNDLES
    removed_rule, *other_rules = first.rules
    shorter = PackRules(
        PolicyPack(first.pack.id, "Renamed", pack_type=BUNDLE, rule_count=len(other_rules)),
        tuple(other_rules),
    )
    monkeypatch.setattr(catalog, "policy_packs", lambda: (shorter, *rest))
    with store.write() as transaction:
        installing.install_policy_packs(transaction)
        changed = {change.entity_id for change in transaction.new_changes}
    assert changed == {
        first.pack.id,
        removed_rule.id,
        second.pack.id,
        *(rule.id for rule in second.rules),
    }
    after, after_rules = installed_packs_and_rules(store)
    assert after[first.pack.id].created_at == packs[first.pack.id].created_at
    assert after[first.pack.id].name == "Renamed"
    assert second.pack.id not in after
    assert after_rules == {key: rule for key, rule in rules.items() if key not in changed}


def test_all_bundles_together_can_evaluate_a_long_text_of_their_examples() -> None:
    """The automaton of all their patterns stays within its memory limit."""
    policies = PolicySet(
        {
            KIND: {each.pack.id: each.pack for each in BUNDLES},
            RULE_KIND: {rule.id: rule for each in BUNDLES for rule in each.rules},
        }
    )
    entries = tuple(ChainEntry(each.pack.id, each.pack.id, n) for n, each in enumerate(BUNDLES))
    chain = PolicyChain("c", combining_algorithm=DENY_OVERRIDES, packs=entries)
    own = PolicySet({policy_chain.KIND: {policy_chain.ORG_ID: chain}})
    snapshot = compile_tenant(compile_platform(policies, {}), "t", own, 1)
    texts = [
        text
        for _, rule in ENTRIES
        for kind in ("no_match", "match")
        for text in rule.get("examples", {}).get(kind, ())
    ]
    decision = evaluate(snapshot, Request(text=". ".join(texts * 40)), "id")
    assert not decision.incomplete
    assert decision.outcome is Outcome.BLOCK
