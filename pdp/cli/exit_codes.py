"""Exit codes, the same for all commands."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ends."""

    OK = 0
    NO = 1
    """The answer is no: the request is not allowed, a case failed, the server is not serving."""
    USAGE = 2
    INVALID = 3
    UNAVAILABLE = 4
    INCOMPLETE = 5
    """The answer is about a part only: some decisions were not recorded."""
    SOFTWARE = 70
    """EX_SOFTWARE: workers keep failing."""
    CONFIG = 78
    """EX_CONFIG: the settings or the database prevent a start."""
