"""Generates the OpenAPI document of the HTTP API from the contracts.

`make generate` writes the document to `pdp/_gen/openapi.json`; the server only serves it.
"""

from __future__ import annotations

from tools.openapi.comments import read_comments
from tools.openapi.document import build_document, render

__all__ = ["build_document", "read_comments", "render"]
