"""The spool: events, alerts and dead letters on disk until they are delivered.

An event is stored once, for all connectors. Each connector has a cursor, which moves when the
product has acknowledged a batch. So the events that a product has not taken stay in order, as long
as there is room. This module and `spool_file` alone know the SQL of the spool.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from pdp.export.siem.base import Event
from pdp.export.spool_file import open_spool
from pdp.export.spooled import (
    Alert,
    AlertDelivery,
    AlertWindow,
    DeadLetter,
    DeadLetterGroup,
    DeliveryStatus,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from pdp.export.spooled import DeadLetterFilter

MAX_DEAD: Final = 100_000
"""The most dead letters. If there are more, the oldest are removed and count as dropped."""

DEAD_DROPPED: Final = "dead_dropped"
ALERTS_DROPPED: Final = "alerts_dropped"
"""The marks that count dropped dead letters and dropped alerts."""

_BYTES: Final = "bytes"
"""The mark that counts the bytes of all waiting events."""

_TARGET_SHARE: Final = 0.9
"""A full spool shrinks to this share of its limit."""

_FOR_CONNECTOR: Final = "(connector IS NULL OR connector = ?)"


class Spool:
    """The spool file. Used by one thread; several processes may share the file.

    Every method raises `sqlite3.Error` if the file cannot be read or written.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Opens the file, and creates it if it does not exist.

        Args:
            path: the file.
            max_bytes: the limit for the bodies of waiting events.

        Raises:
            ConfigError: the file belongs to another program or to a newer version.
            OSError: the file cannot be created.
        """
        self._max_bytes = max_bytes
        self._connection = open_spool(path)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Groups calls into one write transaction. A nested call joins the outer transaction."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # Events

    def attach(self, connectors: Sequence[str]) -> None:
        """Sets the configured connectors.

        A new connector starts with the next event. The waiting events of a removed connector are
        discarded.
        """
        with self.transaction():
            last = self._last_seq()
            known = {row[0] for row in self._connection.execute("SELECT connector FROM cursors")}
            self._connection.executemany(
                "INSERT INTO cursors (connector, seq) VALUES (?, ?)",
                [(each, last) for each in connectors if each not in known],
            )
            self._connection.executemany(
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

        If the spool is full, the oldest events are removed. An event counts as dropped for each
        connector that had not taken it.

        Args:
            events: in the order of delivery.
            marks: the read positions of the sources, stored in the same transaction.
            connector: the only connector that gets the events; None for all.
        """
        now = time.time()
        with self.transaction():
            self._connection.executemany(
                "INSERT INTO events (connector, uid, at, queued_at, body) VALUES (?, ?, ?, ?, ?)",
                [(connector, uid, at, now, body) for uid, at, body in events],
            )
            for name, value in (marks or {}).items():
                self._set_mark(name, value)
            waiting = self._add_bytes(sum(len(body) for _, _, body in events))
            if waiting > self._max_bytes:
                self._drop_oldest(waiting - int(self._max_bytes * _TARGET_SHARE))

    def batch(self, connector: str, max_events: int, max_bytes: int) -> list[Event]:
        """Returns the next events of a connector: at least one if any wait."""
        rows = self._connection.execute(
            f"SELECT seq, uid, at, body FROM events WHERE seq > "  # noqa: S608 - no input in it
            f"(SELECT seq FROM cursors WHERE connector = ?) AND {_FOR_CONNECTOR} "
            "ORDER BY seq LIMIT ?",
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

    def queued_at(self, seq: int) -> float:
        """Returns when an event was queued; 0 if it no longer exists."""
        row = self._connection.execute(
            "SELECT queued_at FROM events WHERE seq = ?", (seq,)
        ).fetchone()
        return row[0] if row else 0.0

    def acknowledge(
        self, connector: str, events: Sequence[Event], refused: Sequence[tuple[Event, str]] = ()
    ) -> None:
        """Moves a connector's cursor behind `events`. The refused ones become dead letters."""
        with self.transaction():
            self._bury_events(connector, refused)
            # MAX: if another process has dropped events, the cursor is already further.
            self._connection.execute(
                "UPDATE cursors SET seq = MAX(seq, ?), delivered = delivered + ?, "
                "failing_since = NULL, last_error = '' WHERE connector = ?",
                (events[-1].seq, len(events) - len(refused), connector),
            )
            self._prune()

    def record_failure(self, connector: str, reason: str) -> None:
        """Records that deliveries to a connector fail."""
        self._connection.execute(
            "UPDATE cursors SET failing_since = COALESCE(failing_since, ?), last_error = ? "
            "WHERE connector = ?",
            (time.time(), reason, connector),
        )

    def statuses(self) -> dict[str, DeliveryStatus]:
        """Returns the delivery status of each connector by id."""
        dead = dict(
            self._connection.execute(
                "SELECT destination, COUNT(*) FROM dead_letters WHERE kind = 'siem' GROUP BY 1"
            ).fetchall()
        )
        last = self._last_seq()
        statuses: dict[str, DeliveryStatus] = {}
        for row in self._connection.execute("SELECT * FROM cursors").fetchall():
            connector, seq, delivered, dropped, failing_since, last_error = row
            oldest = self._connection.execute(
                f"SELECT queued_at FROM events WHERE seq > ? AND {_FOR_CONNECTOR} "  # noqa: S608
                "ORDER BY seq LIMIT 1",
                (seq, connector),
            ).fetchone()
            statuses[connector] = DeliveryStatus(
                waiting=last - seq if oldest else 0,
                oldest_at=oldest[0] if oldest else None,
                delivered=delivered,
                dropped=dropped,
                failing_since=failing_since,
                last_error=last_error,
                dead=dead.get(connector, 0),
            )
        return statuses

    # Marks: read positions of sources, and counters

    def mark(self, name: str) -> int | None:
        """Returns a read position or a counter; None if it is not set."""
        row = self._connection.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def delete_marks(self, *names: str) -> None:
        """Deletes read positions or counters."""
        with self.transaction():
            self._connection.executemany(
                "DELETE FROM marks WHERE name = ?", [(each,) for each in names]
            )

    def count(self, name: str, number: int = 1) -> None:
        """Adds to a counter."""
        self._set_mark(name, (self.mark(name) or 0) + number)

    @property
    def waiting_bytes(self) -> int:
        """The size of all waiting events."""
        return self.mark(_BYTES) or 0

    # Alerts

    def open_window(self, key: str, destination: str, address: str, length_s: float) -> int | None:
        """Opens a window for similar alerts, if none is open.

        Args:
            key: what the alerts have in common.
            destination: see `Alert`.
            address: see `Alert`.
            length_s: the length of the window; 0 opens none.

        Returns:
            None if a window is open: the alert is counted as suppressed and must not be sent. Else
            how many alerts the previous window suppressed without reporting them.
        """
        now = time.time()
        row = self._connection.execute(
            "SELECT ends_at, suppressed FROM windows WHERE key = ?", (key,)
        ).fetchone()
        if row and now < row[0]:
            self._connection.execute(
                "UPDATE windows SET suppressed = suppressed + 1 WHERE key = ?", (key,)
            )
            return None
        if length_s > 0:
            self._connection.execute(
                "INSERT OR REPLACE INTO windows VALUES (?, ?, 0, ?, ?)",
                (key, now + length_s, destination, address),
            )
        return row[1] if row else 0

    def expired_windows(self) -> list[AlertWindow]:
        """Returns the windows that have ended."""
        rows = self._connection.execute(
            "SELECT key, suppressed, destination, address FROM windows WHERE ends_at <= ?",
            (time.time(),),
        )
        return [AlertWindow(*row) for row in rows]

    def delete_window(self, key: str) -> None:
        """Deletes a window."""
        self._connection.execute("DELETE FROM windows WHERE key = ?", (key,))

    def add_alert(self, destination: str, address: str, uid: str, body: bytes) -> None:
        """Queues an alert for delivery now; see `Alert` for the arguments."""
        now = time.time()
        self._insert_alert((now, now, destination, address, uid, body))

    def due_addresses(self, exclude: Collection[str], limit: int) -> list[str]:
        """Returns up to `limit` webhooks with due alerts, except those in `exclude`."""
        rows = self._connection.execute(
            "SELECT address FROM alerts WHERE due_at <= ? GROUP BY address ORDER BY MIN(due_at)",
            (time.time(),),
        )
        return list(islice((address for (address,) in rows if address not in exclude), limit))

    def due_alerts(self, limit: int, address: str | None = None) -> list[Alert]:
        """Returns up to `limit` due alerts, oldest first, for one webhook or for all."""
        rows = self._connection.execute(
            "SELECT id, attempts, at, destination, address, uid, body FROM alerts "
            "WHERE due_at <= ?1 AND (?2 IS NULL OR address = ?2) ORDER BY due_at, id LIMIT ?3",
            (time.time(), address, limit),
        )
        return [Alert(*row) for row in rows]

    def count_alerts(self) -> int:
        """Returns how many alerts are queued."""
        return int(self._connection.execute("SELECT COUNT(*) FROM alerts").fetchone()[0])

    def delete_alert(self, alert: Alert) -> None:
        """Deletes a delivered alert."""
        self._connection.execute("DELETE FROM alerts WHERE id = ?", (alert.id,))

    def postpone_alert(self, alert: Alert, wait_s: float) -> None:
        """Delays an alert, and all other alerts for its webhook, after a failed delivery."""
        due_at = time.time() + wait_s
        with self.transaction():
            self._connection.execute(
                "UPDATE alerts SET attempts = attempts + 1 WHERE id = ?", (alert.id,)
            )
            self._connection.execute(
                "UPDATE alerts SET due_at = MAX(due_at, ?) WHERE address = ?",
                (due_at, alert.address),
            )

    def bury_alert(self, alert: Alert, reason: str) -> None:
        """Turns an alert into a dead letter."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO dead_letters "
                "(kind, destination, uid, at, died_at, reason, address, body) "
                "VALUES ('alert', ?, ?, ?, ?, ?, ?, ?)",
                (
                    alert.destination,
                    alert.uid,
                    alert.at,
                    time.time(),
                    reason,
                    alert.address,
                    alert.body,
                ),
            )
            self.delete_alert(alert)
            self._limit_dead_letters()

    # Dead letters

    def dead_letters(self, destination: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """Returns the oldest dead letters, of all destinations or of one."""
        rows = self._connection.execute(
            "SELECT id, kind, destination, uid, at, died_at, reason, body FROM dead_letters "
            "WHERE ?1 IS NULL OR destination = ?1 ORDER BY id LIMIT ?2",
            (destination, limit),
        )
        return [DeadLetter(*row) for row in rows]

    def count_dead_letters(self) -> int:
        """Returns how many dead letters there are."""
        return int(self._connection.execute("SELECT COUNT(*) FROM dead_letters").fetchone()[0])

    def dead_letter_groups(self, limit: int) -> list[DeadLetterGroup]:
        """Returns up to `limit` groups of dead letters, the largest first."""
        rows = self._connection.execute(
            "SELECT kind, destination, reason, COUNT(*), SUM(LENGTH(body)), MIN(died_at), "
            "MAX(died_at) FROM dead_letters GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT ?",
            (limit,),
        )
        return [DeadLetterGroup(*row) for row in rows]

    def last_dead_letter(self) -> int:
        """Returns the id of the newest dead letter; 0 if there is none."""
        row = self._connection.execute("SELECT MAX(id) FROM dead_letters").fetchone()
        return row[0] or 0

    def select_dead_letters(
        self, selection: DeadLetterFilter, through: int, limit: int
    ) -> list[int]:
        """Returns the ids of up to `limit` dead letters, the oldest first.

        Args:
            selection: which.
            through: the largest id.
            limit: how many.
        """
        rows = self._connection.execute(
            "SELECT id FROM dead_letters WHERE id <= ? AND ? IN ('', kind) "
            "AND ? IN ('', destination) AND ? IN ('', reason) ORDER BY id LIMIT ?",
            (through, *selection, limit),
        )
        return [row[0] for row in rows]

    def discard(self, ids: Sequence[int]) -> int:
        """Deletes dead letters; returns how many there were."""
        return self._connection.execute(
            "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        ).rowcount

    def alert_deliveries(self, prefix: str) -> dict[str, AlertDelivery]:
        """Returns the deliveries of alert rules by destination, if it begins with `prefix`."""
        result = {
            row[0]: AlertDelivery(*row[1:])
            for row in self._connection.execute(
                "SELECT destination, COUNT(*), MAX(attempts), MIN(at) FROM alerts "
                "WHERE substr(destination, 1, length(?1)) = ?1 GROUP BY 1",
                (prefix,),
            )
        }
        # Of the other columns, SQLite returns those of the row with the maximum.
        for destination, dead, at, reason in self._connection.execute(
            "SELECT destination, COUNT(*), MAX(died_at), reason FROM dead_letters "
            "WHERE kind = 'alert' AND substr(destination, 1, length(?1)) = ?1 GROUP BY 1",
            (prefix,),
        ):
            result[destination] = result.get(destination, AlertDelivery())._replace(
                dead=dead, last_error=reason, last_error_at=at
            )
        return result

    def resend(self, ids: Sequence[int] | None = None, destination: str | None = None) -> int:
        """Queues dead letters again, behind everything that waits, and returns how many.

        Args:
            ids: the dead letters to send; None for all.
            destination: only those of this destination; None for all.
        """
        now = time.time()
        with self.transaction():
            rows = self._connection.execute(
                "SELECT id, kind, destination, uid, at, address, body FROM dead_letters "
                "WHERE (?1 IS NULL OR destination = ?1) "
                "AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) ORDER BY id",
                (destination, None if ids is None else json.dumps(list(ids))),
            ).fetchall()
            for letter_id, kind, target, uid, at, address, body in rows:
                if kind == "siem":
                    self._connection.execute(
                        "INSERT INTO events (connector, uid, at, queued_at, body) "
                        "VALUES (?, ?, ?, ?, ?)",
                        (target, uid, at, now, body),
                    )
                    self._add_bytes(len(body))
                else:
                    self._insert_alert((now, at, target, address, uid, body))
                self._connection.execute("DELETE FROM dead_letters WHERE id = ?", (letter_id,))
        return len(rows)

    def _set_mark(self, name: str, value: int) -> None:
        self._connection.execute(
            "INSERT INTO marks VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def _add_bytes(self, size: int) -> int:
        """Adds to the size of all waiting events, and returns it."""
        waiting = self.waiting_bytes + size
        self._set_mark(_BYTES, waiting)
        return waiting

    def _insert_alert(self, row: tuple[float, float, str, str, str, bytes]) -> None:
        self._connection.execute(
            "INSERT INTO alerts (due_at, at, destination, address, uid, body) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )

    def _last_seq(self) -> int:
        row = self._connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
        ).fetchone()
        return row[0] if row else 0

    def _bury_events(self, connector: str, refused: Sequence[tuple[Event, str]]) -> None:
        if not refused:
            return
        now = time.time()
        self._connection.executemany(
            "INSERT INTO dead_letters (kind, destination, uid, at, died_at, reason, body) "
            "VALUES ('siem', ?, ?, ?, ?, ?, ?)",
            [(connector, each.uid, each.at, now, reason, each.body) for each, reason in refused],
        )
        self._limit_dead_letters()

    def _limit_dead_letters(self) -> None:
        """Removes the oldest dead letters if there are more than `MAX_DEAD`."""
        removed = self._connection.execute(
            "DELETE FROM dead_letters WHERE id <= (SELECT MAX(id) FROM dead_letters) - ?",
            (MAX_DEAD,),
        ).rowcount
        if removed:
            self.count(DEAD_DROPPED, removed)

    def _drop_oldest(self, size: int) -> None:
        """Removes the oldest events, at least `size` bytes of them."""
        freed = last = 0
        rows = self._connection.execute("SELECT seq, LENGTH(body) FROM events ORDER BY 1")
        while freed < size and (row := rows.fetchone()):
            last = row[0]
            freed += row[1]
        self._connection.execute(
            "UPDATE cursors SET dropped = dropped + (SELECT COUNT(*) FROM events AS e WHERE "
            "e.seq > cursors.seq AND e.seq <= ?1 AND "
            "(e.connector IS NULL OR e.connector = cursors.connector)), seq = MAX(seq, ?1) "
            "WHERE seq < ?1",
            (last,),
        )
        self._prune()

    def _prune(self) -> None:
        """Removes the events that all connectors have taken; all events if there is none."""
        row = self._connection.execute("SELECT MIN(seq) FROM cursors").fetchone()
        taken = self._last_seq() if row[0] is None else row[0]
        freed = self._connection.execute(
            "SELECT COALESCE(SUM(LENGTH(body)), 0) FROM events WHERE seq <= ?", (taken,)
        ).fetchone()[0]
        if freed:
            self._connection.execute("DELETE FROM events WHERE seq <= ?", (taken,))
            self._add_bytes(-freed)
