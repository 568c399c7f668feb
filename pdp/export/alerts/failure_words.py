"""Says in words why a webhook could not be reached, without its URL, which is secret."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_CAUSES: Final = 10
"""How far the causes of an exception are followed."""

_BY_CLASS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (ssl.SSLCertVerificationError, "its certificate is not trusted, or is for another host name"),
    (ssl.SSLError, "the TLS connection failed; is it an https server?"),
    (socket.gaierror, "its host name cannot be resolved"),
    (ConnectionRefusedError, "the connection was refused"),
    (ConnectionError, "the connection was closed before an answer"),
    (TimeoutError, "no answer in time"),
)
_BY_NUMBER: Final = {
    errno.ENETUNREACH: "there is no network route to it",
    errno.EHOSTUNREACH: "there is no network route to it",
    errno.ETIMEDOUT: "no answer in time",
}
_BY_NAME: Final = {
    "ConnectTimeout": "no answer in time",
    "ReadTimeout": "no answer in time",
    "WriteTimeout": "no answer in time",
    "PoolTimeout": "no answer in time",
    "RemoteProtocolError": "its answer is not HTTP",
    "LocalProtocolError": "the request cannot be sent over HTTP",
    "InvalidURL": "its URL is not valid",
    "UnsupportedProtocol": "its URL is not valid",
    "ReadError": "the connection was closed before an answer",
    "WriteError": "the connection was closed before an answer",
    "ConnectError": "there is no connection",
}
"""By the names of httpx's exceptions: this module does not import httpx."""


def failure_words(error: Exception) -> str:
    """Returns why a request failed. The text has nothing from the messages of exceptions."""
    causes = list(_causes(error))
    for each in causes:
        for kind, words in _BY_CLASS:
            if isinstance(each, kind):
                return words
        if isinstance(each, OSError) and each.errno in _BY_NUMBER:
            return _BY_NUMBER[each.errno]
    name = type(error).__name__
    return _BY_NAME.get(name, f"the request failed ({name})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the cause of an exception, its cause and so on, the deepest last, and groups."""
    pending: list[BaseException] = [error]
    for _ in range(_MAX_CAUSES):
        if not pending:
            return
        each = pending.pop(0)
        yield each
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions
        cause = each.__cause__ or each.__context__
        if cause is not None:
            pending.append(cause)
