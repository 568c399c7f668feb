"""The entry of the PostgreSQL backend: implements `pdp.store.opening.Backend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import psycopg

from pdp.errors import ConfigError
from pdp.store.postgres import schema
from pdp.store.postgres.addresses import connection_string
from pdp.store.postgres.addresses import public_url as _public_url
from pdp.store.postgres.errors import convert_opening_errors
from pdp.store.postgres.records.log import PostgresAuditLog
from pdp.store.postgres.records.migrations import PLACE
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


def open_audit_log(
    url: str, *, key: bytes, replica: str, busy_timeout_s: float
) -> PostgresAuditLog:
    """See `pdp.store.open_audit_log`."""
    return PostgresAuditLog.open(
        connection_string(url, AUDIT_SETTING),
        AUDIT_SETTING,
        key=key,
        replica=replica,
        busy_timeout_s=busy_timeout_s,
    )


def open_chain_reader(url: str, *, key: bytes, busy_timeout_s: float) -> NoReturn:
    """Refuses: an export has one hash chain."""
    raise ConfigError(
        f"{AUDIT_SETTING}: records in PostgreSQL cannot be exported to Parquet, because an export"
        " has one hash chain and this log has one for each replica and day. Export them as ndjson."
    )


def exists(url: str, setting: str) -> bool:
    """See `Backend.exists`. A database that cannot be reached must not be mistaken for none."""
    text = connection_string(url, setting)
    if setting != AUDIT_SETTING:
        return True
    with convert_opening_errors(_public_url(url, setting)), psycopg.connect(text) as connection:
        return schema.state_of(connection, PLACE).version > 0


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
