"""Tenants: ids, compared exactly; a tenant exists by being named (decide.md, Tenants)."""

from __future__ import annotations

import re
from typing import Final

PLATFORM: Final = ""
"""Owner of what ships with the product. No tenant can have this id."""

DEFAULT_TENANT: Final = "default"

_TENANT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def is_tenant_id(value: str) -> bool:
    """Whether `value` is well-formed as a tenant id."""
    return _TENANT_ID.fullmatch(value) is not None
