"""The port of the store. Every backend passes `tests/contract/test_store*.py`."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pdp.domain.server_process import SeenProcess, ServerProcess
    from pdp.domain.stored_entity import Change, StoredEntity
    from pdp.domain.usage import Counter, CounterId, Counts

NO_FIELDS: Final[Mapping[str, str | bool]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Selects changes. A change must match every field; an empty or None field matches all.

    Attributes:
        tenant_id: the tenant, always compared; `PLATFORM` for entities that all tenants share.
        since, until: seconds since the epoch; `since` is inclusive, `until` is exclusive.
    """

    tenant_id: str
    kind: str = ""
    entity_id: str = ""
    actor: str = ""
    op: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class EntityPage:
    """A part of a list of entities.

    Attributes:
        entities: the entities, in order of creation.
        last: the position of the last entity; that before the page if it is empty.
        more: whether the list goes on after this page.
    """

    entities: Sequence[StoredEntity]
    last: int
    more: bool


class RemovedChanges(NamedTuple):
    """Up to which change the change log of tenants may be incomplete.

    Attributes:
        through: the last revision that may be missing; 0 if nothing was removed.
        until: its time, in seconds since the epoch.
    """

    through: int
    until: float


@dataclass(frozen=True, slots=True)
class ChangeRetention:
    """Which changes are kept.

    Attributes:
        kept_kinds: the kinds whose changes are never removed.
        remove_before: changes of other kinds that are older are removed.
    """

    kept_kinds: frozenset[str]
    remove_before: float


class Compaction(NamedTuple):
    """The result of one step of a compaction.

    Attributes:
        removed: how many changes were removed.
        more: whether there may be more to do.
    """

    removed: int
    more: bool


class Reader(Protocol):
    """A consistent view of the store, as of the moment when its context was opened.

    Ids and names are compared exactly, character by character and case-sensitive. A lookup with a
    text that the store cannot hold (see `Transaction.put`) finds nothing. Every method raises
    `StoreUnavailable` if the store cannot be read, and `RuntimeError` if the context is closed.
    """

    def get(self, kind: str, tenant_id: str, entity_id: str) -> StoredEntity | None:
        """Returns the entity, or None if there is none or if it is deleted."""

    def creation_time(self, kind: str, tenant_id: str, entity_id: str) -> float:
        """Returns when the entity was last created, even if it is deleted; 0 if it never was."""

    def find(self, kind: str, tenant_id: str, name: str) -> StoredEntity | None:
        """Returns the entity with exactly that name, or None."""

    def list(self, kind: str, tenant_id: str) -> Sequence[StoredEntity]:
        """Returns the entities that are not deleted, in order of creation."""

    def count(
        self, kind: str, tenant_id: str, matching: Mapping[str, str | bool] = NO_FIELDS
    ) -> int:
        """Returns how many entities `list` has that match; see `page`."""

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
        """Returns up to `limit` entities of `list`, in the same order.

        The cost grows with `limit`, and hardly with the length of the list.

        Args:
            kind: the kind of the entities.
            tenant_id: their owner.
            after: the position after which the page begins: `EntityPage.last` of the last page.
                An entity keeps its position until it is deleted.
            skip: how many entities to pass over first.
            limit: the size of the page.
            matching: only entities whose bodies have these values, by the name of the field.
        """

    def list_tenant(self, tenant_id: str) -> Sequence[StoredEntity]:
        """Returns a tenant's entities of all kinds but approvals, in the order of `list`."""

    def tenants(self) -> frozenset[str]:
        """Returns the tenants that have ever changed anything, including `PLATFORM`."""

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
        """Returns the changes of one entity, newest first. The entity may be deleted.

        Args:
            kind: the kind of the entity.
            tenant_id: its owner.
            entity_id: the entity.
            before: only changes below this revision; None starts with the newest.
            skip: how many changes to pass over first.
            limit: how many changes to return at most; None for all.
            deletions: whether to include deletions.
        """

    def count_changes(
        self, kind: str, tenant_id: str, entity_id: str, *, deletions: bool = True
    ) -> int:
        """Returns how many changes `history` has; without deletions, how many versions."""

    def changes(self, since: int, limit: int = 1000) -> Sequence[Change]:
        """Returns up to `limit` changes of all tenants after revision `since`, oldest first.

        Returns nothing if `limit` is not positive. Changes become visible in the order of their
        revisions: a reader that has read up to a revision has missed nothing below it.
        """

    def removed_changes(self) -> RemovedChanges:
        """Returns which changes of tenants may have been removed; see `Transaction.compact`.

        A reader that has read up to an earlier revision cannot go on from there: it may have missed
        changes. Changes of the platform are never removed.
        """

    def select_changes(
        self, filter_: ChangeFilter, *, before: int | None = None, limit: int = 100
    ) -> Sequence[Change]:
        """Returns up to `limit` changes below revision `before`, newest first."""

    def revision(self) -> int:
        """Returns the revision of the last change; 0 if there is none."""

    def count_open_approvals(self, tenant_id: str, subject: str = "") -> int:
        """Returns how many approvals of a tenant are open; with a subject, how many of its own.

        Those that have expired count until they are closed.
        """

    def due_approvals(self, now: float, limit: int = 100) -> Sequence[StoredEntity]:
        """Returns up to `limit` open approvals of all tenants whose time is over, oldest first."""

    def processes(self) -> Sequence[SeenProcess]:
        """Returns the server processes that were seen lately, in the order of their starts."""

    def counters(self, since: int, limit: int = 1000) -> Sequence[Counter]:
        """Returns up to `limit` counters with a stamp above `since`, in the order of their stamps.

        Additions become visible in the order of their stamps, and no two counters have the same
        stamp: a reader that continues from the last stamp it has read misses nothing.
        """


