"""The keys of an installation."""

from __future__ import annotations

from typing import Final, NamedTuple


class InstallationKeys(NamedTuple):
    """Secrets that all processes of an installation share.

    Attributes:
        redaction: for the hashes of redacted values; empty for none.
        approval: for the hashes of inputs, and for approval and confirmation tokens; empty for
            none, so that nothing can be approved.
    """

    redaction: bytes = b""
    approval: bytes = b""

    def __repr__(self) -> str:
        """Leaves out the keys, because this text may end up in logs and tracebacks."""
        return "InstallationKeys(…)"


NO_KEYS: Final = InstallationKeys()
