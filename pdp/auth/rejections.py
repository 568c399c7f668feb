"""Why a credential does not count: for metrics. Whoever sent it is told no more than that."""

from __future__ import annotations

from typing import Literal

Why = Literal["missing", "malformed", "unknown", "expired", "invalid"]


class CredentialRejected(Exception):
    """A credential does not count."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why
