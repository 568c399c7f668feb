"""Appends batches to the hash chain of this process.

Only this process writes its chain, so an append locks no row that another one writes. It takes two
round trips: the first takes the number of the batch, the second inserts and commits. If an append
fails, it is not known whether its commit has arrived. The next append then begins a new chain.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg

from pdp.errors import StoreUnavailable
from pdp.store.hash_chain import GENESIS, Batch, digest_of_root, record_hash
from pdp.store.hash_tree import root_of
from pdp.store.postgres.errors import convert_errors
from pdp.store.postgres.records.arrays import number_array, text_array
from pdp.store.postgres.records.chains import (
    MAX_SEEN,
    ChainHead,
    ChainNote,
    ChainOpening,
    read_heads,
    to_json,
)
from pdp.store.postgres.records.columns import SearchColumns, search_values
from pdp.store.postgres.records.positions import (
    BATCH_BITS,
    day_of,
    first_position,
    first_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pdp.store.postgres.connections import AnswerGuard
    from pdp.store.postgres.records.signing import HeadSigner

RECORD_OVERHEAD: Final = 512
"""What a record needs in addition to its body, in bytes: the columns and indexes for searches."""

WITNESS_S: Final = 600.0
"""How often a chain notes the heads of the others."""

RETRY_S: Final = 0.5
"""After a failed attempt to connect, appends fail for this time without another one."""

_NUMBERS: Final = {"time": "float8", "pii_detected": "boolean"}
"""The types of the columns that are not texts."""

_INSERT_RECORDS: Final = f"""
    INSERT INTO records (sequence, body, {", ".join(SearchColumns._fields)})
    SELECT %s::bigint + place - 1, {", ".join(("body", *SearchColumns._fields))}
    FROM unnest(%s::text[], {
    ", ".join(f"%s::{_NUMBERS.get(name, 'text')}[]" for name in SearchColumns._fields)
}) WITH ORDINALITY AS new (body, {", ".join(SearchColumns._fields)}, place)
"""  # noqa: S608 - no input
_DRAW: Final = "SELECT drawn, at FROM draw()"
_INSERT_MATCHES: Final = """
    INSERT INTO matches (tenant_id, policy_id, sequence)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])
"""
_INSERT_BATCH: Final = "INSERT INTO batches VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
_INSERT_CHAIN: Final = "INSERT INTO chains VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
# The division by zero stops the commit that is sent along.
_ADVANCE: Final = """
    WITH advanced AS (
        UPDATE chains SET batches = %s, records = %s, bytes = bytes + %s, hash = %s, signature = %s
        WHERE chain = %s AND batches = %s AND hash = %s RETURNING 1
    ) SELECT 1 / count(*) FROM advanced
"""
# Those of the day, and of the last day before it that has chains.
_HEADS: Final = f"""
    SELECT chain, batches, records, hash FROM chains WHERE chain >= (
        SELECT coalesce(max(chain), 0) >> {BATCH_BITS} << {BATCH_BITS} FROM chains WHERE chain < %s
    ) ORDER BY chain DESC LIMIT {MAX_SEEN}
