"""Verifies the log of records in PostgreSQL: all chains, day by day.

Batches and records are read once, in the order of their numbers, in which the chains alternate.
What one chain says about others is compared with what these have (`chains`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.audit_log import RemovedRecords, Verification
from pdp.store.batch_content import BatchContent, ProblemList, RowsInStep
from pdp.store.hash_chain import GENESIS, Batch
from pdp.store.postgres.records.chains import ChainHead, ChainNote, RemovedDays, parse_chain_note
from pdp.store.postgres.records.columns import SearchColumns, search_values
from pdp.store.postgres.records.positions import (
    MAX_BATCH,
    batch_text,
    chain_text,
    day_of,
    day_text,
    first_of_day,
    first_position,
    first_record,
    last_record,
    position_of,
)
from pdp.store.postgres.records.reading import partition, read_days, read_horizon
from pdp.store.postgres.records.signing import expected_key, is_signed
from pdp.store.postgres.session import run
from pdp.store.removal_notes import sum_up
from pdp.store.run_differences import RunDifferences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import psycopg

    from pdp.store.batch_content import ContentRow

FETCHED: Final = 2_000
"""The rows that are fetched at a time."""

_BATCHES: Final = """
    SELECT position, chain, number, records, at, note, previous, hash FROM {} ORDER BY position
"""
_CONTENT: Final = f"""
    SELECT sequence, body, -1, NULL, {", ".join(SearchColumns._fields)} FROM {{}}
    UNION ALL SELECT sequence, NULL, level, hash, {", ".join(["NULL"] * len(SearchColumns._fields))}
    FROM {{}} ORDER BY 1
"""  # noqa: S608 - no input
_NOTES_OF_DAY: Final = "SELECT note FROM {} WHERE note <> ''"
_NOTES: Final = "SELECT position, note FROM batches WHERE note <> '' ORDER BY position"
_MATCHES: Final = "SELECT tenant_id, policy_id, sequence FROM {}"
_CHAINS: Final = """
    SELECT chain, batches, records, hash, public_key, signature FROM chains
    WHERE chain >= %s AND chain < %s ORDER BY chain
