"""Reads and writes the table of server processes, outside the transactions of policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.server_process import FORGOTTEN_S, MAX_PROCESSES, SeenProcess, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.store.sql.dialect import Rows, StoreSession

_WRITE: Final = """
    INSERT INTO processes
        (process_id, host, pid, worker, version, revision, policies_age_s, draining,
         started_at, seen_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, NOW_S, NOW_S)
    ON CONFLICT (process_id) DO UPDATE SET
        revision = excluded.revision, policies_age_s = excluded.policies_age_s,
        draining = excluded.draining, seen_at = excluded.seen_at
"""
_FORGET: Final = """
    DELETE FROM processes WHERE seen_at < NOW_S - ? OR process_id IN (
        SELECT process_id FROM processes ORDER BY seen_at DESC, process_id
        LIMIT 1000000 OFFSET ?
    )
"""
_REMOVE: Final = "DELETE FROM processes WHERE process_id = ?"
_READ: Final = """
    SELECT process_id, host, pid, worker, version, revision, policies_age_s, draining,
        started_at, seen_at, NOW_S - seen_at
    FROM processes ORDER BY started_at, process_id LIMIT ?
"""


def write_process(session: StoreSession, process: ServerProcess) -> None:
    """See `Store.write_process`."""
    session.execute(_WRITE, (*process[:-1], int(process.draining)))
    session.execute(_FORGET, (FORGOTTEN_S, MAX_PROCESSES))


def remove_process(session: StoreSession, process_id: str) -> None:
    """See `Store.remove_process`."""
    session.execute(_REMOVE, (process_id,))


def read_processes(execute: Callable[..., Rows]) -> Sequence[SeenProcess]:
    """See `Reader.processes`."""
    return [
        SeenProcess(
            ServerProcess._make((*row[:7], bool(row[7]))),
            started_at=row[8],
            seen_at=row[9],
            unseen_s=max(0.0, row[10]),
        )
        for row in execute(_READ, MAX_PROCESSES)
    ]
