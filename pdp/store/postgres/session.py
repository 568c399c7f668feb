"""Runs the statements of the store on a PostgreSQL connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.store.postgres.errors import convert_errors
from pdp.store.sql.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from pdp.store.sql.dialect import Parameter, Rows

# jsonb cannot hold NUL. Bodies are stored as text and keep NUL; only the searched copy replaces it.
_JSON: Final = r"(replace(body, '\u0000', '\ufffd')::jsonb"

DIALECT: Final = Dialect(
    {
        "TEXT_FIELD": f"{_JSON} ->> '{{}}')",
        "NUMBER_FIELD": f"({_JSON} ->> '{{}}')::float8)",
        "TRUTH_FIELD": f"({_JSON} ->> '{{}}')::boolean)",
        "USING_INDEX": "",
        "GREATEST": "greatest",
        "LEAST": "least",
        "NOW_S": "extract(epoch FROM statement_timestamp())::float8",
    },
    parameter="%s",
)


class PostgresSession:
    """A `StoreSession` on a connection that is in a transaction."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Parameter]) -> Rows:
        """See `StoreSession.execute`."""
        with convert_errors():
            return run(self._connection, DIALECT.statement(sql), parameters)


def run(connection: psycopg.Connection, sql: str, parameters: Sequence[Parameter] = ()) -> Rows:
    """Runs a statement, and returns its rows; none if it has none.

    Raises:
        psycopg.Error: the database cannot be read or written.
    """
    cursor = connection.execute(sql.encode(), parameters or None)
    return cursor.fetchall() if cursor.description is not None else []
