"""The layers of a decision, in the order in which a trace shows them (decide.md)."""

from __future__ import annotations

from typing import Final

KILL_SWITCH: Final = "kill_switch"
LIMITS: Final = "limits"
CUSTOMER: Final = "customer"
STATIC: Final = "static"
CHAIN: Final = "chain"
DLP: Final = "dlp"
ORG: Final = "org"

LAYERS: Final = (KILL_SWITCH, LIMITS, CUSTOMER, STATIC, CHAIN, DLP, ORG)
"""All layers. A trace and a simulation have an entry for each, run or not."""

ENGINE: Final = "engine"
"""Not a layer: where a fault is traced to that belongs to none."""

SCAN: Final = "scan"
"""Not a layer either: what records call the time that the scan took."""
