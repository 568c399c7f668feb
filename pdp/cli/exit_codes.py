"""Exit codes, the same for all commands."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import TYPE_CHECKING

from pdp.errors import ConfigError, InvalidArgument, MalformedRequest, PdpError

if TYPE_CHECKING:
    from pdp.client.base import CallFailed


class Exit(IntEnum):
    """How a command ends."""

    OK = 0
    NO = 1
    """The answer is no: not allowed, a case failed, not serving."""
    USAGE = 2
    INVALID = 3
    UNAVAILABLE = 4
    SOFTWARE = 70
    """EX_SOFTWARE: workers keep failing."""
    CONFIG = 78
    """EX_CONFIG: the settings or the database do not allow a start."""


def complain(message: str, hint: str = "") -> None:
    """Says on stderr what went wrong, and what to do."""
    print(f"pdp: {message}", file=sys.stderr)
    if hint:
        print(f"     {hint}", file=sys.stderr)


def of_error(error: PdpError) -> Exit:
    """Returns how a command ends that met `error`."""
    if isinstance(error, ConfigError):
        return Exit.CONFIG
    if isinstance(error, (InvalidArgument, MalformedRequest)):
        return Exit.INVALID
    return Exit.UNAVAILABLE


def of_failure(failure: CallFailed) -> Exit:
    """Returns how a command ends whose call failed."""
    return Exit.UNAVAILABLE if failure.unavailable else Exit.INVALID
