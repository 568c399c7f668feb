"""The API's description, written when the contracts are generated; the server only serves it."""

from __future__ import annotations

from pdp.transport.http.openapi.comments import comments
from pdp.transport.http.openapi.document import document, rendered

__all__ = ["comments", "document", "rendered"]
