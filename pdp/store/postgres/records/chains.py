"""The heads of hash chains, and the notes in their batches.

Each process appends to a chain of its own, and begins a new one each day. The first batch of a
chain has no records: its note names the process and its public key. Notes are JSON:

- `opened`: the replica, and the public key in hex.
- `seen`: heads of chains of other processes. As part of the hash chain, this proves that they had
  at least these batches. To cut off the end of a chain, or to remove it whole, an attacker would
  have to rewrite every chain that has seen it.
- `removed`, `ranges`: the records that the retention has removed; see `removal_notes`.
- `through`: the last day that is removed as a whole, with all days before it; `heads`: the heads of
  the chains that this note removes with their days. `below_batches` and `below_records` are how
  many batches and records all removed days had. `earlier` is what the notes in these days say about
  removals, in total.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.store.removal_notes import Range, read_hash, read_number, read_removed, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.audit_log import RemovedRecords

MAX_SEEN: Final = 1000
"""The most heads of a note."""


class ChainHead(NamedTuple):
    """The end of a chain.

    Attributes:
        chain: the position of its first batch.
        batches, records: how many it has had until then.
        hash: the hash of the last batch.
    """

    chain: int
    batches: int
    records: int
    hash: bytes


class ChainOpening(NamedTuple):
    """Who writes a chain.

    Attributes:
        replica: the name of the replica.
        public_key: the key that signs the heads.
    """

    replica: str
    public_key: bytes


class RemovedDays(NamedTuple):
    """Days that the retention has removed as a whole.

    Attributes:
        through: the last one.
        heads: the heads of the chains that were removed with this note.
        batches, records: how many batches and records all days up to `through` have had.
        earlier: what the notes in the removed days say about removals.
    """

    through: int
    heads: tuple[ChainHead, ...] = ()
    batches: int = 0
    records: int = 0
    earlier: tuple[RemovedRecords, ...] = ()


@dataclass(frozen=True, slots=True)
class ChainNote:
    """The note of a batch; see the module."""

    opened: ChainOpening | None = None
    seen: tuple[ChainHead, ...] = ()
    removed: tuple[RemovedRecords, ...] = ()
    ranges: tuple[Range, ...] = ()
    days: RemovedDays | None = None

    @property
    def totals(self) -> tuple[RemovedRecords, ...]:
        """All removals that the note tells of."""
        return (*self.removed, *(self.days.earlier if self.days else ()))


def read_heads(rows: Iterable[Any]) -> tuple[ChainHead, ...]:
    """Returns the heads in rows of the database, each with their four values."""
    return tuple(
        ChainHead(chain, batches, records, bytes(hash_)) for chain, batches, records, hash_ in rows
    )


def to_json(note: ChainNote) -> str:
    """Returns a note as JSON."""
    opened = note.opened
    fields: dict[str, Any] = {
        "opened": [opened.replica, opened.public_key.hex()] if opened else None,
        "seen": _heads_to_json(note.seen),
        "removed": [each._asdict() for each in note.removed],
        "ranges": note.ranges,
    }
    if note.days:
        fields["heads"] = _heads_to_json(note.days.heads)
        fields["earlier"] = [each._asdict() for each in note.days.earlier]
    fields = {name: value for name, value in fields.items() if value}
    if note.days:
        fields["through"] = note.days.through
        fields["below_batches"] = note.days.batches
        fields["below_records"] = note.days.records
    return json.dumps(fields, separators=(",", ":"))


def parse_chain_note(text: str) -> ChainNote:
    """Returns the note that `text` is; an empty note if it is empty.

    Raises:
        ValueError: `to_json` does not write such a text.
    """
    if not text:
        return ChainNote()
    try:
        fields: Any = json.loads(text)
        return ChainNote(
            opened=_opening(fields.get("opened")),
            seen=_parse_heads(fields.get("seen", ())),
            removed=read_removed(fields.get("removed", ())),
            ranges=tuple(
                Range(read_number(first), read_number(last))
                for first, last in fields.get("ranges", ())
            ),
            days=_removed_days(fields),
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a note of a hash chain") from error


def _heads_to_json(heads: Iterable[ChainHead]) -> list[tuple[int, int, int, str]]:
    return [(*each[:3], each.hash.hex()) for each in heads]


def _parse_heads(entries: Iterable[Any]) -> tuple[ChainHead, ...]:
    return tuple(
        ChainHead(read_number(chain), read_number(batches), read_number(records), read_hash(hash_))
        for chain, batches, records, hash_ in entries
    )


def _opening(value: Any) -> ChainOpening | None:
    if value is None:
        return None
    replica, public_key = value
    return ChainOpening(read_text(replica), read_hash(public_key))


def _removed_days(fields: Mapping[str, Any]) -> RemovedDays | None:
    if "through" not in fields:
        return None
    return RemovedDays(
        read_number(fields["through"]),
        _parse_heads(fields.get("heads", ())),
        read_number(fields["below_batches"]),
        read_number(fields["below_records"]),
        read_removed(fields.get("earlier", ())),
    )
