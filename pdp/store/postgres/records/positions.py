"""The numbers of batches and records in a log that many processes append to at once.

One sequence of the database, `positions`, numbers all batches. Its high bits are the day, in UTC by
the clock of the database, so partitions by day are ranges of numbers, and the order of numbers is
the order of days. A record has the number of its batch and its place in it.

Numbers are given before their batches are committed, so a reader could see number 12 before 11, and
would miss 11 if it went on from 12. Readers therefore stop at a horizon, below which nothing can
appear any more:

- Before it takes a number, an append takes a shared advisory lock whose key is the newest number at
  that time. Its own number is above the key. It holds the lock until its commit is visible.
- A reader takes the newest number, and then the lowest key of all such locks. The horizon is the
  lower one. An append that took its number before the first step either still holds its lock, or
  has committed.

So appends never wait for each other, nor for a reader. Transactions of other programs do not hold
the horizon back, as they would if it came from the snapshot of the database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

DAY_S: Final = 86_400

BATCH_BITS: Final = 33
"""The bits of the number of a batch within its day."""

PLACE_BITS: Final = 10
"""The bits of the place of a record in its batch."""

MAX_BATCH: Final = 1 << PLACE_BITS
"""The most records of a batch."""

MAX_SEQUENCE: Final = 1 << 59
"""More than the number of any record. Cursors have at most 18 digits."""

LOCK_TAG: Final = 0x5044
"""The high bits of the keys of appends' locks, which no other program may use: "PD"."""

LOCK_BITS: Final = 48

ROLLOVER_LOCK: Final = 0x504441 << 32
"""The advisory lock of the process that begins a new day."""

DAYS_LOCK: Final = ROLLOVER_LOCK + 1
"""The advisory lock of the process that creates the partitions of a day."""

RETENTION_LOCK: Final = ROLLOVER_LOCK + 2
"""The advisory lock of the process that removes records."""

COUNTS_LOCK: Final = ROLLOVER_LOCK + 3
"""The advisory lock of the process that merges counts."""


def day_of(position: int) -> int:
    """Returns the day of a batch, in days since the epoch."""
    return position >> BATCH_BITS


def first_position(day: int) -> int:
    """Returns the position below all positions of a day."""
    return day << BATCH_BITS


def first_record(position: int) -> int:
    """Returns the number of the first record of a batch."""
    return position << PLACE_BITS


def last_record(position: int) -> int:
    """Returns the highest number that a record of a batch may have."""
    return first_record(position + 1) - 1


def position_of(sequence: int) -> int:
    """Returns the position of the batch of a record."""
    return sequence >> PLACE_BITS


def first_of_day(day: int) -> int:
    """Returns the number below all records of a day."""
    return first_record(first_position(day))


def day_text(day: int) -> str:
    """Returns a day for messages: 2026-02-26."""
    try:
        return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # a tampered number
        return f"day {day}"


def batch_text(position: int) -> str:
    """Returns a batch for messages: its day, and its number in the day."""
    return f"{day_text(day_of(position))}/{position - first_position(day_of(position))}"


def chain_text(chain: int) -> str:
    """Returns a chain for messages: the batch that it begins with."""
    return f"chain {batch_text(chain)}"
