"""Audit logs in PostgreSQL, and functions that tamper with them and move them to other days."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg

from pdp.store import open_audit_log
from pdp.store.postgres.records.positions import first_position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.domain.audit_log import AuditLog


def run(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements on the tables of the log, and returns the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path TO pdp_audit")
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
    return rows


def begin_next_day(url: str) -> int:
    """Lets the log begin a new day, as if the clock of the database were a day on; returns it."""
    [(day,)] = run(url, "SELECT (last_value >> 33) + 1 FROM positions")
    assert isinstance(day, int)
    run(url, f"SELECT setval('positions', {first_position(day)})")
    return day


def opener(url: str) -> Iterator[Callable[..., AuditLog]]:
    """Yields a function that opens the log, each time as another replica would."""
    with ExitStack() as logs:
        numbers = iter(range(100))

        def open_again(key: bytes = b"", busy_timeout_s: float = 60.0) -> AuditLog:
            log = open_audit_log(
                url, key=key, replica=f"replica{next(numbers)}", busy_timeout_s=busy_timeout_s
            )
            logs.callback(log.close)
            return log

        yield open_again
