"""Runs the statements of the store on a SQLite connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.store.sql.dialect import Dialect
from pdp.store.sqlite.errors import convert_errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from pdp.store.sql.dialect import Parameter, Rows

DIALECT: Final = Dialect(
    {
        "TEXT_FIELD": "json_extract(body, '$.{}')",
        "NUMBER_FIELD": "json_extract(body, '$.{}')",
        "TRUTH_FIELD": "json_extract(body, '$.{}')",
        "USING_INDEX": "INDEXED BY {}",
        "GREATEST": "max",
        "LEAST": "min",
        "NOW_S": "((julianday('now') - 2440587.5) * 86400.0)",
    },
    parameter="?",
)


class SqliteSession:
    """A `StoreSession` on a connection that is in a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Parameter]) -> Rows:
        """See `StoreSession.execute`."""
        with convert_errors():
            return self._connection.execute(DIALECT.statement(sql), parameters).fetchall()
