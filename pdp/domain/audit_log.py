"""The port of the log of decision records. A log stores JSON and knows little of its content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pdp.domain.decision_counts import CountedBuckets, CountedPeriod, CountKey


class StoredRecord(NamedTuple):
    """A record in the log.

    Attributes:
        sequence: its position in the log; cursors contain it.
        body: JSON, byte for byte as it was appended.
    """

    sequence: int
    body: str


class RecordPage(NamedTuple):
    """Records that a search has found.

    Attributes:
        records: the records.
        more: the place to continue from; None if there are no more. A search reads a bounded
            number of records for a page, so a page may be short and still have a next one.
    """

    records: Sequence[StoredRecord]
    more: int | None


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Selects records. A record must meet all conditions; empty fields and None set no condition.

    Attributes:
        tenant_id: the tenant; always compared.
        since, until: seconds since the epoch; `since` is inclusive, `until` exclusive.
        outcomes, risk_levels: any of these.
        model: a model's id, or `provider/model`.
        policy_id: the id of a policy that matched.
    """

    tenant_id: str
    since: float | None = None
    until: float | None = None
    outcomes: tuple[str, ...] = ()
    risk_levels: tuple[str, ...] = ()
    user_id: str = ""
    agent_id: str = ""
    customer_id: str = ""
    provider: str = ""
    model: str = ""
    action: str = ""
    policy_id: str = ""
    reason_code: str = ""
    request_id: str = ""
    pii_detected: bool | None = None


class RemovedRecords(NamedTuple):
    """How many records of a tenant the retention has removed for a reason.

    Attributes:
        tenant_id: the tenant; empty if a release removed them that did not note the tenant.
        reason: `age` or `size`; empty as above.
        records: how many.
    """

    tenant_id: str
    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of verifying the whole hash chain.

    Attributes:
        batches, records: how many were verified.
        first_batch: the oldest batch; 0 if the log is empty.
        last_batch, head: the newest batch, and its hash in hex. Note the hash elsewhere: then
            removing the end of the log cannot stay unnoticed.
        removed_batches: how many of the oldest batches the retention removed, as the log itself
            notes.
        removed: the records that the retention removed, as the log itself notes.
        problems: what is wrong, in words; empty if the chain is intact.
    """

    batches: int
    records: int
    first_batch: int
    last_batch: int
    head: str
    removed_batches: int
    problems: tuple[str, ...] = field(default=())
    removed: tuple[RemovedRecords, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether the verification found no problem."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much the log keeps. None means no limit.

    Attributes:
        max_age_s: age of a record, in seconds.
        max_bytes: size of the log, without free space in its files.
    """

    max_age_s: float | None = None
    max_bytes: int | None = None


class Removal(NamedTuple):
    """What one step of the retention has removed.

    Attributes:
        records: how many records. It is 1 if the step did other work, for instance if it removed
            batches without records, so that the caller goes on.
        early: how many of them were younger than the retention promises, because the log had
            reached its size.
    """

    records: int = 0
    early: int = 0


class AuditLog(Protocol):
    """A log that grows only at its end. Only the retention removes records.

    Several processes may append to one log. In a process, one thread at a time may append, and one
    thread at a time may read; both may run at once. All methods raise `StoreUnavailable` if the log
    cannot be used. Every backend passes `tests/contract/test_audit_*.py`.

    All readers see the records in one order. A reader that has read up to a record has missed none
    before it, whatever other processes append.
    """

    def append(self, bodies: Sequence[str]) -> None:
        """Appends records as one batch. On return all of them are on disk; on an error, none."""

    def select(self, record_filter: RecordFilter, *, before: int | None, limit: int) -> RecordPage:
        """Returns up to `limit` records with a sequence below `before`, newest first."""

    def follow(self, record_filter: RecordFilter, *, after: int, limit: int) -> RecordPage:
        """Returns up to `limit` records with a sequence above `after`, oldest first."""

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """Returns up to `limit` records of all tenants above `after`, oldest first, for exports.

        If replicas share the log, these are the records of this replica: each exports its own.
        """

    def get(self, tenant_id: str, decision_id: str) -> StoredRecord | None:
        """Returns the record of a decision; None if the log does not have it."""

    def known(self, tenant_id: str, decision_ids: Collection[str]) -> frozenset[str]:
        """Returns those of the decisions that the log has records of."""

    def add_counts(self, counts: Mapping[CountKey, int], at: float) -> None:
        """Adds decisions to the counts of a minute; all of them, or none.

        It may run beside all other methods. The operating system may lose the last ones if it
        fails, because no decision waits for them.

        Args:
            counts: how many decisions were made.
            at: when they were made, in seconds since the epoch.
        """

    def counts(
        self,
        tenant_id: str,
        *,
        since: float | None = None,
        until: float | None = None,
        outcomes: Sequence[str] = (),
    ) -> CountedPeriod:
        """Returns how many decisions a tenant made in a period, recorded or not.

        Args:
            tenant_id: the tenant.
            since: the beginning of the period; None for the first decision.
            until: its end, exclusive; None for no end.
            outcomes: count only decisions with any of these outcomes; empty for all.
        """

    def bucket_counts(
        self, tenant_id: str, *, start: int, width: int, number: int
    ) -> CountedBuckets:
        """Returns how many decisions a tenant made in each part of a period, recorded or not.

        Args:
            tenant_id: the tenant.
            start: the beginning of the first part, in seconds since the epoch.
            width: the length of each part, in seconds: whole minutes, or whole hours if counts of
                the period are kept by the hour.
            number: how many parts there are.
        """

    def last(self) -> int:
        """Returns the sequence of the newest record; 0 if there was never a record."""

    def verify(self, anchor: str = "") -> Verification:
        """Verifies the whole hash chain.

        Args:
            anchor: the hash, in hex, that `head` had at an earlier time; it must be in the chain.
        """

    def retain(self, retention: Retention, now: float) -> Removal:
        """Removes a bounded number of records that exceed the retention.

        Age removes the oldest records of all tenants. Size removes the oldest records of the tenant
        that holds the most; a tenant that holds no more than its share loses nothing.
        """

    def size(self) -> int:
        """Returns how many bytes the log uses, without free space in its files."""

    def checkpoint(self) -> None:
        """Does pending maintenance that keeps appends and searches fast.

        It may run beside all other methods.
        """

    def close(self) -> None:
        """Releases the log; may be called again."""
