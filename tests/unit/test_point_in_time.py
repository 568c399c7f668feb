"""Entities of an earlier revision are returned as they were then."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from pdp.admin.point_in_time import entities_at
from pdp.domain.stored_entity import StoredEntity
from pdp.errors import InvalidArgument
from pdp.policy_files.state import KINDS, state_at
from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.store.port import Reader, Store, Transaction

TENANTS: Final = ("", "acme", "other")
SOME_KINDS: Final = KINDS[:2]
WRITES: Final = 120

Listing = list[tuple[str, str, int]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/pdp.db")) as new_store:
        yield new_store


def put(transaction: Transaction, tenant: str, kind: str, name: str, number: int) -> None:
    entity = StoredEntity(kind, tenant, name, {"number": number})
    transaction.put(entity, actor="a", summary="s")


def write(transaction: Transaction, chance: random.Random, number: int) -> None:
    """Creates, changes or deletes a random entity."""
    tenant, kind = chance.choice(TENANTS), chance.choice(SOME_KINDS)
    entities = transaction.list(kind, tenant)
    if entities and chance.random() < 0.4:
        entity_id = chance.choice(entities).id
        transaction.delete(kind, tenant, entity_id, actor="a", summary="s")
    else:
        put(transaction, tenant, kind, chance.choice("abcdef"), number)


def listing(reader: Reader, tenant: str) -> dict[str, Listing]:
    """Returns the present entities by kind, in order of creation."""
    return {
        kind: [(kind, each.id, each.body["number"]) for each in reader.list(kind, tenant)]
        for kind in SOME_KINDS
    }


def listing_at(reader: Reader, tenant: str, revision: int) -> dict[str, Listing]:
    """Returns the entities of a revision by kind, in order of creation."""
    entities = entities_at(reader, tenant, revision)
    return {
        kind: [(kind, each.id, each.body["number"]) for each in entities if each.kind == kind]
        for kind in SOME_KINDS
    }


@pytest.mark.parametrize("seed", range(4))
def test_every_revision_is_returned_as_it_was(
    store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entities are created, changed, deleted, and created again with the same id."""
    monkeypatch.setattr("pdp.admin.point_in_time._PAGE", 7)
    chance = random.Random(seed)  # noqa: S311 - no secret
    listings: dict[int, dict[str, dict[str, Listing]]] = {}
    for number in range(WRITES):
        with store.write() as transaction:
            write(transaction, chance, number)
        with store.view() as reader:
            listings[reader.revision()] = {each: listing(reader, each) for each in TENANTS}
    with store.view() as reader:
        assert reader.revision() == WRITES
        for revision, expected in listings.items():
            assert {each: listing_at(reader, each, revision) for each in TENANTS} == expected
        assert [entities_at(reader, each, 0) for each in TENANTS] == [[], [], []]


@pytest.mark.parametrize("revision", [-1, 2])
def test_an_unknown_revision_is_rejected(store: Store, revision: int) -> None:
    """The error names the field that the caller uses."""
    with store.write() as transaction:
        put(transaction, "acme", KINDS[0], "a", 1)
    with store.view() as reader:
        with pytest.raises(InvalidArgument, match="revision: must be from 0 to 1"):
            entities_at(reader, "acme", revision)
        with pytest.raises(InvalidArgument, match="revision: must be from 0 to 1"):
            state_at(reader, "acme", revision)
