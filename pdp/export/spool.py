"""What is still to be delivered, on disk: events for SIEMs, alerts, and what nobody would take.

An event is written once; each connector has a cursor over all of them, moved when the product has
acknowledged, so what it has not taken stays, in order, for as long as there is room. One thread
uses a `Spool`; processes share the file.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.export.siem.base import Event
from pdp.export.spool_file import opened

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_TIMEOUT_S: Final = 10.0
"""How long another process that writes is waited for."""

MAX_DEAD: Final = 100_000
"""Dead letters that are kept; of more, the oldest go, and are counted as dropped."""

DEAD_DROPPED: Final = "dead_dropped"
"""The mark of how many went."""

_BYTES: Final = "bytes"
_KEEP: Final = 0.9  # of the room, when there is no more of it
_MINE: Final = "(connector IS NULL OR connector = ?)"


class Standing(NamedTuple):
    """How a connector's deliveries stand.

    Attributes:
        waiting: events that it has not taken yet.
        oldest_at: since when the oldest of them has waited; None where there is none.
        delivered, dropped: events so far; dropped for want of room.
        failing_since: since when nothing could be delivered; None where it can.
        last_error: why not.
        dead: events that it will never take.
    """

    waiting: int = 0
    oldest_at: float | None = None
    delivered: int = 0
    dropped: int = 0
    failing_since: float | None = None
    last_error: str = ""
    dead: int = 0


class Spool:
    """The file. Every method raises `sqlite3.Error` where it cannot be read or written."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Opens the file, made where it is not there.

        Raises:
            ConfigError: it is another program's, or a newer version's.
            OSError: it cannot be made.
        """
        self._max_bytes = max_bytes
        self.connection = opened(path, _TIMEOUT_S)

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Opens a transaction, the only one of all processes; within one, goes on with that."""
        if self.connection.in_transaction:
            yield self.connection
            return
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def attach(self, connectors: Sequence[str]) -> None:
        """Says which connectors there are: a new one begins with what comes next, and what waited
        for one that is no more is forgotten.
        """
        with self.transaction() as connection:
            last = self._last_seq()
            known = {row[0] for row in connection.execute("SELECT connector FROM cursors")}
            connection.executemany(
                "INSERT INTO cursors (connector, seq) VALUES (?, ?)",
                [(each, last) for each in connectors if each not in known],
            )
            connection.executemany(
                "DELETE FROM cursors WHERE connector = ?",
                [(each,) for each in known.difference(connectors)],
            )
            self._prune()

    def append(
        self,
        events: Sequence[tuple[str, float, bytes]],
        marks: Mapping[str, int] | None = None,
        connector: str | None = None,
    ) -> None:
        """Adds events (uid, time, body) for all connectors, or for one.

        Where there is no room, the oldest events make it; they are counted as dropped for each
        connector that had not taken them.

        Args:
            events: in the order in which they are to be delivered.
            marks: what has been read of a source, kept with the events that were made of it.
            connector: the only one that is to have them; None for all.
        """
        now = time.time()
        with self.transaction() as connection:
            connection.executemany(
                "INSERT INTO events (connector, uid, at, queued_at, body) VALUES (?, ?, ?, ?, ?)",
                [(connector, uid, at, now, body) for uid, at, body in events],
            )
            for name, value in (marks or {}).items():
                self._set_mark(name, value)
            held = self.add_held(sum(len(body) for _, _, body in events))
            if held > self._max_bytes:
                self._make_room(held - int(self._max_bytes * _KEEP))

    def batch(self, connector: str, max_events: int, max_bytes: int) -> list[Event]:
        """Returns the next events of a connector, one at least where there is any."""
        rows = self.connection.execute(
            f"SELECT seq, uid, at, body FROM events WHERE seq > "  # noqa: S608 - no input in it
            f"(SELECT seq FROM cursors WHERE connector = ?) AND {_MINE} ORDER BY seq LIMIT ?",
            (connector, connector, max_events),
        )
        events: list[Event] = []
        size = 0
        for row in rows:
            size += len(row[3])
            if events and size > max_bytes:
                break
            events.append(Event(*row))
        return events

    def queued_since(self, seq: int) -> float:
        """Returns since when an event waits; 0 where it is there no more."""
        row = self.connection.execute(
            "SELECT queued_at FROM events WHERE seq = ?", (seq,)
        ).fetchone()
        return row[0] if row else 0.0

    def acknowledge(
        self, connector: str, events: Sequence[Event], refused: Sequence[tuple[Event, str]] = ()
    ) -> None:
        """Moves a connector's cursor behind `events`; those that it refused become dead letters."""
        with self.transaction() as connection:
            self._bury(connector, refused)
            # Never back: somebody may have made room meanwhile.
            connection.execute(
                "UPDATE cursors SET seq = MAX(seq, ?), delivered = delivered + ?, "
                "failing_since = NULL, last_error = '' WHERE connector = ?",
                (events[-1].seq, len(events) - len(refused), connector),
            )
            self._prune()

    def failed(self, connector: str, reason: str) -> None:
        """Notes that nothing can be delivered now."""
        self.connection.execute(
            "UPDATE cursors SET failing_since = COALESCE(failing_since, ?), last_error = ? "
            "WHERE connector = ?",
            (time.time(), reason, connector),
        )

    def standings(self) -> dict[str, Standing]:
        """Returns how the connectors stand, by id."""
        dead = dict(
            self.connection.execute(
                "SELECT destination, COUNT(*) FROM dead_letters WHERE kind = 'siem' GROUP BY 1"
            ).fetchall()
        )
        last = self._last_seq()
        found: dict[str, Standing] = {}
        for row in self.connection.execute("SELECT * FROM cursors").fetchall():
            connector, seq, delivered, dropped, failing_since, last_error = row
            oldest = self.connection.execute(
                f"SELECT queued_at FROM events WHERE seq > ? AND {_MINE} ORDER BY seq LIMIT 1",  # noqa: S608
                (seq, connector),
            ).fetchone()
            found[connector] = Standing(
                waiting=last - seq if oldest else 0,
                oldest_at=oldest[0] if oldest else None,
                delivered=delivered,
                dropped=dropped,
                failing_since=failing_since,
                last_error=last_error,
                dead=dead.get(connector, 0),
            )
        return found

    def mark(self, name: str) -> int | None:
        """Returns what has been read of a source; None where nothing has."""
        row = self.connection.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    @property
    def held_bytes(self) -> int:
        """Bytes of the events that wait."""
        return self.mark(_BYTES) or 0

    def add_held(self, size: int) -> int:
        """Counts bytes of events that were added or removed; returns those that wait now."""
        held = self.held_bytes + size
        self._set_mark(_BYTES, held)
        return held

    def count(self, name: str, number: int = 1) -> None:
        """Adds to a mark that counts something."""
        self._set_mark(name, (self.mark(name) or 0) + number)

    def _set_mark(self, name: str, value: int) -> None:
        self.connection.execute(
            "INSERT INTO marks VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def _last_seq(self) -> int:
        row = self.connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
        ).fetchone()
        return row[0] if row else 0

    def _bury(self, connector: str, refused: Sequence[tuple[Event, str]]) -> None:
        if not refused:
            return
        now = time.time()
        self.connection.executemany(
            "INSERT INTO dead_letters (kind, destination, uid, at, died_at, reason, body) "
            "VALUES ('siem', ?, ?, ?, ?, ?, ?)",
            [(connector, each.uid, each.at, now, reason, each.body) for each, reason in refused],
        )
        self.bound_dead_letters()

    def bound_dead_letters(self) -> None:
        """Removes the oldest dead letters, where there are too many."""
        gone = self.connection.execute(
            "DELETE FROM dead_letters WHERE id <= (SELECT MAX(id) FROM dead_letters) - ?",
            (MAX_DEAD,),
        ).rowcount
        if gone:
            self.count(DEAD_DROPPED, gone)

    def _make_room(self, wanted: int) -> None:
        freed = cut = 0
        rows = self.connection.execute("SELECT seq, LENGTH(body) FROM events ORDER BY 1")
        while freed < wanted and (row := rows.fetchone()):
            cut = row[0]
            freed += row[1]
        self.connection.execute(
            "UPDATE cursors SET dropped = dropped + (SELECT COUNT(*) FROM events AS e WHERE "
            "e.seq > cursors.seq AND e.seq <= ?1 AND "
            "(e.connector IS NULL OR e.connector = cursors.connector)), seq = MAX(seq, ?1) "
            "WHERE seq < ?1",
            (cut,),
        )
        self._prune()

    def _prune(self) -> None:
        """Removes what every connector has taken, or all where there are none."""
        row = self.connection.execute("SELECT MIN(seq) FROM cursors").fetchone()
        taken = self._last_seq() if row[0] is None else row[0]
        freed = self.connection.execute(
            "SELECT COALESCE(SUM(LENGTH(body)), 0) FROM events WHERE seq <= ?", (taken,)
        ).fetchone()[0]
        if freed:
            self.connection.execute("DELETE FROM events WHERE seq <= ?", (taken,))
            self.add_held(-freed)
