"""The API's description, written when the contracts are generated; the server only serves it."""

from __future__ import annotations

from tools.openapi.comments import comments
from tools.openapi.document import document, rendered

__all__ = ["comments", "document", "rendered"]
