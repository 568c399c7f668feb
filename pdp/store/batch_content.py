"""Computes the hash of a batch of records from what a database has of it, row by row.

The rows are records and nodes of trees of hashes (`hash_tree`), in the order of their numbers. They
are hashed as they are read: a tampered batch may claim all records of the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pdp.store.hash_chain import digest, digest_of_root, record_hash
from pdp.store.hash_tree import Tree, root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.store.hash_chain import Batch

MAX_PROBLEMS: Final = 50
"""The most problems to report. If there are more, the last entry says so."""

_MAX_LEVEL: Final = 62
"""The highest level of a node in a tree of hashes: record numbers have 63 bits."""

_MAX_AT_ONCE: Final = 1024
"""The most records to hash at once."""


ContentRow = tuple[int, bytes, int, bytes]
"""A record or a node: the number of the (first) record, the body, the level, the hash. A record has
the level -1."""


class MissingRecords(Protocol):
    """Collects the records that are missing."""

    def add_missing_records(self, first: int, end: int) -> None:
        """Adds a run of missing records, from `first` to before `end`."""


class ProblemList(list[str]):
    """A list of problems with a bounded length."""

    def add(self, problem: str) -> None:
        """Adds a problem, up to the bound."""
        if len(self) < MAX_PROBLEMS:
            self.append(problem)
        elif len(self) == MAX_PROBLEMS:
            self.append("and more")


class RowsInStep:
    """Reads the records and the nodes of trees, by number, in step with the batches."""

    def __init__(self, rows: Iterator[ContentRow]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def until(self, end: int) -> Iterator[ContentRow]:
        """Yields the unread rows with a number below `end`."""
        while self._next is not None and self._next[0] < end:
            yield self._next
            self._next = next(self._rows, None)

    def remaining(self) -> int:
        """Reads the rest, and returns how many rows it had."""
        return 0 if self._next is None else 1 + sum(1 for _ in self._rows)


class BatchContent:
    """The content of a batch.

    Attributes:
        records: how many records were read.
        removed: how many records the nodes stand for.
    """

    def __init__(self, batch: Batch, key: bytes, ledger: MissingRecords) -> None:
        self._batch = batch
        self._key = key
        self._ledger = ledger
        self._tree = Tree(batch.records)
        self.records = 0
        self.removed = 0

    def digest(self, rows: Iterator[ContentRow]) -> bytes | None:
        """Returns the hash of the content; None if a part of it is missing."""
        batch, key = self._batch, self._key
        if batch.version == 1 and not batch.converted:
            hash_ = digest(batch, self._bodies(rows), key)
            return None if self.removed else hash_
        root = self._root(rows)
        return None if root is None else digest_of_root(batch, root, key)

    def _root(self, rows: Iterator[ContentRow]) -> bytes | None:
        batch, key = self._batch, self._key
        if 0 < batch.records <= _MAX_AT_ONCE:
            # Usually nothing is removed. Then the whole tree is computed at once, which is faster.
            read = list(rows)
            if len(read) == batch.records and all(row[2] < 0 for row in read):
                self.records = len(read)
                return root_of([record_hash(body, key) for _, body, _, _ in read])
            rows = iter(read)
        for row in rows:
            if row[2] < 0:
                self.records += 1
                self._add(0, row[0] - batch.first_record, record_hash(row[1], key))
            else:
                self._add_node(row)
        return self._tree.root

    def _bodies(self, rows: Iterator[ContentRow]) -> Iterator[bytes]:
        for row in rows:
            if row[2] < 0:
                self.records += 1
                yield row[1]
            else:
                self._add_node(row)

    def _add_node(self, row: ContentRow) -> None:
        sequence, _, level, hash_ = row
        level = min(level, _MAX_LEVEL)
        index = (sequence - self._batch.first_record) >> level
        self._add(level, index, hash_)
        leaves = self._tree.leaves_below(level, index)
        self.removed += leaves
        self._ledger.add_missing_records(sequence, sequence + leaves)

    def _add(self, level: int, index: int, hash_: bytes) -> None:
        # More nodes are never siblings, so the tree is not complete.
        if len(self._tree.nodes) <= _MAX_LEVEL:
            self._tree.add(level, index, hash_)
