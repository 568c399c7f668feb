"""Reads and writes through an open transaction. Entities are the rows of `records`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.stored_entity import Change, Op, StoredEntity
from pdp.errors import StoreUnavailable
from pdp.store import codec
from pdp.store.port import NO_FIELDS, EntityPage, NameTaken
from pdp.store.sql import approvals
from pdp.store.sql.compaction import BEFORE, compact, removed_changes
from pdp.store.sql.counters import add_counts, forget_counters, read_counters
from pdp.store.sql.dialect import INT64_MAX
from pdp.store.sql.processes import read_processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.server_process import SeenProcess
    from pdp.domain.usage import Counter, CounterId, Counts
    from pdp.store.port import ChangeFilter, ChangeRetention, Compaction, RemovedChanges
    from pdp.store.sql.dialect import Parameter, Rows, StoreSession

Changes = list[Change]  # within the classes, `list` is a method

_GET = """
    SELECT kind, tenant_id, id, body, name, revision, created_at, updated_at FROM records
    WHERE tenant_id = ? AND kind = ? AND id = ? AND deleted_at IS NULL
"""
_CREATION_TIME = "SELECT created_at FROM records WHERE tenant_id = ? AND kind = ? AND id = ?"
_FIND = """
    SELECT kind, tenant_id, id, body, name, revision, created_at, updated_at FROM records
    WHERE tenant_id = ? AND kind = ? AND name = ? AND deleted_at IS NULL
"""
_LIST = """
    SELECT kind, tenant_id, id, body, name, revision, created_at, updated_at FROM records
    WHERE tenant_id = ? AND kind = ? AND deleted_at IS NULL ORDER BY seq
"""
_PAGE = """
    SELECT seq, kind, tenant_id, id, body, name, revision, created_at, updated_at FROM records
    WHERE tenant_id = ? AND kind = ? AND deleted_at IS NULL AND seq > ?{matching}
    ORDER BY seq LIMIT ? OFFSET ?
"""
_COUNT = """
    SELECT count(*) FROM records WHERE tenant_id = ? AND kind = ? AND deleted_at IS NULL{matching}
"""
_LIST_TENANT = """
    SELECT kind, tenant_id, id, body, name, revision, created_at, updated_at FROM records
    WHERE tenant_id = ? AND deleted_at IS NULL AND kind NOT IN ('approval', 'confirmation')
    ORDER BY seq
"""
# Deleted entities have rows, too. Steps through the index from tenant to tenant: the cost is per
# tenant, not per entity.
_TENANTS = """
    WITH RECURSIVE tenant (id) AS (
        SELECT min(tenant_id) FROM records
        UNION ALL
        SELECT (SELECT min(tenant_id) FROM records WHERE tenant_id > tenant.id) FROM tenant
        WHERE tenant.id IS NOT NULL
    )
    SELECT id FROM tenant WHERE id IS NOT NULL
"""
_CHANGE_COLUMNS: Final = (
    f"revision, tenant_id, kind, entity_id, op, {BEFORE}, after, actor, at, summary"
)
_HISTORY = f"""
    SELECT {_CHANGE_COLUMNS} FROM changes
    WHERE tenant_id = ? AND kind = ? AND entity_id = ? AND revision < ? AND (op <> 'delete' OR ?)
    ORDER BY revision DESC LIMIT ? OFFSET ?
"""  # noqa: S608 - the columns are a constant
# Both counts read an index only.
_COUNT_CHANGES = """
    SELECT count(*) FROM changes WHERE tenant_id = ? AND kind = ? AND entity_id = ?
"""
_COUNT_DELETIONS = """
    SELECT count(*) FROM changes
    WHERE tenant_id = ? AND kind = ? AND entity_id = ? AND op = 'delete'
"""
_CHANGES = f"""
    SELECT {_CHANGE_COLUMNS} FROM changes
    WHERE revision > ? ORDER BY revision LIMIT ?
"""  # noqa: S608 - as above
_REVISION = "SELECT coalesce(max(revision), 0) FROM changes"
_CURRENT = """
    SELECT body, created_at FROM records
    WHERE tenant_id = ? AND kind = ? AND id = ? AND deleted_at IS NULL
