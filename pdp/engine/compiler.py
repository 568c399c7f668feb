"""Policies in, snapshot out, or all errors. Runs when something is written, never in a decision."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from pdp.domain import api_key, model_catalog, org_policy, tenant_settings
from pdp.domain.kinds import ENTITY_CLASSES, apply_changes
from pdp.domain.policy_set import PolicySet
from pdp.domain.risk import DEFAULT_RISK_TABLE, RiskTable
from pdp.domain.tenant import PLATFORM
from pdp.domain.tenant_settings import DEFAULT_SETTINGS, TenantSettings
from pdp.engine.layers import BUILDERS, CLOSERS, GATES
from pdp.engine.layers.base import Layer, Policies
from pdp.engine.layers.limits import LimitsLayer
from pdp.engine.rules.models import ModelIndex
from pdp.engine.scan import PatternErrors, PatternSet
from pdp.engine.snapshot import Platform, Snapshot
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.stored_entity import Change
    from pdp.engine.text.patterns import Validators

T = TypeVar("T")

_NO_DETECTORS: Final[Mapping[str, EntityDetector]] = MappingProxyType({})


def compile_platform(
    policies: PolicySet,
    validators: Validators,
    risk: RiskTable = DEFAULT_RISK_TABLE,
    previous: PatternSet | None = None,
    detectors: Mapping[str, EntityDetector] = _NO_DETECTORS,
) -> Platform:
    """Compiles what ships with the product.

    Args:
        policies: the platform's.
        validators: the checks that policies may name.
        risk: the points of what is found.
        previous: patterns that are compiled already, to be used again.
        detectors: those that ship with the product, by id.

    Raises:
        InvalidPattern: some patterns do not compile; it names them all.
        KeyError: a policy or a detector names a validator that does not exist.
    """
    models = _models(policies)
    sources = Policies(policies, PolicySet(), DEFAULT_SETTINGS, risk, models, detectors=detectors)
    layers = _built(BUILDERS, sources)
    patterns = _compile(previous or PatternSet(), _wanted(layers))
    for policy in policies.of_kind("static_policy").values():
        if policy.validator and policy.validator not in validators:
            raise KeyError(f"policy {policy.id} names the unknown validator {policy.validator}")
    for detector in detectors.values():
        if detector.validator and detector.validator not in validators:
            name = detector.validator
            raise KeyError(f"detector {detector.id} names the unknown validator {name}")
    return Platform(policies, patterns, validators, risk, models, detectors)


def changed_platform(platform: Platform, changes: Sequence[Change]) -> Platform:
    """Returns the platform as it is after `changes` of its policies.

    Where those are of models alone, or of API keys, nothing is compiled: the new platform is `akin`
    to the old one, and snapshots of that are led over to it by `Snapshot.on`.

    Raises:
        InvalidPattern: some patterns do not compile; it names them all.
        KeyError: a policy names a validator that does not exist.
    """
    kinds = {change.kind for change in changes}.intersection(ENTITY_CLASSES)
    if not kinds:
        return platform
    policies = apply_changes(platform.policies, changes)
    if kinds == {model_catalog.KIND}:
        return replace(platform, policies=policies, models=_models(policies))
    if kinds == {api_key.KIND}:  # nothing is judged by them
        return replace(platform, policies=policies)
    return compile_platform(
        policies, platform.validators, platform.risk, platform.patterns, platform.detectors
    )


def compile_tenant(
    platform: Platform,
    tenant_id: str,
    policies: PolicySet,
    revision: int,
    previous: Snapshot | None = None,
) -> Snapshot:
    """Compiles a tenant's snapshot.

    Args:
        platform: what it shares with all tenants.
        tenant_id: whose it is.
        policies: the tenant's own.
        revision: of the store that `policies` were read at.
        previous: an earlier snapshot of the tenant, whose compiled parts are used again.

    Raises:
        InvalidPattern: some patterns do not compile; it names them all.
    """
    if previous is not None and previous.platform.akin(platform):
        previous = previous.on(platform, previous.revision)
    settings = policies.of_kind(tenant_settings.KIND).get(tenant_settings.ID, DEFAULT_SETTINGS)
    sources = _sources(platform, policies, settings, previous)
    layers = _built(BUILDERS, sources)
    patterns = _own_patterns(platform, layers, previous.patterns if previous else PatternSet())
    org = policies.of_kind(org_policy.KIND).get(org_policy.ID, org_policy.DEFAULT_ORG_POLICY)
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
        limits=next((layer.book for layer in layers if isinstance(layer, LimitsLayer)), None),
        ner=frozenset().union(*(getattr(layer, "ner_wanted", ()) for layer in layers)),
        org=org,
        timed=org.logging_level in org_policy.RECORD_ALL,
    )


def _sources(
    platform: Platform, policies: PolicySet, settings: TenantSettings, previous: Snapshot | None
) -> Policies:
    """What a tenant's layers are built from, those of `previous` among it."""
    held: dict[str, Layer] = {layer.name: layer for layer in previous.layers} if previous else {}
    return Policies(
        platform=platform.policies,
        own=policies,
        settings=settings,
        risk=platform.risk,
        models=platform.models,
        previous=held,
        detectors=platform.detectors,
    )


def _own_patterns(
    platform: Platform, layers: tuple[Layer, ...], previous: PatternSet
) -> PatternSet:
    """Compiles what a tenant looks for and the platform does not."""
    shared = platform.patterns.compiled
    own = {pattern: place for pattern, place in _wanted(layers).items() if pattern not in shared}
    return _compile(previous, own)


def empty_snapshot(platform: Platform, revision: int) -> Snapshot:
    """Returns the snapshot of a tenant that has no policies of its own."""
    return compile_tenant(platform, PLATFORM, PolicySet(), revision)


def _models(policies: PolicySet) -> ModelIndex:
    return ModelIndex(policies.of_kind(model_catalog.KIND).values())


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
