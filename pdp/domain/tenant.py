"""Tenant ids, compared exactly. Any well-formed id is a tenant (docs/decide.md, Tenants)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

PLATFORM: Final = ""
"""The owner of entities that ship with the product. No tenant can have this id."""

DEFAULT_TENANT: Final = "default"

_MAX_LENGTH: Final = 128
_TENANT_ID: Final = re.compile(r"[A-Za-z0-9._-]+")


def is_tenant_id(value: str) -> bool:
    """Returns whether `value` is a well-formed tenant id."""
    return len(value) <= _MAX_LENGTH and _has_id_characters(value)


@lru_cache(maxsize=1024)
def _has_id_characters(value: str) -> bool:
    return _TENANT_ID.fullmatch(value) is not None
