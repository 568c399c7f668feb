"""Runs a prompt through the tenant's own chain, and through nothing else (seed 002)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.engine.layers.chain import ChainDryRun, ChainLayer
from pdp.engine.scan import scan

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

_NOTHING: Final = ChainDryRun(None, ())


def try_chain(snapshot: Snapshot, request: Request) -> ChainDryRun:
    """Returns what the org chain of `snapshot` comes to, and every rule that was looked at.

    Raises:
        ScanMemoryExhausted: RE2 ran out of memory.
    """
    for layer in snapshot.layers:
        if isinstance(layer, ChainLayer):
            validators = snapshot.platform.validators
            findings = scan(snapshot.shards, request.text, request.arguments, validators)
            return layer.try_org(request, findings)
    return _NOTHING
