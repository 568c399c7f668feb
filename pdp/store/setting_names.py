"""The names of the settings that hold URLs, for error messages."""

from __future__ import annotations

from typing import Final

DATABASE_SETTING: Final = "PDP_DATABASE_URL"
AUDIT_SETTING: Final = "PDP_AUDIT_URL"
