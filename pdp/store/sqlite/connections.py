"""URLs of SQLite files, and connections to them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from pdp.errors import ConfigError
from pdp.store.files import create_directory
from pdp.store.setting_names import DATABASE_SETTING

SCHEME: Final = "sqlite:///"

_OWNER_ONLY: Final = 0o600

_FORBIDDEN: Final = frozenset("?\0")
"""A URL has no parameters after the path, and NUL would end the path."""


def path_of(url: str, setting: str = DATABASE_SETTING) -> Path:
    """Returns the file of a URL.

    Raises:
        ConfigError: the URL does not name a file. The message names `setting`.
    """
    name = url.removeprefix(SCHEME)
    names_file = name != url and not name.startswith(":") and not name.endswith("/")
    if not name or not names_file or not _FORBIDDEN.isdisjoint(name):
        raise ConfigError(
            f"{setting}: {url!r} does not name a file. Use sqlite:///PATH: sqlite:///data/pdp.db is"
            " relative to the working directory, sqlite:////var/lib/pdp/pdp.db is absolute."
        )
    return Path(name).absolute()


def prepare_directory(file: Path) -> None:
    """Creates the directory of a database, for its owner only, if it does not exist.

    Raises:
        ConfigError: it cannot be created.
    """
    try:
        create_directory(file.parent)
    except OSError as error:
        raise ConfigError(
            "The directory of the database cannot be created. Create it, or choose a directory that"
            " this process can write to."
        ) from error


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Returns a connection without implicit transactions. Its commits are synced to disk.

    Creates the file if it does not exist.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    _create(path)
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")  # reads the file, and so opens it
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_existing(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Returns a connection that only reads a file that exists. Any one thread at a time may use it.

    Raises:
        sqlite3.Error: the file does not exist or cannot be opened.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    try:
        connection.execute("PRAGMA query_only = ON").fetchall()
        connection.execute("PRAGMA data_version").fetchall()  # reads the file, and so opens it
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Creates the file for its owner only. SQLite gives its other files the same permissions."""
    # If this fails, SQLite fails as well and reports why.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _OWNER_ONLY))
