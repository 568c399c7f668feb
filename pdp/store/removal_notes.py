"""The notes of a batch about removals, the same for every backend.

Every step of the retention appends a batch without records whose note says what the step removed.
As part of the hash chain, a note proves that the retention did it. A note is JSON:

- `removed`: for each tenant and reason, how many records. `ranges` are the numbers of the records,
  each with the first and the last; without `ranges`, they are below the checkpoint of the note.
- `gaps`: runs of batches that were removed although older batches remain. Each has the number of
  its first and last batch, the hash before its first batch and the hash of its last batch.
- `converted`: batches of version 1 from which single records were removed, with the hashes that
  they have in version 2.
- `removed_through`, `hash`, `next_record`: the checkpoint. All batches up to this one, which had
  this hash, and all records below `next_record` are removed.
- `earlier`: what the notes below the checkpoint say about removals, in total.

Older releases wrote only `removed_through`, `hash` and `records`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.audit_log import RemovedRecords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_HASH_BYTES: Final = 32


class Range(NamedTuple):
    """Numbers of records, from `first` to `last`, both inclusive."""

    first: int
    last: int


class Gap(NamedTuple):
    """A run of removed batches.

    Attributes:
        first, last: the numbers of its first and its last batch.
        before: the hash of the batch before it.
        hash: the hash of its last batch.
    """

    first: int
    last: int
    before: bytes
    hash: bytes


class Checkpoint(NamedTuple):
    """Where the remaining log begins.

    Attributes:
        removed_through: the number of the last removed batch.
        hash: its hash.
        next_record: the number that followed its last record; 0 if an older release wrote it.
    """

    removed_through: int
    hash: bytes
    next_record: int


@dataclass(frozen=True, slots=True)
class RemovalNote:
    """What one step of the retention has removed.

    Attributes:
        removed: for each tenant and reason, the records that the step removed.
        ranges: their numbers, unless they are below the checkpoint of this note.
        gaps: the runs of batches that the step removed.
        converted: the hashes in version 2 of the batches that the step converted, by their numbers.
        checkpoint: the beginning of the remaining log, if the step moved it.
        earlier: the totals of the notes that the step removed.
    """

    removed: tuple[RemovedRecords, ...] = ()
    ranges: tuple[Range, ...] = ()
    gaps: tuple[Gap, ...] = ()
    converted: Mapping[int, bytes] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    earlier: tuple[RemovedRecords, ...] = ()

    @property
    def totals(self) -> tuple[RemovedRecords, ...]:
        """All removals that the note tells of."""
        return (*self.removed, *self.earlier)


def sum_up(removed: Iterable[RemovedRecords]) -> tuple[RemovedRecords, ...]:
    """Returns one entry for each tenant and reason, in order."""
    totals: dict[tuple[str, str], int] = {}
    for each in removed:
        key = each.tenant_id, each.reason
        totals[key] = totals.get(key, 0) + each.records
    return tuple(RemovedRecords(*key, records) for key, records in sorted(totals.items()))


def to_json(note: RemovalNote) -> str:
    """Returns a note as JSON."""
    fields: dict[str, Any] = {
        "removed": [each._asdict() for each in note.removed],
        "ranges": note.ranges,
        "gaps": [(gap.first, gap.last, gap.before.hex(), gap.hash.hex()) for gap in note.gaps],
        "converted": {str(batch): hash_.hex() for batch, hash_ in note.converted.items()},
        "earlier": [each._asdict() for each in note.earlier],
    }
    if note.checkpoint:
        fields["removed_through"] = note.checkpoint.removed_through
        fields["hash"] = note.checkpoint.hash.hex()
        fields["next_record"] = note.checkpoint.next_record
    return json.dumps({key: each for key, each in fields.items() if each}, separators=(",", ":"))


def parse_note(text: str) -> RemovalNote:
    """Returns the note that `text` is; an empty note if it is empty.

    Raises:
        ValueError: `to_json` and older releases do not write such a text.
    """
    if not text:
        return RemovalNote()
    try:
        fields: Any = json.loads(text)
        return RemovalNote(
            removed=read_removed(fields.get("removed", ())),
            ranges=tuple(
                Range(read_number(first), read_number(last))
                for first, last in fields.get("ranges", ())
            ),
            gaps=tuple(
                Gap(read_number(first), read_number(last), read_hash(before), read_hash(hash_))
                for first, last, before, hash_ in fields.get("gaps", ())
            ),
            converted={
                int(batch): read_hash(hash_) for batch, hash_ in fields.get("converted", {}).items()
            },
            checkpoint=_checkpoint(fields),
            earlier=read_removed(fields.get("earlier", ())),
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a note of a removal") from error


def _checkpoint(fields: Mapping[str, Any]) -> Checkpoint | None:
    if "removed_through" not in fields:
        return None
    next_record = read_number(fields.get("next_record", 0))
    return Checkpoint(
        read_number(fields["removed_through"]), read_hash(fields["hash"]), next_record
    )


def read_removed(entries: Iterable[Mapping[str, Any]]) -> tuple[RemovedRecords, ...]:
    """Returns removals of a note; raises KeyError or TypeError if they are not valid."""
    return tuple(
        RemovedRecords(
            read_text(each["tenant_id"]), read_text(each["reason"]), read_number(each["records"])
        )
        for each in entries
    )


def read_number(value: object) -> int:
    """Returns a number of a note; raises TypeError if it is not valid."""
    if not isinstance(value, int) or value < 0:
        raise TypeError("not a number of a batch or a record")
    return value


def read_text(value: object) -> str:
    """Returns a text of a note; raises TypeError if it is not valid."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def read_hash(value: object) -> bytes:
    """Returns a hash of a note; raises TypeError or ValueError if it is not valid."""
    hash_ = bytes.fromhex(read_text(value))
    if len(hash_) != _HASH_BYTES:
        raise TypeError("not a hash")
    return hash_
