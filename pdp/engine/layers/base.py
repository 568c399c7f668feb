"""What a layer is, and what it is compiled from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from pdp.domain.decision import Risk, Verdict
    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Request
    from pdp.domain.risk import RiskTable
    from pdp.domain.tenant_settings import TenantSettings
    from pdp.engine.rules.models import ModelIndex
    from pdp.engine.scan import Findings


@dataclass(frozen=True, slots=True)
class Policies:
    """All that a layer is compiled from: the platform's policies and the tenant's own.

    Attributes:
        models: the model catalog. A layer that keeps it, or anything read from it, has a method
            `with_models`: see `ModelAware`.
        previous: the layers of an earlier snapshot of the tenant, by name. What has not changed
            since, which its policies being the same objects shows, can be taken from them.
        detectors: what ships with the product to recognise kinds of data, by id.
    """

    platform: PolicySet
    own: PolicySet
    settings: TenantSettings
    risk: RiskTable
    models: ModelIndex
    previous: Mapping[str, Layer] = field(default_factory=dict)
    detectors: Mapping[str, EntityDetector] = field(default_factory=dict)


class Layer(Protocol):
    """One layer, compiled for one tenant: a pure function of (request, findings)."""

    @property
    def name(self) -> str:
        """One of `pdp.domain.layers.LAYERS`."""

    @property
    def patterns(self) -> Mapping[str, str]:
        """The RE2 patterns that the layer asks findings for, each with the policy it is of."""

    def judge(self, request: Request, findings: Findings) -> Verdict:
        """Returns the layer's verdict; `NO_VERDICT` where nothing of it applies."""


class ModelAware(Protocol):
    """What a layer, gate or closer is that keeps the model catalog, or anything read from it.

    Models are switched off within milliseconds, for all tenants at once. Nothing is compiled for
    that: a snapshot is given the new catalog by this method, and its other layers stay as they are.
    """

    def with_models(self, models: ModelIndex) -> Self:
        """Returns the layer as it is with another model catalog; cheap, and it cannot fail."""


class Gate(Protocol):
    """A layer that is asked before the scan: a BLOCK of it ends the decision."""

    @property
    def name(self) -> str:
        """One of `pdp.domain.layers.LAYERS`."""

    def admit(self, request: Request) -> Verdict:
        """Returns the gate's verdict; `NO_VERDICT` where nothing of it applies."""


class Closer(Protocol):
    """A layer that is asked last, when the risk is known."""

    @property
    def name(self) -> str:
        """One of `pdp.domain.layers.LAYERS`."""

    def conclude(self, request: Request, risk: Risk) -> Verdict:
        """Returns the closer's verdict; `NO_VERDICT` where nothing of it applies."""


Builder = Callable[[Policies], Layer | None]
"""Compiles a layer; None where the tenant has no policies for it."""

GateBuilder = Callable[[Policies], Gate | None]
CloserBuilder = Callable[[Policies], Closer | None]
