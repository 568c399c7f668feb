"""The layers of a decision, in the order in which a trace shows them (docs/decide.md)."""

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
"""All layers. A trace and a simulation have an entry for each, even if it did not run."""

ENGINE: Final = "engine"
"""Not a layer: the place of faults that belong to no layer."""

SCAN: Final = "scan"
"""Not a layer: the name under which records show the duration of the scan."""
