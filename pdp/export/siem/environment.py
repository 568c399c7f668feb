"""Reads the settings of connectors from environment variables, and validates them."""

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
        name: the name.
        description: for the documentation.
        default: the value if it is not set.
        required: the connector needs it; setting it configures the connector.
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
        self._values = {
            name: value for name in self._variables if (value := environ.get(name, "").strip())
        }

    @property
    def is_configured(self) -> bool:
        """Whether a required variable is set."""
        return any(self._variables[name].required for name in self._values)

    def check_complete(self) -> None:
        """Checks that all required variables are set.

        Raises:
            ConfigError: some are missing; the message names them.
        """
        missing = [
            name for name, each in self._variables.items() if each.required and not self.has(name)
        ]
        if missing:
            present = next(name for name in self._values if self._variables[name].required)
            raise ConfigError(
                f"{present} is set, but {', '.join(missing)} is not; set all of them or none"
            )

    def secrets(self) -> tuple[str, ...]:
        """Returns the values that must not be shown."""
        return tuple(v for name, v in self._values.items() if self._variables[name].secret)

    def has(self, name: str) -> bool:
        """Returns whether the variable is set."""
        return name in self._values

    def text(self, name: str) -> str:
        """Returns the value, or the default."""
        return self._values.get(name, self._variables[name].default)

    def flag(self, name: str) -> bool:
        """Returns a Boolean value.

        Raises:
            ConfigError: the value is neither true nor false.
        """
        value = self.text(name).lower()
        if value not in _TRUE | _FALSE:
            raise ConfigError(f'{name}: "{value}" is not a Boolean; write true or false')
        return value in _TRUE

    def number(self, name: str, lowest: int, highest: int) -> int:
        """Returns a whole number.

        Raises:
            ConfigError: the value is not a whole number or out of bounds.
        """
        value = self.text(name)
        if not value.isdecimal() or not lowest <= int(value) <= highest:
            raise ConfigError(
                f'{name}: "{value}" is not valid; write a whole number from {lowest} to {highest}'
            )
        return int(value)

    def port(self, name: str) -> int:
        """Returns a port.

        Raises:
            ConfigError: the value is not a port.
        """
        return self.number(name, 1, _MAX_PORT)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Returns one of `choices`. The case of the value does not matter.

        Raises:
            ConfigError: the value is not one of them.
        """
        value = self.text(name)
        for each in choices:
            if each.lower() == value.lower():
                return each
        raise ConfigError(f'{name}: "{value}" is not valid; write one of {", ".join(choices)}')

    def url(self, name: str) -> str:
        """Returns an HTTP URL without a trailing slash.

        Raises:
            ConfigError: the value is not an HTTP URL. The message does not show the value, which
                may contain a secret.
        """
        value = self.text(name)
        try:
            parts = urlsplit(value)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
            forbidden = parts.username is not None or parts.port == 0
        except ValueError:
            valid = forbidden = False
        if not valid:
            raise ConfigError(f"{name}: the value is not an http or https URL")
        if forbidden:
            raise ConfigError(f"{name}: write the URL without credentials, and with a port above 0")
        return value.rstrip("/")

    def file(self, name: str) -> Path | None:
        """Returns the path of an existing file; None if the variable is not set.

        Raises:
            ConfigError: the file does not exist.
        """
        if not self.has(name):
            return None
        path = Path(self.text(name))
        if not path.is_file():
            raise ConfigError(f"{name}: the file {path} does not exist")
        return path


def public_url(url: str) -> str:
    """Returns a URL without credentials, query and fragment, so that it can be shown."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    netloc = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