class Transaction(Reader, Protocol):
    """A view that can also write. It commits only if its context ends without an exception.

    It sees its own writes. If the store fails to write within it, all its methods raise
    `StoreUnavailable` from then on, and so does the end of its context, even if the caller caught
    the first error: half a transaction is never committed.
    """

    @property
    def now(self) -> float:
        """The time of the transaction, in seconds since the epoch: the `at` of its changes."""

    @property
    def new_changes(self) -> Sequence[Change]:
        """The changes that this transaction has made so far; none after a rollback."""

    def put(self, entity: StoredEntity, *, actor: str, summary: str) -> StoredEntity:
        """Creates or replaces the entity of that (kind, tenant_id, id) and logs the change.

        Returns the entity with its revision and times. `created_at` is that of the replaced
        entity, if there is one; `updated_at` is `now`. A deleted entity is not replaced but
        created again, as the newest in the list.

        Raises:
            NameTaken: another entity of that kind and tenant has the name. The transaction can
                continue.
            InvalidArgument: a text contains NUL or a lone surrogate, or the body contains a
                number that is not finite or a lone surrogate. The transaction can continue.
            StoreUnavailable: the store cannot be written.

        """

    def delete(
        self, kind: str, tenant_id: str, entity_id: str, *, actor: str, summary: str
    ) -> Change:
        """Deletes the entity softly and logs the change.

        `get`, `find` and the lists no longer return the entity, and its name is free again. Its
        history stays.

        Raises:
            KeyError: the entity does not exist.
            InvalidArgument: see `put`.
            StoreUnavailable: the store cannot be written.

        """

    def compact(self, retention: ChangeRetention) -> Compaction:
        """Runs one short step of the change log's compaction.

        No version of a kept kind and no change of the platform is lost, nor is the newest change.

        Raises:
            StoreUnavailable: the store cannot be written.

        """

    def add_counts(self, additions: Mapping[CounterId, Counts]) -> None:
        """Adds to counters and creates missing ones. Logs nothing and makes no revision.

        A total stays between 0 and `pdp.domain.limits.MOST`. An addition may be negative.

        Raises:
            InvalidArgument: an id contains NUL or a lone surrogate; nothing was added.
            StoreUnavailable: the store cannot be written.

        """

    def forget_approvals(self, before: float, used_before: float, most: int) -> int:
        """Removes some closed approvals and used confirmations. Logs nothing, makes no revision.

        Args:
            before: approvals that expired before this time, in seconds since the epoch.
            used_before: confirmations that expired before this time.
            most: of a tenant with more approvals, the oldest closed ones are removed, too.

        Returns:
            How many were removed.

        Raises:
            StoreUnavailable: the store cannot be written.

        """

    def forget_counters(self, window: str, before: int) -> None:
        """Removes the counters of a kind of window that began before `before`.

        Raises:
            StoreUnavailable: the store cannot be written.

        """


class NameTaken(Exception):
    """Another entity of the same kind and tenant has the name."""

    def __init__(self, holder_id: str) -> None:
        super().__init__(holder_id)
        self.holder_id = holder_id


class Store(Protocol):
    """A store. Any thread may read it and write processes; one thread at a time may call the rest.

    It has one transaction open at a time; opening a second one raises `RuntimeError`. Any number of
    views may be open beside it.
    """

    def view(self) -> AbstractContextManager[Reader]:
        """Opens a consistent view for reading. It never waits for a writer, not even of this store.

        Any thread may open one, at any time; only that thread may use it.

        Raises:
            StoreUnavailable: the store cannot be read.
        """

    def write(self) -> AbstractContextManager[Transaction]:
        """Opens a transaction. Only one exists at a time, across all processes.

        If its context ends without an exception, the transaction is committed and on disk. If it
        ends with an exception, the whole transaction is rolled back.

        Raises:
            StoreUnavailable: another writer holds the store for longer than the busy time-out,
                or the store cannot be written. Also raised at the end of the context.

        """

    def data_version(self) -> int:
        """Returns a number that changes whenever any process commits a change.

        The commits of this store object count at once, those of others within some milliseconds.
        The numbers of two stores cannot be compared. The call is cheap enough for 40 calls a second
        and never waits for a writer, nor for a network. Any thread may call it, also during a
        transaction.

        Raises:
            StoreUnavailable: the store cannot be read.

        """

    def write_process(self, process: ServerProcess) -> None:
        """Notes that a server process runs, and forgets those that were not seen for long.

        It is no change of policies: it has no revision, and a failure of the operating system may
        lose it. It waits hardly for writers, and no writer waits for the disk because of it. Any
        thread may call it, also during a transaction.

        Raises:
            StoreUnavailable: the store cannot be written now.
        """

    def remove_process(self, process_id: str) -> None:
        """Forgets a server process; see `write_process`. Does nothing if it is not known.

        Raises:
            StoreUnavailable: the store cannot be written now.
        """

    def watch(self, notice: Callable[[], None]) -> None:
        """Calls `notice` soon after each commit of another process, from any thread.

        `notice` must not block. A store without notifications never calls it: poll `data_version`.
        """

    def close(self) -> None:
        """Releases the store; may be called again.

        An open transaction is rolled back. Every later call raises `StoreUnavailable`.
        """
