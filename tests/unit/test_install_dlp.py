"""The platform's DLP rules are brought to each release."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp.admin.install import catalog as installation
from pdp.admin.install.catalog import install_dlp_rules
from pdp.catalog.dlp import dlp_rules, rule_id
from pdp.domain.dlp_rule import KIND, DlpRule, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.store.port import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    new_store = open_store(f"sqlite:///{tmp_path / 'pdp.db'}")
    yield new_store
    new_store.close()


def install(store: Store, patch: pytest.MonkeyPatch, *rules: DlpRule) -> int:
    """Installs a release with these rules; returns the store's revision after it."""
    patch.setattr(installation, "dlp_rules", lambda: rules)
    with store.write() as transaction:
        install_dlp_rules(transaction)
    with store.view() as reader:
        return reader.revision()


def read_rules(store: Store) -> dict[str, DlpRule]:
    with store.view() as reader:
        return {each.id: DlpRule(**each.body) for each in reader.list(KIND, PLATFORM)}


def test_every_detector_has_a_rule_with_a_stable_id(store: Store) -> None:
    with store.write() as transaction:
        install_dlp_rules(transaction)
    rules = read_rules(store)
    assert rules.keys() == {each.id for each in dlp_rules()}
    card = rules[rule_id("credit_card")]
    assert card.id == "4bc36998-5371-5785-b5e9-8e5c3f12afc1"
    assert (card.detector_name, card.action_tier) == ("Credit Card Number", "redact")
    assert card.created_at == card.updated_at > 0


def test_a_release_that_changes_nothing_writes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = dlp_rules()[:3]
    assert install(store, monkeypatch, *rules) == install(store, monkeypatch, *rules)


def test_a_release_changes_adds_and_removes_rules(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unchanged, changed, removed, new = dlp_rules()[:4]
    install(store, monkeypatch, unchanged, changed, removed)
    before = read_rules(store)
    install(store, monkeypatch, unchanged, replace(changed, action_tier="block"), new)
    after = read_rules(store)
    assert after.keys() == {unchanged.id, changed.id, new.id}
    assert after[unchanged.id] == before[unchanged.id]
    assert after[changed.id].action_tier == "block"
    assert after[changed.id].created_at == before[changed.id].created_at


def test_rules_of_bundles_are_not_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = replace(dlp_rules()[0], id="of-a-bundle", bundle_id="bundle")
    with store.write() as transaction:
        entity = StoredEntity(KIND, PLATFORM, rule.id, body_of(rule))
        transaction.put(entity, actor="test", summary="Installed")
    install(store, monkeypatch)
    assert read_rules(store).keys() == {"of-a-bundle"}
