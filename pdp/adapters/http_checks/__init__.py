"""Plain HTTP checks: nginx auth_request, Traefik forwardAuth and the like ask `/v1/authz`."""

from __future__ import annotations

from pdp.adapters.http_checks.routes import http_check_routes

__all__ = ["http_check_routes"]
