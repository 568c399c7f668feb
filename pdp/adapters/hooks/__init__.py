"""Webhooks whose JSON a mapping file describes: `POST /v1/hooks/{name}`."""

from __future__ import annotations

from pdp.adapters.hooks.routes import hook_routes

__all__ = ["hook_routes"]
