"""Snapshots: the immutable compiled policies that decisions are made from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from pdp.domain.decision_counts import CountKey
from pdp.domain.installation_keys import NO_KEYS, InstallationKeys
from pdp.domain.org_policy import DEFAULT_ORG_POLICY
from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.rules.exceptions import NO_BOOK
from pdp.engine.rules.tool_actions import NO_TOOL_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.detector import EntityDetector
    from pdp.domain.limits import LimitIndex
    from pdp.domain.ner import EntityLabel
    from pdp.domain.org_policy import OrgPolicy
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.risk import RiskTable
    from pdp.domain.tenant_settings import TenantSettings
    from pdp.engine.conditions import Condition
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.layers.base import Closer, Gate, Layer
    from pdp.engine.pattern_set import PatternSet
    from pdp.engine.rules.exceptions import ExceptionBook
    from pdp.engine.rules.models import ModelIndex
    from pdp.engine.rules.tool_actions import ToolActions
    from pdp.engine.text.patterns import Validators

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Platform:
    """The compiled policies that all tenants share.

    Attributes:
        policies: the system policies and the model catalog.
        patterns: the patterns of these policies.
        validators: the validators that policies may name.
        risk: the risk points of findings.
        models: the model catalog, compiled.
        detectors: the built-in detectors, by id.
        layers: the layers for a tenant without its own policies, which tenants share.
        lineage: the same object in all platforms that are compatible with this one.
        facts: computes the facts of requests, for a tenant without its own policies.
        keys: the keys of the installation.
    """

    policies: PolicySet
    patterns: PatternSet
    validators: Validators
    risk: RiskTable
    models: ModelIndex
    detectors: Mapping[str, EntityDetector] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    lineage: object = field(default_factory=object)
    facts: FactSource = NO_FACT_SOURCE
    keys: InstallationKeys = NO_KEYS

    def compatible_with(self, other: Platform) -> bool:
        """Whether a snapshot of one platform can be moved to the other; see `Snapshot.rebase`.

        This is true if nothing that snapshots are compiled from differs, except the models.
        """
        return self.lineage is other.lineage


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The compiled policies of a tenant.

    Attributes:
        tenant_id: the tenant.
        revision: the revision of the store that this snapshot represents.
        platform: the policies that all tenants share.
        gates: the layers that run before the scan.
        layers: the layers that run on the findings of the scan.
        closers: the layers that run when the risk is known.
        pattern_sets: what the scan searches for: the platform's patterns, then the tenant's own.
        policies: the tenant's own policies, for the next compilation.
        patterns: the tenant's own patterns, without the platform's.
        settings: the tenant's settings.
        limits: the limits in force; None if there are none, so that no usage is counted.
        ner: the named entities that models must search for before a request is evaluated; empty
            for most tenants.
        org: the org policy; its logging level selects the decisions that are recorded.
        timed: whether all decisions are recorded, so that the layers of each one are timed.
        has_requirements: whether the settings require something of requests.
        own_bytes: the estimated memory of the tenant's own part, without what tenants share.
        facts: computes the facts of requests that conditions name: groups and findings.
        exceptions: the tenant's exceptions, compiled.
        alert_expressions: the compiled expressions of the org policy's alert rules.
        tool_actions: which actions the tool calls in payloads are.
        needs_clock: whether a policy depends on the server's clock: see `Request.server_time`.
        records_plain: whether an ALLOW to which no layer added anything may be recorded.
        plain_key: as what such a decision is counted if it is not.
        known_at: when the policies were last known to be in force, in seconds since the epoch, if
            they come from saved files; 0 if they come from the store.
    """

    tenant_id: str
    revision: int
    platform: Platform
    gates: tuple[Gate, ...]
    layers: tuple[Layer, ...]
    closers: tuple[Closer, ...]
    pattern_sets: tuple[PatternSet, ...]
    policies: PolicySet
    patterns: PatternSet
    settings: TenantSettings
    limits: LimitIndex | None = None
    ner: frozenset[EntityLabel] = frozenset()
    org: OrgPolicy = DEFAULT_ORG_POLICY
    timed: bool = False
    has_requirements: bool = False
    own_bytes: int = 0
    facts: FactSource = NO_FACT_SOURCE
    exceptions: ExceptionBook = NO_BOOK
    needs_clock: bool = False
    tool_actions: ToolActions = NO_TOOL_ACTIONS
    alert_expressions: Mapping[str, Condition] = field(default_factory=dict)
    known_at: float = 0.0
    records_plain: bool = field(init=False)
    plain_key: CountKey = field(init=False)

    def __post_init__(self) -> None:
        key = CountKey(self.tenant_id, self.org.logging_level, "ALLOW", recorded=False)
        object.__setattr__(self, "plain_key", key)
        object.__setattr__(self, "records_plain", self.timed or self.settings.sample_rate > 0)

    def rebase(self, platform: Platform, revision: int) -> Snapshot:
        """Returns the same policies on a compatible platform, at that revision.

        It compiles nothing and takes microseconds, regardless of the number of policies.
        """
        if platform is self.platform:
            return self if revision == self.revision else self.for_tenant(self.tenant_id, revision)
        models = platform.models
        return replace(
            self,
            platform=platform,
            revision=revision,
            gates=with_models(self.gates, models),
            layers=with_models(self.layers, models),
            closers=with_models(self.closers, models),
        )

    def for_tenant(self, tenant_id: str, revision: int) -> Snapshot:
        """Returns the same policies for another tenant, at that revision."""
        return replace(self, tenant_id=tenant_id, revision=revision)


def with_models(layers: tuple[T, ...], models: ModelIndex) -> tuple[T, ...]:
    """Returns the layers; each `ModelAware` layer has the new catalog."""
    return tuple(
        layer.with_models(models) if hasattr(layer, "with_models") else layer for layer in layers
    )
