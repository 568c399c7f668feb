"""The platform's DLP rules over releases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp.admin.install import dlp_rules as module
from pdp.admin.install.dlp_rules import install_dlp
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
    opened = open_store(f"sqlite:///{tmp_path / 'pdp.db'}")
    yield opened
    opened.close()


def install(store: Store, patch: pytest.MonkeyPatch, *rules: DlpRule) -> int:
    """Starts a release with these rules; returns the store's revision then."""
    patch.setattr(module, "dlp_rules", lambda: rules)
    with store.write() as transaction:
        install_dlp(transaction)
    with store.read() as reader:
        return reader.revision()


def stored(store: Store) -> dict[str, DlpRule]:
    with store.read() as reader:
        return {each.id: DlpRule(**each.body) for each in reader.list(KIND, PLATFORM)}


def test_every_detector_has_a_rule_of_the_same_id_everywhere(store: Store) -> None:
    with store.write() as transaction:
        install_dlp(transaction)
    rules = stored(store)
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


def test_a_release_changes_adds_and_takes_out_rules(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, changed, gone, new = dlp_rules()[:4]
    install(store, monkeypatch, kept, changed, gone)
    before = stored(store)
    install(store, monkeypatch, kept, replace(changed, action_tier="block"), new)
    after = stored(store)
    assert after.keys() == {kept.id, changed.id, new.id}
    assert after[kept.id] == before[kept.id]
    assert after[changed.id].action_tier == "block"
    assert after[changed.id].created_at == before[changed.id].created_at


def test_rules_of_bundles_are_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = replace(dlp_rules()[0], id="of-a-bundle", bundle_id="bundle")
    with store.write() as transaction:
        record = StoredEntity(KIND, PLATFORM, rule.id, body_of(rule))
        transaction.put(record, actor="test", summary="Installed")
    install(store, monkeypatch)
    assert stored(store).keys() == {"of-a-bundle"}
