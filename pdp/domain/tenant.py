"""Tenant ids, compared exactly. Any well-formed id is a tenant (docs/decide.md, Tenants)."""

from __future__ import annotations

import re
from typing import Final

PLATFORM: Final = ""
"""The owner of entities that ship with the product. No tenant can have this id."""

DEFAULT_TENANT: Final = "default"

_TENANT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def is_tenant_id(value: str) -> bool:
    """Returns whether `value` is a well-formed tenant id."""
    return _TENANT_ID.fullmatch(value) is not None
