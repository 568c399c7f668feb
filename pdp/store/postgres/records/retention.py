"""Removes records that exceed the retention, so that the rest can still be verified.

- Age: a day is removed as a whole when its last record is too old. Its partitions are emptied in
  one step, whatever they hold.
- Size: each tenant that holds more than its share loses its oldest records. Their hashes stay, as
  nodes of the trees of their batches.

Each step is one transaction. It also appends a note to the chain of this process that says what was
removed (`chains`). One process at a time removes records.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from pdp.domain.audit_log import Removal, RemovedRecords
from pdp.store.fair_shares import excesses
from pdp.store.hash_chain import record_hash
from pdp.store.hash_tree import Tree, TreeNode
from pdp.store.postgres.records.chains import (
    ChainNote,
    RemovedDays,
    parse_chain_note,
    read_heads,
)
from pdp.store.postgres.records.columns import search_values
from pdp.store.postgres.records.counting import count_step, read_holdings, used_bytes
from pdp.store.postgres.records.positions import (
    DAY_S,
    RETENTION_LOCK,
    day_of,
    first_of_day,
    first_position,
    first_record,
    position_of,
)
from pdp.store.postgres.records.reading import TABLES, partition
from pdp.store.postgres.records.writer import RECORD_OVERHEAD
from pdp.store.removal_notes import Range, sum_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pdp.domain.audit_log import Retention
    from pdp.store.postgres.records.writer import AppendTransaction

MAX_RECORDS: Final = 1000
"""The most single records to remove in one step."""

MAX_BYTES: Final = 16 << 20
"""The most bytes of bodies to read in one step, unless one record alone has more."""

LOCK_WAIT_MS: Final = 200
"""How long the removal of a day waits for those who read it."""

_DAYS: Final = """
    SELECT (SELECT coalesce(min(chain), last_value) FROM chains), last_value FROM positions
"""
_HEADS: Final = """
    SELECT chain, batches, records, hash FROM chains WHERE chain >= %s AND chain < %s ORDER BY chain
"""
_NOTES: Final = "SELECT note FROM batches WHERE position >= %s AND position < %s AND note <> ''"
_LAST_REMOVAL: Final = """
    SELECT note FROM batches WHERE note <> '' AND note LIKE '%%"through":%%'
    ORDER BY position DESC LIMIT 1
"""
_OF_DAY: Final = "SELECT tenant_id, records FROM holdings WHERE day = %s AND records > 0"
_COUNTED: Final = "SELECT counted_through FROM log"
_IS_EMPTY: Final = "SELECT NOT EXISTS (SELECT FROM {})"
_OLDEST_DAY: Final = "SELECT min(day) FROM holdings WHERE tenant_id = %s AND records > 0"
_OLDEST_RECORDS: Final = """
    SELECT sequence, body FROM records WHERE {} AND sequence >= %s AND sequence < %s
    ORDER BY sequence LIMIT %s
"""
_FORGET: Final = "UPDATE holdings SET bytes = 0, records = 0 WHERE day = %s AND tenant_id = %s"
_BATCH_SIZES: Final = "SELECT position, records FROM batches WHERE position = ANY(%s)"
_NODES: Final = """
    SELECT sequence, level, hash FROM nodes
    WHERE sequence >= %s AND sequence < %s AND sequence >> 10 = ANY(%s) AND level BETWEEN 0 AND 62
"""
_DELETE_NODES: Final = """
    DELETE FROM nodes WHERE sequence >= %s AND sequence < %s AND sequence >> 10 = ANY(%s)
"""
_INSERT_NODES: Final = """
    INSERT INTO nodes SELECT * FROM unnest(%s::bigint[], %s::integer[], %s::bytea[])
"""
_DELETE_RECORDS: Final = "DELETE FROM records WHERE sequence = ANY(%s)"
_DELETE_MATCHES: Final = """
    DELETE FROM matches USING unnest(%s::text[], %s::bigint[]) AS old (policy_id, sequence)
    WHERE tenant_id = %s AND matches.policy_id = old.policy_id AND matches.sequence = old.sequence
        AND matches.sequence >= %s AND matches.sequence < %s