"""  # noqa: S608 - no input

_SIGNS_OF_TAMPERING: Final = (psycopg.errors.DivisionByZero, psycopg.errors.UniqueViolation)
_CHAIN_BROKEN: Final = (
    "The audit log was changed by another program. Run pdp audit verify. The next records begin a"
    " new hash chain."
)


class NewRecord(NamedTuple):
    """A record to append.

    Attributes:
        body: its JSON.
        hash: its hash in the chain.
        columns: what searches compare.
        policy_ids: the policies that matched.
    """

    body: str
    hash: bytes
    columns: SearchColumns
    policy_ids: tuple[str, ...]

    @classmethod
    def of(cls, body: str, key: bytes) -> NewRecord:
        """Returns the record with this body."""
        encoded = body.encode()
        return cls(body, record_hash(encoded, key), *search_values(encoded))


class AppendTransaction:
    """A transaction that appends batches. It sends the statements of a batch with the commit."""

    def __init__(
        self, connection: psycopg.Connection, writer: ChainWriter, head: ChainHead | None
    ) -> None:
        self.connection = connection
        self.head = head
        self.new_days: set[int] = set()
        self.seen: dict[int, ChainHead] = {}
        self._writer = writer

    def append(self, records: Sequence[NewRecord], note: ChainNote | None = None) -> None:
        """Appends a batch. Begins a new chain if there is none yet, or if it is of another day."""
        head = self.head
        position, at = self._draw()
        while head is None or day_of(head.chain) != day_of(position):
            head = self._open(position, at)
            position, at = self._draw()
        self.head = self._add(head, position, at, records, to_json(note) if note else "")

    def select(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Returns the rows of a statement."""
        # A plan that is kept would be one for all days.
        return self.connection.execute(sql.encode(), parameters, prepare=False).fetchall()

    def execute(self, sql: str, *parameters: object) -> None:
        """Queues a statement. If it fails, the commit does."""
        self.connection.execute(sql.encode(), parameters, prepare=False)

    def _send(self, sql: str, *parameters: object) -> None:
        """Queues a statement of every append, whose plan is kept."""
        self.connection.execute(sql.encode(), parameters)

    def _draw(self) -> tuple[int, int]:
        [(position, at)] = self.connection.execute(_DRAW).fetchall()
        day = day_of(position)
        if day not in self._writer.days | self.new_days:
            self.execute("SELECT add_day(%s)", day)
            self.new_days.add(day)
        return position, at

    def _open(self, position: int, at: int) -> ChainHead:
        """Begins a chain, whose first batch names its writer and what it has seen of others."""
        opening = ChainOpening(self._writer.replica, self._writer.signer.public_key)
        heads = self._heads(day_of(position))
        self.execute(_INSERT_CHAIN, position, *opening, 0, 0, 0, GENESIS, b"")
        head = ChainHead(position, 0, 0, GENESIS)
        return self._add(head, position, at, (), to_json(ChainNote(opened=opening, seen=heads)))

    def witness(self, seen: Mapping[int, ChainHead]) -> None:
        """Appends a note of the heads of other chains, if they have changed.

        Args:
            seen: those that this process has noted before, by chain.
        """
        if self.head is None:
            return
        own = self.head.chain
        heads = self._heads(day_of(own))
        new = tuple(each for each in heads if each.chain != own and seen.get(each.chain) != each)
        if new:
            self.append((), ChainNote(seen=new))

    def _heads(self, day: int) -> tuple[ChainHead, ...]:
        """Returns the newest heads of chains, as far as they are committed, and notes them."""
        heads = read_heads(self.select(_HEADS, first_position(day)))
        self.seen.update({each.chain: each for each in heads})
        return heads

    def _add(
        self, head: ChainHead, position: int, at: int, records: Sequence[NewRecord], note: str
    ) -> ChainHead:
        first, count = first_record(position), len(records)
        batch = Batch(head.batches + 1, first, count, at, note, head.hash, b"")
        root = root_of([each.hash for each in records])
        hash_ = digest_of_root(batch, root, self._writer.key)
        new = ChainHead(head.chain, batch.sequence, head.records + count, hash_)
        signature = self._writer.signer.sign(new)
        if records:
            self._insert(first, records)
        row = position, head.chain, batch.sequence, count, at, note, head.hash, hash_
        self._send(_INSERT_BATCH, *row)
        size = sum(len(each.body) + RECORD_OVERHEAD for each in records)
        old = head.chain, head.batches, head.hash
        self._send(_ADVANCE, new.batches, new.records, size, hash_, signature, *old)
        return new

    def _insert(self, first: int, records: Sequence[NewRecord]) -> None:
        columns = zip(*(each.columns for each in records), strict=True)
        arrays = [
            number_array(values) if name in _NUMBERS else text_array(values)
            for name, values in zip(SearchColumns._fields, columns, strict=True)
        ]
        self._send(_INSERT_RECORDS, first, text_array([each.body for each in records]), *arrays)
        matches = [
            (each.columns.tenant_id, policy_id, first + place)
            for place, each in enumerate(records)
            if each.columns.tenant_id
            for policy_id in each.policy_ids
        ]
        if matches:
            tenants, policies, places = zip(*matches, strict=True)
            lists = text_array(tenants), text_array(policies), number_array(places)
            self._send(_INSERT_MATCHES, *lists)


