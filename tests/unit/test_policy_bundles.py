"""The bundles that ship with the product: ids, documents, examples, installing, releases."""

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
CALM = ("ALLOW", "ALLOW_WITH_OVERRIDE", "ROUTE_TO")


def _name(value: Any) -> str:
    return str(value["key"])


def test_every_standard_has_its_bundle() -> None:
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
    """Chains name bundles by them: a change of these ids would empty chains."""
    ids = {each.pack.name: each.pack.id for each in BUNDLES}
    assert ids["PCI-DSS v4.0 Compliance Bundle"] == "1628a98d-e540-570c-a358-e617de40f6f9"
    assert ids["OWASP LLM Top 10 Bundle"] == "3dc51e27-33d0-50fa-92fa-dba0597a3bb3"
    every = [*ids.values(), *(rule.id for each in BUNDLES for rule in each.rules)]
    assert len(set(every)) == len(every)
    assert all(UUID(each).version == 5 for each in every)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.pack.name)
def test_a_bundle_is_whole(bundle: PackRules) -> None:
    pack, rules = bundle
    assert pack.pack_type == BUNDLE
    assert pack.description
    assert pack.rule_count == len(rules) >= 8
    assert [rule.sequence for rule in rules] == list(range(len(rules)))
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.pack_id == pack.id and rule.description for rule in rules)


@pytest.mark.parametrize(("pack", "rule"), ENTRIES, ids=_name)
def test_a_rule_does_what_its_examples_say(pack: dict[str, Any], rule: dict[str, Any]) -> None:
    conditions, action = read_rule(rule["conditions"], rule["action"])
    # What lets pass would end the chain before the bundles behind it.
    assert action.type not in CALM
    if not conditions.content_regex:
        assert "examples" not in rule
        return
    search = re2.compile(conditions.content_regex).search
    assert [text for text in rule["examples"]["match"] if not search(text)] == []
    assert [text for text in rule["examples"]["no_match"] if search(text)] == []


def _installed(store: Store) -> tuple[dict[str, PolicyPack], dict[str, PolicyRule]]:
    with store.read() as reader:
        packs = {each.id: PolicyPack(**each.body) for each in reader.list(KIND, PLATFORM)}
        rules = {each.id: PolicyRule(**each.body) for each in reader.list(RULE_KIND, PLATFORM)}
    return packs, rules


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/pdp.db")
    yield opened
    opened.close()


def test_installed_once(store: Store) -> None:
    assert install_catalog(store)
    packs, rules = _installed(store)
    assert packs.keys() == {each.pack.id for each in BUNDLES}
    assert len(rules) == sum(each.pack.rule_count for each in BUNDLES)
    assert all(each.created_at == each.updated_at > 0 for each in packs.values())
    assert not install_catalog(store)


def test_a_release_changes_what_it_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    install_catalog(store)
    packs, rules = _installed(store)
    first, second, *rest = BUNDLES
    gone, *kept = first.rules
    shorter = PackRules(
        PolicyPack(first.pack.id, "Renamed", pack_type=BUNDLE, rule_count=len(kept)), tuple(kept)
    )
    monkeypatch.setattr(catalog, "policy_packs", lambda: (shorter, *rest))
    with store.write() as transaction:
        installing.install_policy_packs(transaction)
        changed = {change.entity_id for change in transaction.new_changes}
    assert changed == {
        first.pack.id,
        gone.id,
        second.pack.id,
        *(rule.id for rule in second.rules),
    }
    after, after_rules = _installed(store)
    assert after[first.pack.id].created_at == packs[first.pack.id].created_at
    assert after[first.pack.id].name == "Renamed"
    assert second.pack.id not in after
    assert after_rules == {key: rule for key, rule in rules.items() if key not in changed}


def test_all_bundles_together_judge_a_long_text_of_their_own_examples() -> None:
    """An automaton of all their patterns keeps within its memory, whatever it reads."""
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
