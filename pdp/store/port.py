"""What any store must do. Every backend passes `tests/contract/test_store*.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from pdp.domain.stored_entity import Change, StoredEntity
    from pdp.domain.usage import Counter, CounterId, Counts


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes are asked for; what is empty or None filters nothing, and all else ANDs.

    Attributes:
        tenant_id: whose; `PLATFORM` for what all tenants share. Always compared.
        since, until: seconds since the epoch; the first is included, the last is not.
    """

    tenant_id: str
    kind: str = ""
    entity_id: str = ""
    actor: str = ""
    op: str = ""
    since: float | None = None
    until: float | None = None


class Reader(Protocol):
    """A consistent view of the store, as it was when its context was opened.

    Ids and names are compared exactly: by their characters, case and all. What cannot be kept (see
    `Transaction.put`) is not there either. Every method raises `StoreUnavailable` where the store
    cannot be read, and `RuntimeError` once its context is closed.
    """

    def get(self, kind: str, tenant_id: str, entity_id: str) -> StoredEntity | None:
        """Returns the record, or None where there is none or it is deleted."""

    def find(self, kind: str, tenant_id: str, name: str) -> StoredEntity | None:
        """Returns the record of that name, compared exactly, or None."""

    def list(self, kind: str, tenant_id: str) -> Sequence[StoredEntity]:
        """Returns the records that are not deleted, in order of creation."""

    def count(self, kind: str, tenant_id: str) -> int:
        """Returns how many records `list` would return."""

    def list_tenant(self, tenant_id: str) -> Sequence[StoredEntity]:
        """Returns a tenant's records of all kinds, as `list` does those of one."""

    def tenants(self) -> frozenset[str]:
        """Returns the tenants that have ever changed anything, `PLATFORM` counted as one."""

    def history(self, kind: str, tenant_id: str, entity_id: str) -> Sequence[Change]:
        """Returns the changes of one entity, newest first; those of a deleted one too."""

    def changes(self, since: int, limit: int = 1000) -> Sequence[Change]:
        """Returns up to `limit` changes of all tenants after revision `since`, oldest first.

        There are none where `limit` is not positive. Who has read up to a revision has missed
        nothing below it: changes become visible in the order of their revisions.
        """

    def select_changes(
        self, wanted: ChangeFilter, *, before: int | None = None, limit: int = 100
    ) -> Sequence[Change]:
        """Returns up to `limit` changes below revision `before`, newest first."""

    def revision(self) -> int:
        """Returns the revision of the last change; 0 where there is none."""

    def counters(self, since: int, limit: int = 1000) -> Sequence[Counter]:
        """Returns up to `limit` counters with a stamp above `since`, in the order of their stamps.

        Who reads on from the last stamp that it has seen misses nothing: additions become visible
        in the order of their stamps, and no two counters have the same one.
        """


class Transaction(Reader, Protocol):
    """A view that can be written through. Nothing is kept unless its context ends cleanly.

    It sees what it has written. Once the store has failed to write in it, all its methods raise
    `StoreUnavailable`, and so does the end of its context, even where the first error was caught:
    half of a transaction is never committed.
    """

    @property
    def now(self) -> float:
        """The time of the transaction, in seconds since the epoch: the `at` of its changes."""

    @property
    def written(self) -> Sequence[Change]:
        """The changes made so far in this transaction; none once it was rolled back."""

    def put(self, record: StoredEntity, *, actor: str, summary: str) -> StoredEntity:
        """Creates or replaces the record of that (kind, tenant_id, id) and logs the change.

        Returns it with its revision and times: `created_at` is kept from the record that it
        replaces, `updated_at` is `now`. A record that was deleted is not replaced but created
        again, as the youngest.

        Raises:
            NameTaken: another record of that kind and tenant has the name; the transaction can go
                on.
            InvalidArgument: a text has NUL or a lone surrogate in it, or the body a number that is
                not finite, or a lone surrogate; the transaction can go on.
            StoreUnavailable: the store cannot be written.

        """

    def delete(
        self, kind: str, tenant_id: str, entity_id: str, *, actor: str, summary: str
    ) -> Change:
        """Deletes the record softly and logs the change.

        It is out of `get`, `find` and lists, its name free again, its history kept.

        Raises:
            KeyError: there is no such record.
            InvalidArgument: see `put`.
            StoreUnavailable: the store cannot be written.

        """

    def add_counts(self, additions: Mapping[CounterId, Counts]) -> None:
        """Adds to counters, made where they are not there; nothing is logged and no revision made.

        A total stays between 0 and `pdp.domain.limits.MOST`; an addition may be negative.

        Raises:
            InvalidArgument: an id has NUL or a lone surrogate in it; nothing was added.
            StoreUnavailable: the store cannot be written.

        """

    def forget_counters(self, window: str, before: int) -> None:
        """Removes the counters of a window that began before `before`.

        Raises:
            StoreUnavailable: the store cannot be written.

        """


class NameTaken(Exception):
    """Another record of the same kind and tenant has the name."""

    def __init__(self, holder_id: str) -> None:
        super().__init__(holder_id)
        self.holder_id = holder_id


class Store(Protocol):
    """A store. One thread at a time may use it, except `data_version`.

    It has one view or transaction open at a time; a second one raises `RuntimeError`.
    """

    def read(self) -> AbstractContextManager[Reader]:
        """Opens a consistent view for reading."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Opens a transaction, the only one there is in any process.

        It is committed, and on disk, when its context ends cleanly, and rolled back whole when
        that ends with an exception.

        Raises:
            StoreUnavailable: another writer holds the store for longer than the busy time-out,
                or the store cannot be written; also at the end of the context.

        """

    def data_version(self) -> int:
        """Returns a number that differs once anyone, in any process, has committed a change.

        This store's own commits count as well. Numbers of two stores cannot be compared. Cheap
        enough to be asked 40 times a second, waits for no writer, and may be called from a thread
        of its own, during a transaction too.

        Raises:
            StoreUnavailable: the store cannot be read.

        """

    def close(self) -> None:
        """Releases the store; may be called again.

        After it, everything raises `StoreUnavailable`. A transaction that is still open is rolled
        back.
        """