class ChainWriter:
    """The chain of this process. One thread at a time uses it.

    Attributes:
        key: the key of the log; empty for none.
        replica: the name of the replica.
        signer: signs the heads.
        days: the days whose partitions this process knows.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        guard: AnswerGuard,
        signer: HeadSigner,
        *,
        key: bytes,
        replica: str,
        timeout_s: float,
    ) -> None:
        """Takes the arguments that are attributes, and what connects.

        Args:
            connect: opens a connection that commits each statement by itself.
            guard: breaks a connection that does not answer.
            signer: signs the heads.
            key: the key of the log; empty for none.
            replica: the name of the replica.
            timeout_s: how long a transaction may take.
        """
        self.key = key
        self.replica = replica
        self.signer = signer
        self.days: set[int] = set()
        self._connect = connect
        self._guard = guard
        self._timeout_s = timeout_s
        self._connection: psycopg.Connection | None = None
        self._retry_at = 0.0
        self._head: ChainHead | None = None
        self._warnings = 0
        self._seen: Mapping[int, ChainHead] = {}
        self._witness_at = time.monotonic() + WITNESS_S

    @property
    def head(self) -> ChainHead | None:
        """The head of the chain; None if there is none yet."""
        return self._head

    @contextmanager
    def transaction(self) -> Iterator[AppendTransaction]:
        """Opens a transaction, and commits it at the end of the context.

        Raises:
            StoreUnavailable: it is not committed, or that is not known.
        """
        connection = self._connected()
        transaction = AppendTransaction(connection, self, self._head)
        self._warnings = 0
        try:
            with convert_errors(), self._guard.limit(connection, self._timeout_s):
                with connection.pipeline():
                    connection.execute("BEGIN")
                    yield transaction
                    commit = connection.execute("COMMIT")
                # A commit warns if it has stopped to wait for a standby.
                if commit.statusmessage != "COMMIT" or self._warnings:
                    raise StoreUnavailable("The database has not confirmed the commit.")
        except StoreUnavailable as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                self._roll_back(connection)
                raise
            self.discard()
            if isinstance(error.__cause__, _SIGNS_OF_TAMPERING):
                raise StoreUnavailable(_CHAIN_BROKEN) from error
            raise
        except BaseException:
            self.discard()
            raise
        self._head = transaction.head
        self.days |= transaction.new_days
        if transaction.seen:
            self._seen = transaction.seen

    def witness(self, transaction: AppendTransaction) -> None:
        """Notes the heads of other chains in this one from time to time."""
        if time.monotonic() >= self._witness_at:
            self._witness_at = time.monotonic() + WITNESS_S
            transaction.witness(self._seen)

    def discard(self) -> None:
        """Closes the connection, and gives up the chain."""
        self._head = None
        self._disconnect()

    def _connected(self) -> psycopg.Connection:
        """Returns the connection. Opens it again if the database has ended it meanwhile."""
        if self._connection is not None:
            if not _has_input(self._connection):
                return self._connection
            self._disconnect()
        if time.monotonic() < self._retry_at:
            raise StoreUnavailable("The database of decision records cannot be reached.")
        try:
            with convert_errors():
                connection = self._connection = self._connect()
        except StoreUnavailable:
            self._retry_at = time.monotonic() + RETRY_S
            raise
        connection.add_notice_handler(self._note)
        return connection

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        self._warnings += notice.severity_nonlocalized == "WARNING"

    def _roll_back(self, connection: psycopg.Connection) -> None:
        """Ends a transaction that has written nothing, so that the chain goes on."""
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            self.discard()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _has_input(connection: psycopg.Connection) -> bool:
    """Returns whether the database has sent something unasked, such as the end of the session."""
    poller = poll()
    poller.register(connection.fileno(), POLLIN)
    return bool(poller.poll(0))