"""
_STRAY_CHAINS: Final = "SELECT chain FROM chains WHERE NOT chain >> 33 = ANY(%s) ORDER BY chain"


class _PlacedBatch(NamedTuple):
    position: int
    chain: int
    batch: Batch


class _RemovalNotes:
    """What all notes say about removals."""

    def __init__(self, connection: psycopg.Connection, days: Sequence[int]) -> None:
        """Reads the notes.

        Args:
            connection: has a consistent view open.
            days: the days that have partitions.
        """
        self.last = RemovedDays(0)
        self.heads: dict[int, ChainHead] = {}
        self.unreadable: list[int] = []
        self._totals: dict[tuple[str, str], int] = {}
        self._in_days = 0
        self._in_ranges: dict[int, int] = {}
        self._differences = {day: _differences(connection, day) for day in days}
        for position, note in _stream(connection, "notes", _NOTES):
            try:
                self._add(parse_chain_note(note))
            except ValueError:
                self.unreadable.append(position)

    def _add(self, note: ChainNote) -> None:
        for tenant_id, reason, records in note.totals:
            key = tenant_id, reason
            self._totals[key] = self._totals.get(key, 0) + records
        for first, last in note.ranges:
            day = day_of(position_of(first))
            self._in_ranges[day] = self._in_ranges.get(day, 0) + last + 1 - first
            if day in self._differences:
                self._differences[day].add(first, -1)
                self._differences[day].add(last + 1, 1)
        if note.days:
            self.heads.update({each.chain: each for each in note.days.heads})
            self._in_days += sum(each.records for each in note.totals)
            self.last = max(self.last, note.days, key=lambda each: each.through)

    @property
    def totals(self) -> tuple[RemovedRecords, ...]:
        """What the retention has removed."""
        return sum_up(RemovedRecords(*key, count) for key, count in self._totals.items())

    def differences(self, day: int) -> RunDifferences:
        """Returns the records of a day that are noted as removed, as a difference from none.

        If the day is removed as a whole, `problems` counts its records instead.
        """
        return RunDifferences(0) if day <= self.last.through else self._differences[day]

    def problems(self) -> Iterator[str]:
        """Yields what does not fit together, in words."""
        for position in self.unreadable:
            yield f"the note of batch {batch_text(position)} cannot be read"
        through, records = self.last.through, self.last.records
        in_ranges = sum(count for day, count in self._in_ranges.items() if day <= through)
        if through and self._in_days + in_ranges != records:
            yield (
                f"the days up to {day_text(through)} had {records} records, but the notes say that"
                f" {self._in_days + in_ranges} were removed"
            )


class _Sightings:
    """Heads that chains have noted of others, and that are not found yet."""

    def __init__(self, connection: psycopg.Connection, problems: ProblemList) -> None:
        self._connection = connection
        self._problems = problems
        self._heads: dict[tuple[int, int], ChainHead] = {}

    def load(self, day: int) -> bool:
        """Adds what the notes of a day say. Returns whether it has a note at all."""
        rows = _stream(self._connection, "sightings", _NOTES_OF_DAY, partition("batches", day))
        has_notes = False
        for (note,) in rows:
            has_notes = True
            try:
                heads = parse_chain_note(note).seen
            except ValueError:
                continue  # another part of the verification reports it
            for head in heads:
                known = self._heads.setdefault(head[:2], head)
                if known != head:
                    self._problems.add(f"two notes contradict each other about {_name(head)}")
        return has_notes

    def meet(self, head: ChainHead) -> None:
        """Compares a head with what others have noted of it."""
        noted = self._heads.pop(head[:2], head)
        if noted != head:
            self._problems.add(f"{_name(head)} is not what another chain has noted")

    def end(self, day: int, removed: dict[int, ChainHead], through: int) -> None:
        """Reports the heads up to a day that are not there, and that the retention has not removed.

        Args:
            day: the day.
            removed: the heads of the chains that are removed with their days.
            through: the last removed day.
        """
        for key, head in sorted(self._heads.items()):
            if day_of(head.chain) > day:
                continue
            del self._heads[key]
            last = removed.get(head.chain)
            is_removed = last is not None and last.batches >= head.batches
            if day_of(head.chain) > through or not is_removed:
                self._problems.add(f"{_name(head)} is missing, which another chain has noted")


class _DayVerifier:
    """Verifies a day."""

    def __init__(
        self,
        connection: psycopg.Connection,
        day: int,
        key: bytes,
        problems: ProblemList,
        differences: RunDifferences,
    ) -> None:
        self._connection = connection
        self._day = day
        self._key = key
        self._problems = problems
        self._differences = differences
        self._ends: dict[int, ChainHead] = {}
        self._keys: dict[int, bytes] = {}
        self._matches = RunDifferences(0)
        self.batches = self.records = self.first = self.newest = 0
        self.digests: dict[int, bytes] = {}

    def add_missing_records(self, first: int, end: int) -> None:
        """See `MissingRecords`."""
        self._differences.add(first, 1)
        self._differences.add(end, -1)

    def run(self, sightings: _Sightings, marks: Sequence[int]) -> None:
        """Verifies the day.

        Args:
            sightings: heads that chains have noted of others.
            marks: positions; `digests` has what the day had at each of them.
        """
        names = partition("records", self._day), partition("nodes", self._day)
        rows = RowsInStep(self._checked(_stream(self._connection, "content", _CONTENT, *names)))
        pending = sorted(marks)
        for placed in self._placed_batches():
            while pending and placed.position > pending[0]:
                self._take_digest(pending.pop(0))
            self._check(placed, rows)
            head = self._ends[placed.chain]
            sightings.meet(head)
            self.batches += 1
            self.first = self.first or placed.position
            self.newest = placed.position
        for mark in pending:
            self._take_digest(mark)
        stray = rows.remaining()
        if stray:
            self._problems.add(
                f"{stray} records at the end of {day_text(self._day)} belong to no batch"
            )
        self._check_heads()
        self._check_matches()
        for low, high in self._differences.places():
            self._problems.add(
                f"records {low} to {max(low, high - 1)}: the notes do not say that exactly these"
                " were removed"
            )

    def _placed_batches(self) -> Iterator[_PlacedBatch]:
        name = partition("batches", self._day)
        for position, chain, *header, previous, hash_ in _stream(
            self._connection, "batches", _BATCHES, name
        ):
            number, records, at, note = header
            batch = Batch(
                number, first_record(position), records, at, note, bytes(previous), bytes(hash_)
            )
            yield _PlacedBatch(position, chain, batch)

    def _take_digest(self, mark: int) -> None:
        self.digests[mark] = digest_of_heads(self._ends.values())

    def _checked(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[ContentRow]:
        """Yields the rows of records and nodes, and compares the columns of records."""
        for sequence, text, level, hash_, *columns in rows:
            if level >= 0:
                yield sequence, b"", level, bytes(hash_)
                continue
            body = text.encode()
            values = search_values(body)
            if tuple(columns) != values.columns:
                self._problems.add(f"the columns of record {sequence} contradict its body")
            if values.columns.tenant_id:
                for policy_id in values.policy_ids:
                    self._count_match(values.columns.tenant_id, policy_id, sequence, 1)
            yield sequence, body, -1, b""

    def _count_match(self, tenant_id: str, policy_id: str, sequence: int, sign: int) -> None:
        self._matches.add(sequence, sign, f"{len(tenant_id)} {tenant_id} {policy_id}".encode())

    def _check(self, placed: _PlacedBatch, rows: RowsInStep) -> None:
        """Checks a batch against the previous one of its chain, and against its records."""
        position, chain, batch = placed
        name = f"batch {batch_text(position)}"
        stray = sum(1 for _ in rows.until(batch.first_record))
        if stray:
            self._problems.add(f"{stray} records before {name} belong to no batch")
        last = self._ends.get(chain) or ChainHead(chain, 0, 0, GENESIS)
        self._ends[chain] = ChainHead(
            chain, batch.sequence, last.records + batch.records, batch.hash
        )
        if (batch.sequence, batch.previous) != (last.batches + 1, last.hash):
            self._problems.add(f"{name} does not follow from the batch before it in its chain")
        if not 0 <= batch.records <= MAX_BATCH:
            self._problems.add(f"{name} claims {batch.records} records")
            return
        self._check_opening(placed)
        content = BatchContent(batch, self._key, self)
        hash_ = content.digest(rows.until(batch.next_record))
        missing = batch.records - content.records - content.removed
        if missing > 0:
            self._problems.add(f"{name} lacks {missing} of its {batch.records} records")
        elif hash_ != batch.hash:
            self._problems.add(f"{name} is not what was written")
        self.records += content.records

    def _check_opening(self, placed: _PlacedBatch) -> None:
        """Checks that a chain begins with its first batch, and who writes it."""
        position, chain, batch = placed
        is_first = position == chain
        try:
            opened = parse_chain_note(batch.note).opened
        except ValueError:
            return  # another part of the verification reports it
        if is_first != (opened is not None) or is_first != (batch.sequence == 1):
            self._problems.add(
                f"batch {batch_text(position)} is not where {chain_text(chain)} begins"
            )
        elif opened is not None:
            self._keys[chain] = opened.public_key

    def _check_heads(self) -> None:
        """Compares the signed heads with the ends of the chains."""
        bounds = first_position(self._day), first_position(self._day + 1)
        expected = expected_key(self._key)
        ends = dict(self._ends)
        for chain, batches, records, hash_, *signed in run(self._connection, _CHAINS, bounds):
            head = ChainHead(chain, batches, records, bytes(hash_))
            public_key, signature = map(bytes, signed)
            name, end = chain_text(chain), ends.pop(chain, None)
            if end is None:
                self._problems.add(f"{name} is missing")
            elif end.batches < head.batches:
                self._problems.add(
                    f"the end of {name} is missing: its batches {end.batches + 1} to {batches}"
                )
            elif end != head:
                self._problems.add(f"the head of {name} is not its last batch")
            if public_key != (expected or self._keys.get(chain, public_key)):
                self._problems.add(f"{name} is signed with another key")
            elif not is_signed(head, public_key, signature):
                self._problems.add(f"the signature of the head of {name} is not valid")
        for chain in ends:
            self._problems.add(f"the head of {chain_text(chain)} is missing")

    def _check_matches(self) -> None:
        rows = _stream(self._connection, "matches", _MATCHES, partition("matches", self._day))
        for tenant_id, policy_id, sequence in rows:
            self._count_match(tenant_id, policy_id, sequence, -1)
        if any(True for _ in self._matches.places()):
            self._problems.add(
                f"the index of policies of {day_text(self._day)} contradicts its records"
            )


def verify(connection: psycopg.Connection, key: bytes, anchor: str) -> Verification:
    """Verifies the whole log; see `AuditLog.verify`.

    Args:
        connection: commits each statement by itself.
        key: the key of the log.
        anchor: `position:digest`, the `head` of an earlier verification; empty for none.
    """
    horizon = read_horizon(connection)
    run(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        return _verify(connection, key, anchor, horizon)
    finally:
        run(connection, "ROLLBACK")


def _verify(connection: psycopg.Connection, key: bytes, anchor: str, horizon: int) -> Verification:
    problems = ProblemList()
    days = read_days(connection)
    notes = _RemovalNotes(connection, days)
    sightings = _Sightings(connection, problems)
    anchored = int(anchor.partition(":")[0]) if anchor else 0
    batches = records = first = newest = 0
    digests: dict[int, bytes] = {}
    loaded = iter(days)
    for day in days:
        _load_sightings(sightings, loaded, day)
        verifier = _DayVerifier(connection, day, key, problems, notes.differences(day))
        verifier.run(sightings, [each for each in (anchored, horizon) if day_of(each) == day])
        sightings.end(day, notes.heads, notes.last.through)
        if verifier.batches and day <= notes.last.through:
            problems.add(f"{day_text(day)} has batches, although a note says that it is removed")
        batches, records = batches + verifier.batches, records + verifier.records
        first, newest = first or verifier.first, verifier.newest or newest
        digests |= verifier.digests
    for problem in notes.problems():
        problems.add(problem)
    for (chain,) in connection.execute(_STRAY_CHAINS, (days,)).fetchall():
        problems.add(f"{chain_text(chain)} is missing")
    if anchor and (problem := _anchor_problem(anchor, digests.get(anchored), notes.last.through)):
        problems.add(problem)
    head = digests.get(horizon, digest_of_heads(()))
    return Verification(
        batches=batches,
        records=records,
        first_batch=first,
        last_batch=newest,
        head=f"{horizon}:{head.hex()}",
        removed_batches=notes.last.batches,
        problems=tuple(problems),
        removed=notes.totals,
    )


def digest_of_heads(heads: Iterable[ChainHead]) -> bytes:
    """Returns a hash of the ends of chains; zeros if there are none."""
    ends = sorted(heads)
    if not ends:
        return bytes(32)
    text = "".join(f"{each.chain},{each.batches},{each.hash.hex()};" for each in ends)
    return hashlib.sha256(text.encode()).digest()


def _load_sightings(sightings: _Sightings, days: Iterator[int], day: int) -> None:
    """Reads the notes of a day, and of the next one that has any: it has seen this day's chains."""
    for each in days:
        if sightings.load(each) and each > day:
            return


def _anchor_problem(anchor: str, digest: bytes | None, through: int) -> str:
    """Returns what is wrong with an anchor; empty if the log has had this head."""
    position, _, expected = anchor.partition(":")
    if digest is not None and digest.hex() == expected:
        return ""
    if 0 < day_of(int(position)) <= through:
        return f"the anchor {anchor} is of a removed day, so it cannot be checked"
    return f"the anchor {anchor} is not in the log: it was cut or rewritten"


def _differences(connection: psycopg.Connection, day: int) -> RunDifferences:
    """Returns an empty comparison of the records of a day."""
    [(newest,)] = run(connection, f"SELECT max(position) FROM {partition('batches', day)}")  # noqa: S608 - no input
    return RunDifferences(last_record(newest or 0), first_of_day(day))


def _name(head: ChainHead) -> str:
    return f"batch {head.batches} of {chain_text(head.chain)}"


def _stream(
    connection: psycopg.Connection, name: str, sql: str, *tables: str
) -> Iterator[tuple[Any, ...]]:
    """Yields the rows of a statement, of which few are in memory at a time."""
    with connection.cursor(name) as cursor:
        cursor.itersize = FETCHED
        cursor.execute(sql.format(*tables).encode())
        yield from cursor
