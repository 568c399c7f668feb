"""Settings of connectors: environment variables, each with its bounds and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class EnvironmentVariable:
    """An environment variable.

    Attributes:
        name: of it.
        description: for the documentation.
        default: what holds where it is not set.
        required: the connector is configured by it, and needs it.
        secret: its value is never shown.
    """

    name: str
    description: str
    default: str = ""
    required: bool = False
    secret: bool = False


class Environment:
    """Reads the variables of one connector. An empty value counts as not set."""

    def __init__(
        self, variables: Sequence[EnvironmentVariable], environ: Mapping[str, str]
    ) -> None:
        self._variables = {each.name: each for each in variables}
        self._given = {
            name: value for name in self._variables if (value := environ.get(name, "").strip())
        }

    @property
    def is_configured(self) -> bool:
        """Whether any variable is set that the connector needs."""
        return any(self._variables[name].required for name in self._given)

    def check_complete(self) -> None:
        """Refuses half a configuration.

        Raises:
            ConfigError: it names the variables that are missing.
        """
        missing = [
            name for name, each in self._variables.items() if each.required and not self.has(name)
        ]
        if missing:
            present = next(name for name in self._given if self._variables[name].required)
            raise ConfigError(
                f"{present} is set, but {', '.join(missing)} is not; set both or none"
            )

    def secrets(self) -> tuple[str, ...]:
        """Returns the values that must not be shown."""
        return tuple(v for name, v in self._given.items() if self._variables[name].secret)

    def has(self, name: str) -> bool:
        """Whether the variable is set."""
        return name in self._given

    def text(self, name: str) -> str:
        """Returns the value, or the default."""
        return self._given.get(name, self._variables[name].default)

    def flag(self, name: str) -> bool:
        """Returns a value that is `true` or `false`.

        Raises:
            ConfigError: it is neither.
        """
        value = self.text(name).lower()
        if value not in _TRUE | _FALSE:
            raise ConfigError(f'{name}: "{value}" is neither true nor false')
        return value in _TRUE

    def number(self, name: str, lowest: int, highest: int) -> int:
        """Returns a whole number.

        Raises:
            ConfigError: it is none, or out of its bounds.
        """
        value = self.text(name)
        if not value.isdecimal() or not lowest <= int(value) <= highest:
            raise ConfigError(f'{name}: "{value}" is no whole number from {lowest} to {highest}')
        return int(value)

    def port(self, name: str) -> int:
        """Returns a port.

        Raises:
            ConfigError: it is none.
        """
        return self.number(name, 1, _MAX_PORT)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Returns one of `choices`, whatever the case that it is written in.

        Raises:
            ConfigError: it is none of them.
        """
        value = self.text(name)
        for each in choices:
            if each.lower() == value.lower():
                return each
        raise ConfigError(f'{name}: "{value}" is none of {", ".join(choices)}')

    def url(self, name: str) -> str:
        """Returns an HTTP address without a trailing slash.

        Raises:
            ConfigError: it is none; the message does not show it, since it may hold a secret.
        """
        value = self.text(name)
        try:
            parts = urlsplit(value)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
            named = parts.username is not None or parts.port == 0
        except ValueError:
            valid = named = False
        if not valid:
            raise ConfigError(f"{name}: it is no http or https address")
        if named:
            raise ConfigError(f"{name}: write the address without credentials, and a port above 0")
        return value.rstrip("/")

    def file(self, name: str) -> Path | None:
        """Returns a file that exists; None where the variable is not set.

        Raises:
            ConfigError: there is no such file.
        """
        if not self.has(name):
            return None
        path = Path(self.text(name))
        if not path.is_file():
            raise ConfigError(f"{name}: the file {path} does not exist")
        return path


def shown_url(url: str) -> str:
    """Returns an address as anyone may see it: without credentials, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    place = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, place, parts.path, "", ""))
