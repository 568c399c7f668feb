"""The interfaces of layers, gates and closers, and the policies that they are compiled from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from pdp.engine.decision_facts import NO_FACT_SOURCE
from pdp.engine.rules.exceptions import NO_BOOK

if TYPE_CHECKING:
    from pdp.domain.decision import Risk, Verdict
    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Request
    from pdp.domain.risk import RiskTable
    from pdp.domain.tenant_settings import TenantSettings
    from pdp.engine.decision_facts import FactSource
    from pdp.engine.rules.exceptions import ExceptionBook
    from pdp.engine.rules.models import ModelIndex
    from pdp.engine.scan import Findings


@dataclass(frozen=True, slots=True)
class Policies:
    """The sources of a layer.

    Attributes:
        platform: the policies of the platform.
        own: the policies of the tenant.
        settings: the settings of the tenant.
        risk: the risk points.
        models: the model catalog. A layer that keeps the catalog, or data from it, has the method
            `with_models`: see `ModelAware`.
        previous: the layers of an earlier snapshot of the tenant, by name. A layer can reuse their
            compiled parts if the policies are still the same objects.
        detectors: the detectors that ship with the product, by ID.
        facts: computes what conditions name besides the request, such as groups. A layer that keeps
            it takes the one of the new policies each time that it is built.
        exceptions: the tenant's exceptions; kept by layers like `facts`.
        shared: the platform's layers for a tenant without its own policies, by name; empty while
            they are compiled. A layer that the tenant's policies do not change is shared by all
            tenants.
    """

    platform: PolicySet
    own: PolicySet
    settings: TenantSettings
    risk: RiskTable
    models: ModelIndex
    previous: Mapping[str, Layer] = field(default_factory=dict)
    detectors: Mapping[str, EntityDetector] = field(default_factory=dict)
    shared: Mapping[str, Layer] = field(default_factory=dict)
    facts: FactSource = NO_FACT_SOURCE
    exceptions: ExceptionBook = NO_BOOK


class Layer(Protocol):
    """A layer, compiled for one tenant: a pure function of the request and its findings."""

    @property
    def name(self) -> str:
        """One of `pdp.domain.layers.LAYERS`."""

    @property
    def patterns(self) -> Mapping[str, str]:
        """The RE2 patterns that the scan must look for, each with the policy that it belongs to.

        A layer of a tenant may leave out those of the platform's own layer.
        """

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        """Returns the verdict of the layer; `NO_VERDICT` if no policy applies."""


class ModelAware(Protocol):
    """A layer, gate or closer that keeps the model catalog, or data from it.

    A model is switched off within milliseconds for all tenants at once, so nothing is compiled
    then. The snapshot gets the new catalog through this method, and its other layers stay.
    """

    def with_models(self, models: ModelIndex) -> Self:
        """Returns the same layer with another model catalog. Must be cheap and must not fail."""


class Gate(Protocol):
    """A layer that runs before the scan. Its BLOCK ends the decision."""

    @property
    def name(self) -> str:
        """One of `pdp.domain.layers.LAYERS`."""

    def admit(self, request: Request) -> Verdict:
        """Returns the verdict of the gate; `NO_VERDICT` if no policy applies."""


class Closer(Protocol):
    """A layer that runs last, when the risk is known."""

    @property
    def name(self) -> str:
        """One of `pdp.domain.layers.LAYERS`."""

    def conclude(self, request: Request, risk: Risk) -> Verdict:
        """Returns the verdict of the closer; `NO_VERDICT` if no policy applies."""


Builder = Callable[[Policies], Layer | None]
"""Compiles a layer; returns None if the tenant has no policies for it."""

GateBuilder = Callable[[Policies], Gate | None]
CloserBuilder = Callable[[Policies], Closer | None]
