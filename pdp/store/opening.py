"""Opens databases by URL. The scheme of the URL selects the backend.

To add a backend, add an entry to `_BACKENDS` and run the contract suite on it (see
`tests/contract/conftest.py`).
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pdp.errors import ConfigError
from pdp.store.setting_names import AUDIT_SETTING, DATABASE_SETTING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog
    from pdp.store.chain_port import ChainReader
    from pdp.store.port import Store

BUSY_TIMEOUT_S: Final = 5.0
"""How long to wait for another process that writes."""

_USERINFO: Final = re.compile(r"^([^/]*//)?.*@")


class Backend(Protocol):
    """What a backend provides. It gets URLs of its own scheme only.

    `setting` is the name of the setting that holds the URL, for error messages. Every method raises
    `ConfigError` if the URL is not valid.
    """

    def open_store(self, url: str, *, busy_timeout_s: float) -> Store:
        """See `pdp.store.open_store`."""

    def open_audit_log(
        self, url: str, *, key: bytes, replica: str, busy_timeout_s: float
    ) -> AuditLog:
        """See `pdp.store.open_audit_log`."""

    def open_chain_reader(self, url: str, *, key: bytes, busy_timeout_s: float) -> ChainReader:
        """See `pdp.store.open_chain_reader`."""

    def exists(self, url: str, setting: str) -> bool:
        """Returns whether the database exists; never creates it."""

    def location(self, url: str, setting: str) -> str:
        """Returns the location of the database for messages, without credentials."""

    def public_url(self, url: str, setting: str) -> str:
        """Returns the URL without credentials and parameters."""

    def default_audit_url(self, database_url: str) -> str | None:
        """Returns the URL of the audit log beside a database; None if it is not a file."""

    def database_file(self, url: str, setting: str) -> Path | None:
        """Returns the file of the database; None if it is not a single file."""


def _sqlite() -> Backend:
    from pdp.store.sqlite import backend  # noqa: PLC0415 - only the backend in use is imported

    return backend


def _postgres() -> Backend:
    try:
        from pdp.store.postgres import backend  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name not in _POSTGRES_PACKAGES:
            raise
        raise ConfigError(
            f"{DATABASE_SETTING}: PostgreSQL needs the extra `postgres`. Install it: "
            "pip install 'pdp[postgres]'"
        ) from None
    return backend


_POSTGRES_PACKAGES: Final = frozenset({"psycopg", "psycopg_pool"})


class _BackendEntry(NamedTuple):
    form: str
    load: Callable[[], Backend]


_BACKENDS: Final[Mapping[str, _BackendEntry]] = {
    "sqlite": _BackendEntry("sqlite:///PATH", _sqlite),
    "postgresql": _BackendEntry("postgresql://HOST/DATABASE", _postgres),
}
"""The backends by URL scheme, each with the form of its URLs."""


def open_store(url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
    """Opens the store. Creates or upgrades the database if necessary.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`. The path is taken
            literally, without %-escapes. Missing directories are created. Or a URL of PostgreSQL,
            `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, with the parameters of libpq.
        busy_timeout_s: how long to wait for another writer.

    Raises:
        ConfigError: the URL or the database cannot be used. The message says what to do.
        StoreUnavailable: another process held the database for longer than `busy_timeout_s`.
    """
    return _backend(url, DATABASE_SETTING).open_store(url, busy_timeout_s=busy_timeout_s)


def open_audit_log(
    url: str,
    *,
    key: bytes = b"",
    replica: str = "",
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> AuditLog:
    """Opens the audit log. Creates or upgrades the database if necessary.

    Args:
        url: see `open_store`.
        key: turns the hashes of the chain into MACs; empty for plain hashes.
        replica: in a log that several replicas share, the name of this one; each of its processes
            has the same. If empty, the name of the host.
        busy_timeout_s: how long to wait for another writer.

    Raises:
        ConfigError: the URL or the database cannot be used, or its chain has another key. The
            message says what to do.
        StoreUnavailable: another process held the database for longer than `busy_timeout_s`.
    """
    backend = _backend(url, AUDIT_SETTING)
    return backend.open_audit_log(
        url, key=key, replica=replica or socket.gethostname(), busy_timeout_s=busy_timeout_s
    )


def open_chain_reader(
    url: str, *, key: bytes = b"", busy_timeout_s: float = BUSY_TIMEOUT_S
) -> ChainReader:
    """Opens an audit log that exists, to read its hash chain. Changes nothing in it.

    Args:
        url: see `open_store`.
        key: the key of the chain; empty for none.
        busy_timeout_s: how long to wait for another process that opens the log.

    Raises:
        ConfigError: the log does not exist or cannot be used, or its chain has another key. The
            message says what to do.
        StoreUnavailable: another process held the database for longer than `busy_timeout_s`.
    """
    backend = _backend(url, AUDIT_SETTING)
    return backend.open_chain_reader(url, key=key, busy_timeout_s=busy_timeout_s)


def exists(url: str, setting: str = DATABASE_SETTING) -> bool:
    """Returns whether the database exists; never creates it.

    Raises:
        ConfigError: the URL is not valid.
    """
    return _backend(url, setting).exists(url, setting)


def location(url: str, setting: str = DATABASE_SETTING) -> str:
    """Returns the location of a database for messages, without credentials.

    Raises:
        ConfigError: the URL is not valid.
    """
    return _backend(url, setting).location(url, setting)


def public_url(url: str, setting: str = DATABASE_SETTING) -> str:
    """Returns the URL of a database without credentials and parameters.

    Raises:
        ConfigError: the URL is not valid.
    """
    return _backend(url, setting).public_url(url, setting)


def default_audit_url(database_url: str) -> str | None:
    """Returns the URL of the audit log beside a database; None if the database is not a file.

    Raises:
        ConfigError: the URL is not valid.
    """
    return _backend(database_url, DATABASE_SETTING).default_audit_url(database_url)


def find_database_file(url: str, setting: str = DATABASE_SETTING) -> Path | None:
    """Returns the file of a database; None if it is not a single file.

    Raises:
        ConfigError: the URL is not valid.
    """
    return _backend(url, setting).database_file(url, setting)


def database_file(url: str, setting: str = DATABASE_SETTING) -> Path:
    """Returns the file of a database.

    Raises:
        ConfigError: the URL is not valid, or the database is not a single file.
    """
    file = find_database_file(url, setting)
    if file is None:
        raise ConfigError(
            f"{setting}: this command needs a database in a file. Use the backup tools of your "
            "database instead."
        )
    return file


def _backend(url: str, setting: str) -> Backend:
    scheme, separator, _ = url.partition("://")
    entry = _BACKENDS.get(scheme)
    if entry is not None and separator:
        return entry.load()
    forms = " or ".join(each.form for each in _BACKENDS.values())
    if separator:
        raise ConfigError(f"{setting}: the scheme {scheme!r} is not supported. Use {forms}.")
    # The text may hold a password.
    text = _USERINFO.sub(r"\1***@", url)
    raise ConfigError(f"{setting}: {text!r} is not a URL. Use {forms}.")
