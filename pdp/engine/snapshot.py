"""What a decision is made from: one immutable value, taken by one reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdp.domain.kinds import PolicySet
    from pdp.domain.risk import RiskTable
    from pdp.domain.tenant import TenantSettings
    from pdp.engine.layers.base import Closer, Gate, Layer
    from pdp.engine.patterns import Validators
    from pdp.engine.scan import PatternSet, Shard


@dataclass(frozen=True, slots=True)
class Platform:
    """What ships with the product, compiled once and shared by all tenants."""

    policies: PolicySet
    patterns: PatternSet
    validators: Validators
    risk: RiskTable


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tenant's policies, compiled.

    Attributes:
        revision: of the store, that this snapshot is true of.
        gates: layers that are asked before the scan.
        layers: those that are asked with its findings.
        closers: those that are asked when the risk is known.
        shards: all pattern shards, the platform's first.
        policies: what the tenant's own part was compiled from, for the next compilation.
        patterns: the tenant's own patterns, without the platform's.
    """

    tenant_id: str
    revision: int
    platform: Platform
    gates: tuple[Gate, ...]
    layers: tuple[Layer, ...]
    closers: tuple[Closer, ...]
    shards: tuple[Shard, ...]
    policies: PolicySet
    patterns: PatternSet
    settings: TenantSettings

    def of(self, tenant_id: str, revision: int) -> Snapshot:
        """Returns the same policies, of that tenant and as of that revision."""
        return replace(self, tenant_id=tenant_id, revision=revision)
