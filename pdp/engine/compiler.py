"""Policies in, snapshot out, or all errors. Runs when something is written, never in a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pdp.domain.kinds import PolicySet
from pdp.domain.risk import DEFAULT_RISK_TABLE, RiskTable
from pdp.domain.tenant import DEFAULT_SETTINGS, PLATFORM, TenantSettings
from pdp.engine.layers import BUILDERS, CLOSERS, GATES
from pdp.engine.layers.base import Layer, Policies
from pdp.engine.scan import PatternErrors, PatternSet
from pdp.engine.snapshot import Platform, Snapshot
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.engine.patterns import Validators

T = TypeVar("T")


def compile_platform(
    policies: PolicySet, validators: Validators, risk: RiskTable = DEFAULT_RISK_TABLE
) -> Platform:
    """Compiles what ships with the product.

    Raises:
        InvalidPattern: some patterns do not compile; it names them all.
        KeyError: a policy names a validator that does not exist.
    """
    layers = _built(BUILDERS, Policies(policies, PolicySet(), DEFAULT_SETTINGS, risk))
    patterns = _compile(PatternSet(), _wanted(layers))
    for policy in policies.of_kind("static_policy").values():
        if policy.validator and policy.validator not in validators:
            raise KeyError(f"policy {policy.id} names the unknown validator {policy.validator}")
    return Platform(policies, patterns, validators, risk)


def compile_tenant(
    platform: Platform,
    tenant_id: str,
    policies: PolicySet,
    revision: int,
    previous: Snapshot | None = None,
    *,
    settings: TenantSettings = DEFAULT_SETTINGS,
) -> Snapshot:
    """Compiles a tenant's snapshot.

    Args:
        platform: what it shares with all tenants.
        tenant_id: whose it is.
        policies: the tenant's own.
        revision: of the store that `policies` were read at.
        previous: an earlier snapshot of the tenant, whose compiled parts are used again.
        settings: how the tenant wants to be judged.

    Raises:
        InvalidPattern: some patterns do not compile; it names them all.
    """
    held = {layer.name: layer for layer in previous.layers} if previous else {}
    sources = Policies(platform.policies, policies, settings, platform.risk, held)
    layers = _built(BUILDERS, sources)
    own = {
        pattern: place
        for pattern, place in _wanted(layers).items()
        if pattern not in platform.patterns.compiled
    }
    patterns = _compile(previous.patterns if previous else PatternSet(), own)
    return Snapshot(
        tenant_id=tenant_id,
        revision=revision,
        platform=platform,
        gates=_built(GATES, sources),
        layers=layers,
        closers=_built(CLOSERS, sources),
        shards=(*platform.patterns.shards, *patterns.shards),
        policies=policies,
        patterns=patterns,
        settings=settings,
    )


def empty_snapshot(platform: Platform, revision: int) -> Snapshot:
    """Returns the snapshot of a tenant that has no policies of its own."""
    return compile_tenant(platform, PLATFORM, PolicySet(), revision)


def _built(builders: Iterable[Callable[[Policies], T | None]], policies: Policies) -> tuple[T, ...]:
    return tuple(layer for build in builders if (layer := build(policies)) is not None)


def _wanted(layers: tuple[Layer, ...]) -> dict[str, str]:
    return {pattern: place for layer in layers for pattern, place in layer.patterns.items()}


def _compile(patterns: PatternSet, wanted: Mapping[str, str]) -> PatternSet:
    try:
        return patterns.with_patterns(wanted)
    except PatternErrors as errors:
        violations = sorted(
            Violation(wanted[pattern], reason) for pattern, reason in errors.reasons.items()
        )
        message = "; ".join(f"{place}: {reason}" for place, reason in violations)
        raise InvalidPattern(message, *violations) from None
