"""What a decision is made from: one immutable value, taken by one reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from pdp.domain.org_policy import DEFAULT_ORG_POLICY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.detector import EntityDetector
    from pdp.domain.limits import LimitIndex
    from pdp.domain.ner import EntityLabel
    from pdp.domain.org_policy import OrgPolicy
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.risk import RiskTable
    from pdp.domain.tenant_settings import TenantSettings
    from pdp.engine.layers.base import Closer, Gate, Layer
    from pdp.engine.rules.models import ModelIndex
    from pdp.engine.scan import PatternSet, Shard
    from pdp.engine.text.patterns import Validators

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Platform:
    """What all tenants share, compiled once.

    Attributes:
        policies: what ships with the product, and the model catalog.
        patterns: those of its policies.
        validators: the checks that policies may name.
        risk: the points of what is found.
        models: the model catalog, compiled.
        detectors: what ships with the product to recognise kinds of data, by id.
        lineage: shared by platforms that differ in their models alone.
    """

    policies: PolicySet
    patterns: PatternSet
    validators: Validators
    risk: RiskTable
    models: ModelIndex
    detectors: Mapping[str, EntityDetector] = field(default_factory=dict)
    lineage: object = field(default_factory=object)

    def akin(self, other: Platform) -> bool:
        """Whether the two differ in their models at most."""
        return self.lineage is other.lineage


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
        limits: those in force; None where the tenant has none, so that nothing is to be counted.
        ner: what models are to be asked for before a request is judged; mostly nothing.
        org: the org policy; its logging level says which decisions are recorded.
        timed: whether all are, so that each one's layers are timed.
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
    limits: LimitIndex | None = None
    ner: frozenset[EntityLabel] = frozenset()
    org: OrgPolicy = DEFAULT_ORG_POLICY
    timed: bool = False

    def on(self, platform: Platform, revision: int) -> Snapshot:
        """Returns the same policies on a platform that is akin to theirs, as of that revision.

        It takes microseconds, whatever the number of policies: nothing is compiled.
        """
        if platform is self.platform:
            return self if revision == self.revision else self.of(self.tenant_id, revision)
        models = platform.models
        return replace(
            self,
            platform=platform,
            revision=revision,
            gates=_led_over(self.gates, models),
            layers=_led_over(self.layers, models),
            closers=_led_over(self.closers, models),
        )

    def of(self, tenant_id: str, revision: int) -> Snapshot:
        """Returns the same policies, of that tenant and as of that revision."""
        return replace(self, tenant_id=tenant_id, revision=revision)


def _led_over(layers: tuple[T, ...], models: ModelIndex) -> tuple[T, ...]:
    """Gives each layer that is `ModelAware` the new catalog."""
    return tuple(
        layer.with_models(models) if hasattr(layer, "with_models") else layer for layer in layers
    )
