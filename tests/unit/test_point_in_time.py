"""Policies of an earlier revision: what there was then, whatever has been done since."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from pdp.admin.point_in_time import records_at
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

Seen = list[tuple[str, str, int]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/pdp.db")) as opened:
        yield opened


def put(transaction: Transaction, tenant: str, kind: str, name: str, number: int) -> None:
    record = StoredEntity(kind, tenant, name, {"number": number})
    transaction.put(record, actor="a", summary="s")


def write(transaction: Transaction, chance: random.Random, number: int) -> None:
    """Creates, changes or deletes a record of anyone's."""
    tenant, kind = chance.choice(TENANTS), chance.choice(SOME_KINDS)
    there = transaction.list(kind, tenant)
    if there and chance.random() < 0.4:
        gone = chance.choice(there).id
        transaction.delete(kind, tenant, gone, actor="a", summary="s")
    else:
        put(transaction, tenant, kind, chance.choice("abcdef"), number)


def seen(reader: Reader, tenant: str) -> dict[str, Seen]:
    """Returns what there is, by kind, in order."""
    return {
        kind: [(kind, each.id, each.body["number"]) for each in reader.list(kind, tenant)]
        for kind in SOME_KINDS
    }


def seen_at(reader: Reader, tenant: str, revision: int) -> dict[str, Seen]:
    """Returns what there was, by kind, in order."""
    found = records_at(reader, tenant, revision)
    return {
        kind: [(kind, each.id, each.body["number"]) for each in found if each.kind == kind]
        for kind in SOME_KINDS
    }


@pytest.mark.parametrize("seed", range(4))
def test_every_revision_is_as_it_was_then(
    store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Created, changed, deleted, and created again by the same id: in order of creation."""
    monkeypatch.setattr("pdp.admin.point_in_time._PAGE", 7)
    chance = random.Random(seed)  # noqa: S311 - no secret
    then: dict[int, dict[str, dict[str, Seen]]] = {}
    for number in range(WRITES):
        with store.write() as transaction:
            write(transaction, chance, number)
        with store.read() as reader:
            then[reader.revision()] = {each: seen(reader, each) for each in TENANTS}
    with store.read() as reader:
        assert reader.revision() == WRITES
        for revision, expected in then.items():
            assert {each: seen_at(reader, each, revision) for each in TENANTS} == expected
        assert [records_at(reader, each, 0) for each in TENANTS] == [[], [], []]


@pytest.mark.parametrize("revision", [-1, 2])
def test_a_revision_that_there_is_not(store: Store, revision: int) -> None:
    """It is refused by the name that the caller knows it by."""
    with store.write() as transaction:
        put(transaction, "acme", KINDS[0], "a", 1)
    with store.read() as reader:
        with pytest.raises(InvalidArgument, match="revision: must be from 0 to 1"):
            records_at(reader, "acme", revision)
        with pytest.raises(InvalidArgument, match="to: must be from 0 to 1"):
            state_at(reader, "acme", revision)
