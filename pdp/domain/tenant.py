"""Tenants: ids, compared exactly; a tenant exists by being named (decide.md, Tenants)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

PLATFORM: Final = ""
"""Owner of what ships with the product. No tenant can have this id."""

DEFAULT_TENANT: Final = "default"

_TENANT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def is_tenant_id(value: str) -> bool:
    """Whether `value` is well-formed as a tenant id."""
    return _TENANT_ID.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """How a tenant wants to be judged.

    Attributes:
        failure_mode: `closed` blocks what could not be judged; `open` lets it pass, and says so
            in every such decision.
        unknown_customer: what a request for a customer that does not exist comes to.
    """

    failure_mode: Literal["closed", "open"] = "closed"
    unknown_customer: Literal["block", "warn"] = "block"


DEFAULT_SETTINGS: Final = TenantSettings()
