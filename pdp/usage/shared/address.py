"""The server of shared counters, as `PDP_LIMITS_URL` names it."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from valkey.asyncio.connection import AbstractConnection

SETTING: Final = "PDP_LIMITS_URL"
DEFAULT_PORT: Final = 6379
CONNECT_TIMEOUT_S: Final = 2.0
"""How long a connection may take to be made, with the handshakes of TLS and of the server."""

_TLS_SCHEMES: Final = frozenset({"valkeys", "rediss"})
_SCHEMES: Final = _TLS_SCHEMES | {"valkey", "redis"}
_CA, _CERT, _KEY = "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"
_CLIENT_NAME: Final = "pdp"


@dataclass(frozen=True, slots=True)
class CounterServer:
    """Where the counters are, and how to get there. Its text has no credentials.

    Attributes:
        host, port: its address.
        database: the number of the database.
        username, password: of the ACL; empty for none.
        tls: the TLS context; None for plain TCP.
    """

    host: str
    port: int
    database: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.database}"

    def connection(self) -> AbstractConnection:
        """Returns a connection that is not open yet."""
        # Imported here because `valkey` is an extra, and slow to import.
        from valkey.asyncio.connection import Connection, SSLConnection  # noqa: PLC0415

        connection_class = Connection if self.tls is None else SSLConnection
        connection = connection_class(
            host=self.host,
            port=self.port,
            db=self.database,
            username=self.username or None,
            password=self.password or None,
            client_name=_CLIENT_NAME,
            # An answer may take as long as it likes: `Link` has the budgets.
            socket_timeout=None,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
        )
        if isinstance(connection, SSLConnection):
            connection.ssl_context.context = self.tls
        return connection


def check_extra() -> None:
    """Checks that the client of the server is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec("valkey") is None:
        raise ConfigError(
            f'{SETTING}: needs the extra "valkey". Install it: pip install "pdp[valkey]"'
        )


def parse_server(url: str) -> CounterServer:
    """Returns the server that a URL names.

    Raises:
        ConfigError: the URL cannot be used, or a file in it cannot be read. The message never has
            the URL, because it may have a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise _error("is not a URL, or its port is not a number") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.fragment:
        raise _error("is not the URL of a server")
    options = _options(parts)
    if options and parts.scheme not in _TLS_SCHEMES:
        raise _error(f"has {', '.join(sorted(options))}, which need TLS; write valkeys://")
    return CounterServer(
        parts.hostname,
        port,
        _database(parts.path),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        _tls_context(options) if parts.scheme in _TLS_SCHEMES else None,
    )


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - {_CA, _CERT, _KEY})
    if unknown:
        raise _error(f"has options that do not exist: {', '.join(unknown)}")
    empty = sorted(name for name, value in options.items() if not value)
    if empty:
        raise _error(f"has options without a value: {', '.join(empty)}")
    if _KEY in options and _CERT not in options:
        raise _error(f"has {_KEY}, but not {_CERT}")
    return options


def _database(path: str) -> int:
    number = path.removeprefix("/") or "0"
    if not (number.isascii() and number.isdecimal()):
        raise _error("has a path that is not the number of a database")
    return int(number)


def _tls_context(options: dict[str, str]) -> ssl.SSLContext:
    """Returns a context that verifies the server's certificate and its name."""
    with _file(_CA):
        context = ssl.create_default_context(cafile=options.get(_CA))
    if _CERT in options:
        with _file(_CERT):
            # With a password given, OpenSSL does not ask the terminal for one.
            context.load_cert_chain(options[_CERT], options.get(_KEY), password="")
    return context


@contextmanager
def _file(option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise _error(f"{option}: the file cannot be used: {error.strerror or error}") from None


def _error(problem: str) -> ConfigError:
    return ConfigError(
        f"{SETTING}: {problem}. Use valkey://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or valkeys:// "
        f"for TLS, with the options {_CA}, {_CERT} and {_KEY} if files are needed."
    )
