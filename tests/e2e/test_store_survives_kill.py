"""A writer is killed (SIGKILL) at a random point, over and over; nothing acknowledged is lost.

After a kill the file is whole, every transaction that was acknowledged is there, every other one is
there whole or not at all, and the records are those that the log of changes comes to. Now and then
the next writer is let on to the file just as the kill has left it.

`PDP_SOAK_ROUNDS` sets how many kills there are: 15 by default, some 300 for a long run.
`PDP_SOAK_SEED` chooses other points to kill at. A kill of the process, not of the machine: what the
disk does with a power cut is not tried here.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.domain.stored_entity import Change
    from pdp.store.port import Reader

pytestmark = pytest.mark.soak

ROUNDS: Final = int(os.environ.get("PDP_SOAK_ROUNDS", "15"))
SEED: Final = os.environ.get("PDP_SOAK_SEED", "0")

WRITER: Final = Path(__file__).parents[1] / "support" / "kill_writer.py"
TENANTS: Final = ("t0", "t1", "t2")

MOST_LINES: Final = 40
LONGEST_SPIN: Final = 40_000
"""Steps of an empty loop: about three commits, so that a kill may fall anywhere in one."""

Acknowledged = dict[int, tuple[int, str]]
"""By number of transaction: the revision of its last change, and the digest of all."""


def killed(file: Path, lines: int, spin: int) -> Acknowledged:
    """Runs a writer, kills it `spin` steps after its line `lines`, and returns what it had told."""
    command = [sys.executable, str(WRITER), f"sqlite:///{file}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (
        (file.parent / "stderr.txt").open("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        ) as writer,
    ):
        assert writer.stdout is not None
        try:
            told = [writer.stdout.readline() for _ in range(lines)]
            for _ in range(spin):
                pass
        finally:
            writer.kill()
        told += writer.stdout.readlines()
        errors.seek(0)
        assert all(told[:lines]), f"the writer ended by itself: {errors.read()}"
    # A line that the kill has cut off acknowledges nothing.
    whole = [line.split() for line in told[1:] if line.endswith("\n")]
    return {int(number): (int(revision), digest) for number, revision, digest in whole}


class Ledger:
    """What the log of changes comes to, followed from transaction to transaction."""

    def __init__(self) -> None:
        self.revision = 0
        self.transaction = 0
        self._state: dict[tuple[str, str, str], tuple[int, Any]] = {}

    def follow(self, reader: Reader, acknowledged: Acknowledged) -> int:
        """Reads on, checks each transaction and then the records; returns how many were new."""
        before = self.transaction
        for number, group in groupby(self._changes(reader), key=_number):
            changes = list(group)
            assert number == self.transaction + 1, "a transaction is missing"
            places = [change.summary.split(maxsplit=1)[1] for change in changes]
            assert places == [f"{n} of {len(changes)}" for n in range(1, len(changes) + 1)]
            told = acknowledged.pop(number, None)
            assert told in {None, (changes[-1].revision, _digest(changes))}
            self.transaction = number
            for change in changes:
                self._apply(change)
        assert not acknowledged, "acknowledged, and lost"
        self._check_records(reader)
        return self.transaction - before

    def _changes(self, reader: Reader) -> Iterator[Change]:
        while changes := reader.changes(self.revision, limit=100):
            for change in changes:
                assert change.revision > self.revision
                self.revision = change.revision
                yield change

    def _apply(self, change: Change) -> None:
        key = (change.tenant_id, change.kind, change.entity_id)
        assert (change.op == "create") == (key not in self._state)
        assert change.before == self._state.get(key, (0, None))[1]
        if change.after is None:
            del self._state[key]
        else:
            self._state[key] = (change.revision, change.after)

    def _check_records(self, reader: Reader) -> None:
        expected = list(self._state.items())
        for tenant in TENANTS:
            found = [
                ((record.tenant_id, record.kind, record.id), (record.revision, record.body))
                for record in reader.list_tenant(tenant)
            ]
            assert found == [item for item in expected if item[0][0] == tenant]


def _number(change: Change) -> int:
    return int(change.summary.split()[0])


def _digest(changes: list[Change]) -> str:
    rows = [[c.revision, c.tenant_id, c.op, c.entity_id, c.after] for c in changes]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def check(file: Path, ledger: Ledger, acknowledged: Acknowledged) -> int:
    """Checks the file and follows its log; returns how many transactions were new."""
    with closing(open_store(f"sqlite:///{file}")) as store, store.read() as reader:
        new = ledger.follow(reader, dict(acknowledged))
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return new


def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    file = tmp_path / "store.db"
    everything: Acknowledged = {}
    ledger = Ledger()
    pending: Acknowledged = {}
    kills = 0
    for round_ in range(ROUNDS):
        pending |= killed(file, chance.randint(1, MOST_LINES), chance.randrange(LONGEST_SPIN))
        kills += 1
        if chance.random() < 0.75 or round_ == ROUNDS - 1:
            everything |= pending
            new = check(file, ledger, pending)
            # A kill can fall between a commit and its acknowledgement, but only once.
            assert 0 <= new - len(pending) <= kills
            pending, kills = {}, 0
    assert len(everything) >= ROUNDS // 2, "hardly anything was written"
    check(file, Ledger(), everything)


def test_a_kill_while_the_store_is_made_leaves_one_that_can_be_opened(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    for round_ in range(ROUNDS // 3):
        directory = tmp_path / str(round_)
        directory.mkdir()
        # Opening takes some milliseconds: spins of up to as long.
        acknowledged = killed(directory / "store.db", 1, chance.randrange(10 * LONGEST_SPIN))
        check(directory / "store.db", Ledger(), acknowledged)