"""
_HOLDER = """
    SELECT id FROM records
    WHERE tenant_id = ? AND kind = ? AND name = ? AND id <> ? AND deleted_at IS NULL
"""
_LOG = """
    INSERT INTO changes (tenant_id, kind, entity_id, op, after, actor, at, summary)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING revision
"""
_PUT = """
    INSERT INTO records
        (tenant_id, kind, id, name, body, revision, seq, created_at, updated_at, deleted_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)
    ON CONFLICT (tenant_id, kind, id) DO UPDATE SET
        name = excluded.name, body = excluded.body, revision = excluded.revision,
        seq = CASE WHEN records.deleted_at IS NULL THEN records.seq ELSE excluded.seq END,
        created_at = excluded.created_at, updated_at = excluded.updated_at, deleted_at = NULL
"""
_DELETE = """
    UPDATE records SET revision = ?, updated_at = ?, deleted_at = ?
    WHERE tenant_id = ? AND kind = ? AND id = ?
"""


def _entity(row: tuple[Any, ...]) -> StoredEntity:
    kind, tenant_id, entity_id, body, *rest = row
    return StoredEntity(kind, tenant_id, entity_id, codec.load(body), *rest)


def _change(row: tuple[Any, ...]) -> Change:
    revision, tenant_id, kind, entity_id, op, before, after, *rest = row
    return Change(revision, tenant_id, kind, entity_id, op, _body(before), _body(after), *rest)


def _selection(
    filter_: ChangeFilter, before: int | None, limit: int
) -> tuple[str, list[Parameter]]:
    """Returns the statement that selects the newest changes, and its parameters."""
    conditions: dict[str, str | float | None] = {
        "tenant_id = ?": filter_.tenant_id,
        "kind = ?": filter_.kind or None,
        "entity_id = ?": filter_.entity_id or None,
        "actor = ?": filter_.actor or None,
        "op = ?": filter_.op or None,
        "at >= ?": filter_.since,
        "at < ?": filter_.until,
        "revision < ?": before,
    }
    parameters = {text: value for text, value in conditions.items() if value is not None}
    where = " AND ".join(parameters)
    # The text contains no input: the conditions come from the list above.
    sql = (
        f"SELECT {_CHANGE_COLUMNS} FROM changes WHERE {where}"  # noqa: S608 - as above
        " ORDER BY revision DESC LIMIT ?"
    )
    return sql, [*parameters.values(), limit]


def _matching(sql: str, fields: Mapping[str, str | bool]) -> tuple[str, list[str | bool]]:
    """Returns a statement that selects entities with some values in their bodies, and the values.

    The names of the fields are those of the product's classes, never input.
    """
    conditions = "".join(
        f" AND {'TRUTH' if isinstance(value, bool) else 'TEXT'}_FIELD({name}) = ?"
        for name, value in fields.items()
    )
    return sql.format(matching=conditions), list(fields.values())


def _single(rows: Rows) -> int:
    """Returns the number of a count; 0 if the store cannot hold the texts that were asked for."""
    return int(rows[0][0]) if rows else 0


def _body(text: str | None) -> dict[str, Any] | None:
    return None if text is None else codec.load(text)


class SqlReader:
    """A `Reader` in the transaction of a session."""

    def __init__(self, session: StoreSession) -> None:
        self._session = session
        self._ended = False
        self._failed = False

    def get(self, kind: str, tenant_id: str, entity_id: str) -> StoredEntity | None:
        """See `Reader.get`."""
        rows = self._select(_GET, tenant_id, kind, entity_id)
        return _entity(rows[0]) if rows else None

    def creation_time(self, kind: str, tenant_id: str, entity_id: str) -> float:
        """See `Reader.creation_time`."""
        rows = self._select(_CREATION_TIME, tenant_id, kind, entity_id)
        return float(rows[0][0]) if rows else 0.0

    def find(self, kind: str, tenant_id: str, name: str) -> StoredEntity | None:
        """See `Reader.find`."""
        rows = self._select(_FIND, tenant_id, kind, name)
        return _entity(rows[0]) if rows else None

    def list(self, kind: str, tenant_id: str) -> Sequence[StoredEntity]:
        """See `Reader.list`."""
        return tuple(map(_entity, self._select(_LIST, tenant_id, kind)))

    def count(
        self, kind: str, tenant_id: str, matching: Mapping[str, str | bool] = NO_FIELDS
    ) -> int:
        """See `Reader.count`."""
        sql, values = _matching(_COUNT, matching)
        return _single(self._select(sql, tenant_id, kind, *values))

    def page(
        self,
        kind: str,
        tenant_id: str,
        *,
        after: int = 0,
        skip: int = 0,
        limit: int = 1000,
        matching: Mapping[str, str | bool] = NO_FIELDS,
    ) -> EntityPage:
        """See `Reader.page`."""
        sql, values = _matching(_PAGE, matching)
        bounds = (*values, limit + 1, min(skip, INT64_MAX))
        rows = self._select(sql, tenant_id, kind, min(after, INT64_MAX), *bounds)
        page = rows[:limit]
        last = page[-1][0] if page else after
        return EntityPage(tuple(_entity(row[1:]) for row in page), last, len(rows) > limit)

    def list_tenant(self, tenant_id: str) -> Sequence[StoredEntity]:
        """See `Reader.list_tenant`."""
        return tuple(map(_entity, self._select(_LIST_TENANT, tenant_id)))

    def tenants(self) -> frozenset[str]:
        """See `Reader.tenants`."""
        return frozenset(tenant for (tenant,) in self._select(_TENANTS))

    def history(
        self,
        kind: str,
        tenant_id: str,
        entity_id: str,
        *,
        before: int | None = None,
        skip: int = 0,
        limit: int | None = None,
        deletions: bool = True,
    ) -> Sequence[Change]:
        """See `Reader.history`."""
        below, most = (INT64_MAX if each is None else each for each in (before, limit))
        bounds = (min(below, INT64_MAX), deletions, most, skip)
        return tuple(map(_change, self._select(_HISTORY, tenant_id, kind, entity_id, *bounds)))

    def count_changes(
        self, kind: str, tenant_id: str, entity_id: str, *, deletions: bool = True
    ) -> int:
        """See `Reader.count_changes`."""
        key = (tenant_id, kind, entity_id)
        count = _single(self._select(_COUNT_CHANGES, *key))
        return count if deletions else count - _single(self._select(_COUNT_DELETIONS, *key))

    def changes(self, since: int, limit: int = 1000) -> Sequence[Change]:
        """See `Reader.changes`."""
        # A negative limit is none or an error, and so is a number of more than 64 bits.
        bounds = min(since, INT64_MAX), min(max(limit, 0), INT64_MAX)
        return tuple(map(_change, self._select(_CHANGES, *bounds)))

    def select_changes(
        self, filter_: ChangeFilter, *, before: int | None = None, limit: int = 100
    ) -> Sequence[Change]:
        """See `Reader.select_changes`."""
        sql, parameters = _selection(filter_, before, limit)
        return tuple(map(_change, self._select(sql, *parameters)))

    def revision(self) -> int:
        """See `Reader.revision`."""
        [(revision,)] = self._select(_REVISION)
        return int(revision)

    def count_open_approvals(self, tenant_id: str, subject: str = "") -> int:
        """See `Reader.count_open_approvals`."""
        return approvals.count_open(self._execute, tenant_id, subject)

    def due_approvals(self, now: float, limit: int = 100) -> Sequence[StoredEntity]:
        """See `Reader.due_approvals`."""
        return tuple(map(_entity, approvals.due(self._execute, now, limit)))

    def removed_changes(self) -> RemovedChanges:
        """See `Reader.removed_changes`."""
        return removed_changes(self._execute)

    def processes(self) -> Sequence[SeenProcess]:
        """See `Reader.processes`."""
        return read_processes(self._execute)

    def counters(self, since: int, limit: int = 1000) -> Sequence[Counter]:
        """See `Reader.counters`."""
        return read_counters(self._execute, since, limit)

    def end(self) -> None:
        """Ends the view. Every later call raises `RuntimeError`."""
        self._ended = True

    def _select(self, sql: str, *parameters: Parameter) -> Rows:
        if not codec.can_store(parameters):
            return []
        return self._execute(sql, *parameters)

    def _execute(self, sql: str, *parameters: Parameter) -> Rows:
        # After the end, or if the database rolled back after an error, a statement would run in a
        # new transaction.
        if self._ended:
            raise RuntimeError("the view has ended: its context is closed")
        self.check()
        try:
            return self._session.execute(sql, parameters)
        except StoreUnavailable:
            self._failed = True
            raise

    def check(self) -> None:
        """Checks that no statement has failed, so that the transaction may commit.

        Raises:
            StoreUnavailable: a statement has failed.
        """
        if self._failed:
            raise StoreUnavailable("The store failed in this transaction; nothing was written.")


class SqlTransaction(SqlReader):
    """A `Transaction` in a session that holds the lock of writers.

    Args:
        session: is in the transaction.
        now: the time of all changes.

    """

    def __init__(self, session: StoreSession, now: float) -> None:
        super().__init__(session)
        self._now = now
        self._new_changes: Changes = []

    @property
    def now(self) -> float:
        """See `Transaction.now`."""
        return self._now

    @property
    def new_changes(self) -> Sequence[Change]:
        """See `Transaction.new_changes`."""
        return tuple(self._new_changes)

    def put(self, entity: StoredEntity, *, actor: str, summary: str) -> StoredEntity:
        """See `Transaction.put`."""
        key = (entity.tenant_id, entity.kind, entity.id)
        _check_texts(key, entity.name, actor, summary)
        body = codec.dump(entity.body)
        self._check_name(entity)
        current = self._execute(_CURRENT, *key)
        before, created_at = current[0] if current else (None, self._now)
        op: Op = "update" if current else "create"
        change = self._log(key, op, before=before, after=body, actor=actor, summary=summary)
        times = (created_at, self._now)
        self._execute(_PUT, *key, entity.name, body, change.revision, change.revision, *times)
        return replace(
            entity,
            body=codec.load(body),
            revision=change.revision,
            created_at=created_at,
            updated_at=self._now,
        )

    def delete(
        self, kind: str, tenant_id: str, entity_id: str, *, actor: str, summary: str
    ) -> Change:
        """See `Transaction.delete`."""
        key = (tenant_id, kind, entity_id)
        current = self._select(_CURRENT, *key)
        if not current:
            raise KeyError(entity_id)
        _check_texts(key, None, actor, summary)
        before = current[0][0]
        change = self._log(key, "delete", before=before, after=None, actor=actor, summary=summary)
        self._execute(_DELETE, change.revision, self._now, self._now, *key)
        return change

    def compact(self, retention: ChangeRetention) -> Compaction:
        """See `Transaction.compact`."""
        return compact(self._execute, retention)

    def add_counts(self, additions: Mapping[CounterId, Counts]) -> None:
        """See `Transaction.add_counts`."""
        add_counts(self._execute, additions)

    def forget_approvals(self, before: float, used_before: float, most: int) -> int:
        """See `Transaction.forget_approvals`."""
        return approvals.forget(self._execute, before, used_before, most)

    def forget_counters(self, window: str, before: int) -> None:
        """See `Transaction.forget_counters`."""
        forget_counters(self._execute, window, before)

    def discard(self) -> None:
        """Discards the changes: the transaction is being rolled back."""
        self._new_changes.clear()

    def _check_name(self, entity: StoredEntity) -> None:
        # Check before writing, so that the transaction stays usable if the name is taken. No other
        # writer can take it in between, and a unique index enforces it in any case.
        if entity.name is None:
            return
        holders = self._execute(_HOLDER, entity.tenant_id, entity.kind, entity.name, entity.id)
        if holders:
            raise NameTaken(str(holders[0][0]))

    def _log(
        self,
        key: tuple[str, str, str],
        op: Op,
        *,
        before: str | None,
        after: str | None,
        actor: str,
        summary: str,
    ) -> Change:
        bodies = _body(before), _body(after)  # decoded first: nothing may fail after the insert
        row = (*key, op, after, actor, self._now, summary)
        [(revision,)] = self._execute(_LOG, *row)
        change = Change(revision, *key, op, *bodies, actor, self._now, summary)
        self._new_changes.append(change)
        return change


def _check_texts(key: tuple[str, str, str], name: str | None, actor: str, summary: str) -> None:
    tenant_id, kind, entity_id = key
    codec.check_texts(
        kind=kind, tenant_id=tenant_id, id=entity_id, name=name, actor=actor, summary=summary
    )
