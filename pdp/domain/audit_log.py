"""What any store of decision records must do. It keeps JSON texts and knows little of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class StoredRecord(NamedTuple):
    """A record as it is kept.

    Attributes:
        sequence: its place in the log; cursors are made of it.
        body: JSON, byte for byte as it was appended.
    """

    sequence: int
    body: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records are asked for; what is empty or None filters nothing, and all else ANDs.

    Attributes:
        tenant_id: whose; always compared.
        since, until: seconds since the epoch; the first is included, the last is not.
        outcomes, risk_levels: any of these.
        model: a model's id, or `provider/model`.
        policy_id: of a policy that matched.
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


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at the whole chain has found.

    Attributes:
        batches, records: how many were looked at.
        first_batch: the oldest there is; 0 for an empty log.
        last_batch, head: the newest, and its hash in hex: note it elsewhere, and nobody can cut
            the log's end unnoticed.
        removed_batches: how many the retention has removed, by the log's own notes.
        problems: what is wrong, in words; empty where nothing is.
    """

    batches: int
    records: int
    first_batch: int
    last_batch: int
    head: str
    removed_batches: int
    problems: tuple[str, ...] = field(default=())

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept: at most so long, and so much. None is without end.

    Attributes:
        max_age_s: seconds.
        max_bytes: of the file, without what is free in it.
    """

    max_age_s: float | None = None
    max_bytes: int | None = None


class AuditLog(Protocol):
    """A log of records that only grows at its end and is only shortened at its beginning.

    Several processes may append to one. Appending and reading may each be done by any one thread
    at a time, both at once. All raise `StoreUnavailable` where the log cannot be used.
    """

    def append(self, bodies: Sequence[str]) -> None:
        """Appends records as one batch; they are on disk when it returns, or none of them is."""

    def select(self, wanted: Filter, *, before: int | None, limit: int) -> Sequence[StoredRecord]:
        """Returns up to `limit` records with a sequence below `before`, newest first."""

    def follow(self, wanted: Filter, *, after: int, limit: int) -> Sequence[StoredRecord]:
        """Returns up to `limit` records with a sequence above `after`, oldest first."""

    def read_on(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """Returns up to `limit` records of all tenants above `after`, oldest first: for exports."""

    def get(self, tenant_id: str, decision_id: str) -> StoredRecord | None:
        """Returns the record of a decision; None where there is none."""

    def last(self) -> int:
        """Returns the sequence of the newest record; 0 where there has been none."""

    def verify(self, anchor: str = "") -> Verification:
        """Looks at the whole chain.

        Args:
            anchor: the hash, in hex, that `head` had at an earlier time: it must be in the chain.
        """

    def retain(self, retention: Retention, now: float) -> int:
        """Removes what is over; returns how many records went, a bounded number each time."""

    def size(self) -> int:
        """Returns how many bytes the log takes, without what is free in its file."""

    def checkpoint(self) -> None:
        """Does what keeps appending quick, where there is anything; may run beside all else."""

    def close(self) -> None:
        """Releases the log; may be called again."""
