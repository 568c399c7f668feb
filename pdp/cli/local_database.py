"""The database that a command opens itself, without a server."""

from __future__ import annotations

import getpass
import os

from pdp.bootstrap.recording import RecordingOptions
from pdp.config import Settings, load
from pdp.errors import ConfigError
from pdp.store.opening import exists, location
from pdp.store.setting_names import AUDIT_SETTING


def load_settings(database_url: str | None, *, create: bool) -> Settings:
    """Returns the settings for a database.

    Args:
        database_url: the database; None for the database of the server's settings.
        create: whether the database may be missing, because the command creates it. A command that
            only reads must not create an empty database in which everything looks fine.

    Raises:
        ConfigError: a setting cannot be used, or the database does not exist.
    """
    settings = load({"database_url": database_url})
    if not (create or exists(settings.store_url)):
        place = location(settings.store_url)
        raise ConfigError(
            f"there is no database at {place}; name it with --database-url or PDP_DATABASE_URL"
        )
    return settings


def require_audit_log(database_url: str | None) -> None:
    """Checks that the log of decision records exists: a new, empty log would verify as intact.

    Args:
        database_url: the database that the log belongs to; None for the database of the server's
            settings.

    Raises:
        ConfigError: a setting cannot be used, or the database or the log does not exist.
    """
    url = RecordingOptions.of(load_settings(database_url, create=False)).url
    if not exists(url, AUDIT_SETTING):
        place = location(url, AUDIT_SETTING)
        raise ConfigError(
            f"there is no log of decision records at {place}; name it with PDP_AUDIT_URL"
        )


def local_actor() -> str:
    """Returns the actor that the change log names for changes made without a server."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a user id without a name, as in containers
        return f"cli:{os.getuid()}"