"""
_SUBTRACT: Final = """
    UPDATE holdings SET bytes = bytes - %s, records = records - %s,
        removed_bytes = removed_bytes + %s
    WHERE day = %s AND tenant_id = %s
"""

_Record = tuple[int, bytes]
"""The number of a record, and its body."""


class RetentionStep:
    """One step, in a transaction that appends."""

    def __init__(self, transaction: AppendTransaction, key: bytes) -> None:
        """Args:
        transaction: has appended nothing yet.
        key: the key of the log.
        """
        self._transaction = transaction
        self._select = transaction.select
        self._execute = transaction.execute
        self._key = key

    def run(self, retention: Retention, now: float) -> Removal:
        """Removes a bounded number of records."""
        [(is_alone,)] = self._select("SELECT pg_try_advisory_xact_lock(%s)", RETENTION_LOCK)
        if not is_alone:
            return Removal()
        is_counted = count_step(self._select)
        day, is_past = self._oldest_day()
        if is_past and retention.max_age_s is not None:
            expires_at = (day + 1) * DAY_S + retention.max_age_s
            if expires_at <= now:
                return self._remove_day(day, "age", is_counted=is_counted)
        used = used_bytes(self._select)
        if retention.max_bytes is None or used <= retention.max_bytes:
            return Removal()
        if not is_counted:
            return Removal(1)
        if is_past and self._is_empty(day):
            return self._remove_day(day, "size", is_counted=is_counted)
        removed = self._remove_excess(used, retention.max_bytes)
        return Removal(removed, removed)

    def _oldest_day(self) -> tuple[int, bool]:
        """Returns the oldest day that has a chain, and whether it is over."""
        [(oldest, newest)] = self._select(_DAYS)
        return day_of(oldest), day_of(oldest) < day_of(newest)

    def _is_empty(self, day: int) -> bool:
        [(is_empty,)] = self._select(_IS_EMPTY.format(partition("records", day)))
        return bool(is_empty)

    def _remove_day(self, day: int, reason: str, *, is_counted: bool) -> Removal:
        """Empties the partitions of the oldest day."""
        [(counted,)] = self._select(_COUNTED)
        if not is_counted and counted < first_of_day(day + 1):
            return Removal(1)
        tables = ", ".join(partition(table, day) for table in TABLES)
        self._select(f"SELECT set_config('lock_timeout', '{LOCK_WAIT_MS}ms', true)")
        self._execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        begin, end = first_position(day), first_position(day + 1)
        heads = read_heads(self._select(_HEADS, begin, end))
        removed = [RemovedRecords(each, reason, n) for each, n in self._select(_OF_DAY, day)]
        earlier = sum_up(self._totals_of_notes(begin, end))
        last = self._last_removal()
        self._execute(f"TRUNCATE {tables}")
        self._execute("DELETE FROM chains WHERE chain >= %s AND chain < %s", begin, end)
        self._execute("DELETE FROM holdings WHERE day = %s", day)
        if heads:
            days = RemovedDays(
                day,
                heads,
                last.batches + sum(each.batches for each in heads),
                last.records + sum(each.records for each in heads),
                earlier,
            )
            self._transaction.append((), ChainNote(removed=sum_up(removed), days=days))
        return Removal(sum(each.records for each in removed) or 1)

    def _totals_of_notes(self, begin: int, end: int) -> Iterator[RemovedRecords]:
        """Yields what the notes between two positions say, so that no removal is forgotten."""
        for (note,) in self._select(_NOTES, begin, end):
            try:
                yield from parse_chain_note(note).totals
            except ValueError:
                continue  # the verification then finds that the totals do not add up

    def _last_removal(self) -> RemovedDays:
        """Returns what the newest note says about removed days."""
        for (note,) in self._select(_LAST_REMOVAL):
            try:
                return parse_chain_note(note).days or RemovedDays(0)
            except ValueError:
                continue  # as above
        return RemovedDays(0)

    def _remove_excess(self, used: int, max_bytes: int) -> int:
        """Removes the oldest records of the tenants above their share; returns how many."""
        removed: list[RemovedRecords] = []
        ranges: list[Range] = []
        room = MAX_RECORDS
        for tenant_id, excess in excesses(read_holdings(self._select), used, max_bytes).items():
            records = list(_up_to(min(excess, MAX_BYTES), self._oldest(tenant_id, room)))
            if not records:
                continue
            self._remove_records(tenant_id, records)
            removed.append(RemovedRecords(tenant_id, "size", len(records)))
            ranges += _ranges(sequence for sequence, _ in records)
            room -= len(records)
            if room <= 0:
                break
        if removed:
            self._transaction.append((), ChainNote(removed=sum_up(removed), ranges=tuple(ranges)))
        return sum(each.records for each in removed)

    def _oldest(self, tenant_id: str, limit: int) -> list[tuple[int, str]]:
        """Returns the oldest records of a tenant, all of one day."""
        [(day,)] = self._select(_OLDEST_DAY, tenant_id)
        if day is None:
            return []
        bounds = first_of_day(day), first_of_day(day + 1)
        if tenant_id:
            sql = _OLDEST_RECORDS.format("tenant_id = %s")
            records = self._select(sql, tenant_id, *bounds, limit)
        else:
            sql = _OLDEST_RECORDS.format("coalesce(tenant_id, '') = ''")
            records = self._select(sql, *bounds, limit)
        if not records:  # another program has removed them
            self._execute(_FORGET, day, tenant_id)
        return records

    def _remove_records(self, tenant_id: str, records: Sequence[_Record]) -> None:
        """Replaces records of a day by nodes of the trees of their batches."""
        positions = sorted({position_of(sequence) for sequence, _ in records})
        bounds = first_record(positions[0]), first_record(positions[-1] + 1), positions
        nodes = list(self._new_nodes(records, positions, bounds))
        self._execute(_DELETE_NODES, *bounds)
        self._execute(_INSERT_NODES, *([*each] for each in zip(*nodes, strict=True)))
        self._execute(_DELETE_RECORDS, [sequence for sequence, _ in records])
        matches = [
            (policy_id, sequence)
            for sequence, body in records
            for policy_id in search_values(body).policy_ids
        ]
        if matches:
            lists = ([*each] for each in zip(*matches, strict=True))
            self._execute(_DELETE_MATCHES, *lists, tenant_id, *bounds[:2])
        size = sum(len(body) + RECORD_OVERHEAD for _, body in records)
        day = day_of(positions[0])
        self._execute(_SUBTRACT, size, len(records), size, day, tenant_id)

    def _new_nodes(
        self, records: Sequence[_Record], positions: list[int], bounds: tuple[int, int, list[int]]
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yields the nodes that the batches of the records have then."""
        sizes = dict(self._select(_BATCH_SIZES, positions))
        known: dict[int, list[TreeNode]] = {each: [] for each in positions}
        for sequence, level, hash_ in self._select(_NODES, *bounds):
            position = position_of(sequence)
            place = (sequence - first_record(position)) >> level
            known[position].append(TreeNode(level, place, bytes(hash_)))
        for sequence, body in records:
            position = position_of(sequence)
            leaf = TreeNode(0, sequence - first_record(position), record_hash(body, self._key))
            known[position].append(leaf)
        for position, nodes in known.items():
            tree = Tree(sizes.get(position, 0))
            for node in sorted(nodes, key=lambda each: each.position << each.level):
                tree.add(*node)
            for level, place, hash_ in tree.nodes:
                yield first_record(position) + (place << level), level, hash_


def _up_to(size: int, rows: Iterable[tuple[int, str]]) -> Iterator[_Record]:
    """Yields records until they have this size together."""
    for sequence, text in rows:
        body = text.encode()
        yield sequence, body
        size -= len(body) + RECORD_OVERHEAD
        if size <= 0:
            return


def _ranges(sequences: Iterable[int]) -> Iterator[Range]:
    """Yields the runs of consecutive numbers."""
    for _, run in groupby(enumerate(sequences), key=lambda item: item[1] - item[0]):
        numbers = [number for _, number in run]
        yield Range(numbers[0], numbers[-1])
