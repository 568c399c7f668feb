"""Turns what goes wrong in a command into a message on stderr and an exit code."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.cli.exit_codes import Exit
from pdp.errors import ConfigError, InvalidArgument, MalformedRequest, PdpError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.client import CallFailed
    from pdp.client.base import ConnectionProblem

_ABSENT_HINT: Final = (
    'Start a server with "pdp serve --auth dev", name another with --server or PDP_SERVER, or use '
    "the database without a server with --embedded."
)
_PLAINTEXT_HINT: Final = (
    "Something listens there. If it is a server with TLS, give --tls-ca-file or PDP_TLS_CA_FILE, "
    "with the authority that issued its certificate."
)
_TLS_HINT: Final = (
    "Check that the server uses TLS, that --tls-ca-file has the authority that issued its "
    "certificate, and that the certificate is for the name in the address or in --tls-server-name."
)
_OTHER_HINT: Final = "Check the address, or name another server with --server or PDP_SERVER."

_HINTS: Final = {
    "UNIMPLEMENTED": "The address belongs to another service, or to a server of another version.",
    "DEADLINE_EXCEEDED": "Wait longer with --timeout.",
    "UNAUTHENTICATED": "Set PDP_API_KEY to an API key, or PDP_TOKEN to a token. The administrator "
    "of the server creates keys with pdp keys create.",
}
"""What to do about the error codes of gRPC itself. The server's own errors say it themselves."""


def connection_hint(kind: ConnectionProblem, *, tls: bool) -> str:
    """Returns what to do if no server has answered.

    Args:
        kind: why there was no answer.
        tls: whether the connection was by TLS.
    """
    if kind == "absent":
        return _ABSENT_HINT
    if tls:
        return _TLS_HINT
    return _PLAINTEXT_HINT if kind == "tls" else _OTHER_HINT


class UsageError(Exception):
    """The options do not fit together, or one cannot be read; the message says which."""


def print_error(message: str, hint: str = "") -> None:
    """Prints to stderr what went wrong and what to do."""
    print(f"pdp: {message}", file=sys.stderr)
    if hint:
        print(f"     {hint}", file=sys.stderr)


@contextmanager
def exit_on_failure(*, as_json: bool) -> Iterator[None]:
    """Ends the process with an error message and an exit code if the block fails.

    Args:
        as_json: also print the error to standard output, in the form of the HTTP API.
    """
    from pdp.client import CallFailed  # noqa: PLC0415 - protobuf; print_error does not need it

    try:
        yield
    except UsageError as error:
        print_error(str(error), "See --help.")
        sys.exit(Exit.USAGE)
    except PdpError as error:
        failure, code = CallFailed.of(error), _exit_code(error)
    except CallFailed as error:
        failure, code = error, Exit.UNAVAILABLE if error.unavailable else Exit.INVALID
    else:
        return
    if as_json:
        print(json.dumps(failure.envelope(), ensure_ascii=False))
    print_error(failure.message, _hint(failure))
    sys.exit(code)


def _hint(failure: CallFailed) -> str:
    hint = _HINTS.get(failure.code, "")
    if failure.server:
        return f"The server at {failure.server} answered. {hint}".rstrip()
    if failure.connection is None or hint:
        return hint
    return connection_hint(failure.connection, tls=failure.tls)


def _exit_code(error: PdpError) -> Exit:
    if isinstance(error, ConfigError):
        return Exit.CONFIG
    if isinstance(error, (InvalidArgument, MalformedRequest)):
        return Exit.INVALID
    return Exit.UNAVAILABLE
