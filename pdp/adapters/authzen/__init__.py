"""AuthZEN Authorization API 1.0: evaluations, searches and metadata over HTTP."""

from __future__ import annotations

from pdp.adapters.authzen.metadata import public_url
from pdp.adapters.authzen.routes import authzen_routes

__all__ = ["authzen_routes", "public_url"]
