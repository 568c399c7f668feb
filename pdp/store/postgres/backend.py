"""The entry of the PostgreSQL backend: implements `pdp.store.opening.Backend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pdp.errors import ConfigError
from pdp.store.postgres.addresses import connection_string
from pdp.store.postgres.addresses import public_url as _public_url
from pdp.store.postgres.store import PostgresStore
from pdp.store.setting_names import AUDIT_SETTING, DATABASE_SETTING

if TYPE_CHECKING:
    from pathlib import Path


def open_store(url: str, *, busy_timeout_s: float) -> PostgresStore:
    """See `pdp.store.open_store`."""
    return PostgresStore.open(
        connection_string(url, DATABASE_SETTING),
        _public_url(url, DATABASE_SETTING),
        busy_timeout_s=busy_timeout_s,
    )


def open_audit_log(url: str, *, key: bytes, busy_timeout_s: float) -> NoReturn:
    """Refuses: decision records are in a file of each replica."""
    raise _no_records()


def open_chain_reader(url: str, *, key: bytes, busy_timeout_s: float) -> NoReturn:
    """Refuses; see `open_audit_log`."""
    raise _no_records()


def _no_records() -> ConfigError:
    return ConfigError(
        f"{AUDIT_SETTING}: decision records are kept in SQLite files. Use sqlite:///PATH."
    )


def exists(url: str, setting: str) -> bool:
    """See `Backend.exists`. A database that cannot be reached must not be mistaken for none."""
    connection_string(url, setting)
    return True


def location(url: str, setting: str) -> str:
    """See `Backend.location`."""
    return _public_url(url, setting)


def public_url(url: str, setting: str) -> str:
    """See `Backend.public_url`."""
    return _public_url(url, setting)


def default_audit_url(_database_url: str) -> None:
    """See `Backend.default_audit_url`."""


def database_file(_url: str, _setting: str) -> Path | None:
    """See `Backend.database_file`."""
    return None
