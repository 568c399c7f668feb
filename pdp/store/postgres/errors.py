"""Converts errors of PostgreSQL to the project's errors. Their messages contain no SQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg_pool import PoolClosed

from pdp.errors import ConfigError, PdpError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_MESSAGES: Final = {
    "55P03": "Another writer holds the store; try again.",
    "25006": "The store is read-only: its database is a standby, or set to read-only.",
    "53100": "The store's disk is full.",
    "53300": "The store's database accepts no more connections.",
    "57014": "The store's database gave up a statement that took too long.",
    "42501": "The user of the database may not do this.",
    "40001": "Another process changed the store at the same time; try again.",
    "40P01": "Another process changed the store at the same time; try again.",
    "42P01": "The store's tables are missing.",
    "42703": "The store's tables belong to another version of this product.",
}
"""By SQLSTATE."""

_OPENING_MESSAGES: Final = {
    "28P01": "The database refuses the user or the password. Correct them in the URL.",
    "28000": "The database refuses the user. Correct the URL, or allow the user in pg_hba.conf.",
    "3D000": "The database does not exist. Create it: CREATE DATABASE name.",
    "42501": (
        "The user of the database may not create the schema pdp. Grant it: "
        "GRANT CREATE ON DATABASE name TO user."
    ),
    "25006": (
        "The database is a standby, or set to read-only. Name the primary; with several hosts, "
        "add target_session_attrs=read-write to the URL."
    ),
}


@contextmanager
def convert_errors() -> Iterator[None]:
    """Converts every error of PostgreSQL to `StoreUnavailable`, with that error as its cause."""
    try:
        yield
    except psycopg.Error as error:
        raise unavailable(error) from error


@contextmanager
def convert_opening_errors(place: str) -> Iterator[None]:
    """Converts errors that an operator must correct to `ConfigError`.

    Raises `StoreUnavailable` instead if a retry may succeed.

    Args:
        place: the URL of the database, without credentials.
    """
    try:
        yield
    except psycopg.Error as error:
        raise _opening_error(error, place) from error


def unavailable(error: psycopg.Error) -> StoreUnavailable:
    """Returns the error that callers of the store see."""
    if isinstance(error, PoolClosed):
        return StoreUnavailable("The store is closed.")
    return StoreUnavailable(_MESSAGES.get(error.sqlstate or "", "The store is not available."))


def _opening_error(error: psycopg.Error, place: str) -> PdpError:
    # The error of a connection has its SQLSTATE only in recent versions of libpq.
    state = error.sqlstate or _state_in(str(error))
    message = _OPENING_MESSAGES.get(state)
    if message:
        return ConfigError(f"{place}: {message}")
    if not error.sqlstate and isinstance(error, psycopg.OperationalError):
        return StoreUnavailable(
            f"{place}: the database cannot be reached. Check that it runs, that its host and port "
            "are right, and the files that the URL names for TLS."
        )
    return unavailable(error)


def _state_in(text: str) -> str:
    """Returns the SQLSTATE that the text of a refused connection means; empty if unknown."""
    for words, state in _TEXTS.items():
        if words in text:
            return state
    return ""


_TEXTS: Final = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "role ": "28000",
    "database ": "3D000",
    "session is read-only": "25006",
}
"""Words of PostgreSQL's messages, in its default language."""
