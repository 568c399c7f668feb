"""The entry of the SQLite backend: implements `pdp.store.opening.Backend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.store.sqlite.audit_chain import SqliteChainReader
from pdp.store.sqlite.audit_log import SqliteAuditLog
from pdp.store.sqlite.connections import SCHEME, path_of
from pdp.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

AUDIT_FILE: Final = "audit.db"
"""The default name of the file of an audit log, in the directory of the store."""


def open_store(url: str, *, busy_timeout_s: float) -> SqliteStore:
    """See `pdp.store.open_store`."""
    return SqliteStore.open(url, busy_timeout_s=busy_timeout_s)


def open_audit_log(url: str, *, key: bytes, replica: str, busy_timeout_s: float) -> SqliteAuditLog:
    """See `pdp.store.open_audit_log`. All processes of a host share one chain without names."""
    return SqliteAuditLog.open(url, key=key, busy_timeout_s=busy_timeout_s)


def open_chain_reader(url: str, *, key: bytes, busy_timeout_s: float) -> SqliteChainReader:
    """See `pdp.store.open_chain_reader`."""
    return SqliteChainReader.open(url, key=key, busy_timeout_s=busy_timeout_s)


def exists(url: str, setting: str) -> bool:
    """See `Backend.exists`."""
    return path_of(url, setting).is_file()


def location(url: str, setting: str) -> str:
    """See `Backend.location`."""
    return str(path_of(url, setting))


def public_url(url: str, setting: str) -> str:
    """See `Backend.public_url`."""
    path_of(url, setting)
    return url


def default_audit_url(database_url: str) -> str:
    """See `Backend.default_audit_url`."""
    return f"{SCHEME}{path_of(database_url).with_name(AUDIT_FILE)}"


def database_file(url: str, setting: str) -> Path:
    """See `Backend.database_file`."""
    return path_of(url, setting)
