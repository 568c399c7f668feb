"""The database that a command works on itself, without a server."""

from __future__ import annotations

from pdp.bootstrap.recording import RecordingOptions
from pdp.config import Settings, load
from pdp.errors import ConfigError
from pdp.store.opening import AUDIT_SETTING, exists, location


def settings_for(database_url: str | None, *, make: bool) -> Settings:
    """Returns the settings, `database_url` among them where it is given.

    Args:
        database_url: the database; None for the server's.
        make: whether the database is made where it is not there. A command that only reads must not
            take a new one, which says that all is well, for the one that was meant.

    Raises:
        ConfigError: a setting cannot be used, or there is no database.
    """
    settings = load({"database_url": database_url})
    if not (make or exists(settings.store_url)):
        raise ConfigError(
            f"there is no database at {location(settings.store_url)}; name it with --database-url "
            "or PDP_DATABASE_URL"
        )
    return settings


def check_log(database_url: str | None) -> None:
    """Checks that the log of decisions is there: a new one would be found to be as it was written.

    Args:
        database_url: the database that it belongs to; None for the server's.

    Raises:
        ConfigError: a setting cannot be used, or there is no database or no log.
    """
    url = RecordingOptions.of(settings_for(database_url, make=False)).url
    if not exists(url, AUDIT_SETTING):
        raise ConfigError(
            f"there is no log of decisions at {location(url, AUDIT_SETTING)}; PDP_AUDIT_URL names "
            "another"
        )
