"""A writer is killed (SIGKILL) at random points; no acknowledged transaction is lost.

After most kills, the test checks:

- The file is intact.
- Every acknowledged transaction is present.
- Every other transaction is present completely or not at all.
- The entities match the log of changes.

After the other kills, the next writer opens the file unchecked.

`PDP_SOAK_ROUNDS` sets the number of kills: 15 by default, some 300 for a long run.
`PDP_SOAK_SEED` selects other points for the kills. Only the process is killed, not the machine: the
test does not cover what a disk does when the power fails.
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
"""Steps of an empty loop. They take about three commits, so a kill can hit any part of one."""

Acknowledged = dict[int, tuple[int, str]]
"""By number of transaction: the revision of its last change, and the digest of all changes."""


def killed(file: Path, lines: int, spin: int) -> Acknowledged:
    """Runs a writer and kills it `spin` steps after line `lines`; returns what it acknowledged."""
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
            received = [writer.stdout.readline() for _ in range(lines)]
            for _ in range(spin):
                pass
        finally:
            writer.kill()
        received += writer.stdout.readlines()
        errors.seek(0)
        assert all(received[:lines]), f"the writer ended by itself: {errors.read()}"
    # A line that the kill cut off acknowledges nothing.
    whole = [line.split() for line in received[1:] if line.endswith("\n")]
    return {int(number): (int(revision), digest) for number, revision, digest in whole}


class Ledger:
    """The state that results from the log of changes, read transaction by transaction."""

    def __init__(self) -> None:
        self.revision = 0
        self.transaction = 0
        self._state: dict[tuple[str, str, str], tuple[int, Any]] = {}

    def follow(self, reader: Reader, acknowledged: Acknowledged) -> int:
        """Reads and checks new transactions, then the entities; returns the number of new ones."""
        before = self.transaction
        for number, group in groupby(self._changes(reader), key=_number):
            changes = list(group)
            assert number == self.transaction + 1, "a transaction is missing"
            places = [change.summary.split(maxsplit=1)[1] for change in changes]
            assert places == [f"{n} of {len(changes)}" for n in range(1, len(changes) + 1)]
            acknowledgement = acknowledged.pop(number, None)
            assert acknowledgement in {None, (changes[-1].revision, _digest(changes))}
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
            rows = [
                ((record.tenant_id, record.kind, record.id), (record.revision, record.body))
                for record in reader.list_tenant(tenant)
            ]
            assert rows == [item for item in expected if item[0][0] == tenant]


def _number(change: Change) -> int:
    return int(change.summary.split()[0])


def _digest(changes: list[Change]) -> str:
    rows = [[c.revision, c.tenant_id, c.op, c.entity_id, c.after] for c in changes]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def check(file: Path, ledger: Ledger, acknowledged: Acknowledged) -> int:
    """Checks the file and follows its log; returns the number of new transactions."""
    with closing(open_store(f"sqlite:///{file}")) as store, store.view() as reader:
        new = ledger.follow(reader, dict(acknowledged))
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return new


def test_a_kill_loses_no_acknowledged_transaction(tmp_path: Path) -> None:
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
            # A kill can fall between a commit and its acknowledgement, but only once per kill.
            assert 0 <= new - len(pending) <= kills
            pending, kills = {}, 0
    assert len(everything) >= ROUNDS // 2, "hardly anything was written"
    check(file, Ledger(), everything)


def test_a_store_opens_after_a_kill_during_its_creation(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    for round_ in range(ROUNDS // 3):
        directory = tmp_path / str(round_)
        directory.mkdir()
        # Opening takes some milliseconds, so the spins are up to as long.
        acknowledged = killed(directory / "store.db", 1, chance.randrange(10 * LONGEST_SPIN))
        check(directory / "store.db", Ledger(), acknowledged)
