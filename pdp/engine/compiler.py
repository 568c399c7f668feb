"""Compiles policies to snapshots, or reports all errors. Runs on writes, never on a decision."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from pdp.domain import api_key, model_catalog, org_policy, static_policy, tenant_settings
from pdp.domain.installation_keys import NO_KEYS, InstallationKeys
from pdp.domain.kinds import ENTITY_CLASSES, apply_changes
from pdp.domain.policy_set import PolicySet
from pdp.domain.risk import DEFAULT_RISK_TABLE, RiskTable
from pdp.domain.tenant import PLATFORM
from pdp.domain.tenant_settings import DEFAULT_SETTINGS, TenantSettings
from pdp.engine.conditions import compile_condition
from pdp.engine.decision_facts import build_fact_source
from pdp.engine.dlp.entities import EXTENSIONS
from pdp.engine.layers import BUILDERS, CLOSERS, GATES
from pdp.engine.layers.base import Policies
from pdp.engine.layers.chain import ChainLayer
from pdp.engine.layers.dlp import DlpLayer
from pdp.engine.layers.limits import LimitsLayer
from pdp.engine.pattern_groups import pattern_groups
from pdp.engine.pattern_set import NO_GROUPS, PatternErrors, PatternSet
from pdp.engine.rules.exceptions import NO_BOOK, build_exceptions
from pdp.engine.rules.models import ModelIndex
from pdp.engine.rules.tool_actions import ToolActions
from pdp.engine.snapshot import Platform, Snapshot, with_models
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.org_policy import OrgPolicy
    from pdp.domain.stored_entity import Change
    from pdp.engine.conditions import Condition
    from pdp.engine.layers.base import Layer
    from pdp.engine.text.patterns import Validators

T = TypeVar("T")

SNAPSHOT_BYTES: Final = 2_000
COMPILED_FACTOR: Final = 4
PATTERN_BYTES: Final = 3_000
SHARD_BYTES: Final = 4_000
"""What a snapshot takes in memory, measured: itself, its policies with what is compiled from them
for each byte of them, each pattern of its own and each automaton of these."""

_NO_DETECTORS: Final[Mapping[str, EntityDetector]] = MappingProxyType({})
_NO_PATTERNS: Final = PatternSet()


def compile_platform(
    policies: PolicySet,
    validators: Validators,
    risk: RiskTable = DEFAULT_RISK_TABLE,
    previous: PatternSet | None = None,
    detectors: Mapping[str, EntityDetector] = _NO_DETECTORS,
    *,
    keys: InstallationKeys = NO_KEYS,
) -> Platform:
    """Compiles the policies that all tenants share.

    Args:
        policies: the platform's policies.
        validators: the validators that policies may name.
        risk: the risk points of findings.
        previous: patterns that are compiled already and are reused.
        detectors: the built-in detectors, by id.
        keys: see `Platform`.

    Raises:
        InvalidPattern: some patterns do not compile; the error names all of them.
        KeyError: a policy or a detector names an unknown validator.
    """
    models = _models(policies)
    facts = build_fact_source(policies, PolicySet(), detectors)
    sources = Policies(
        policies, PolicySet(), DEFAULT_SETTINGS, risk, models, detectors=detectors, facts=facts
    )
    layers = _build(BUILDERS, sources)
    # A record is redacted by all detectors, whether or not a rule uses them. If each scan looks for
    # them, the record of a request without a finding needs no scan of its own.
    of_detectors = {
        pattern: detector.id for detector in detectors.values() for pattern in detector.patterns
    }
    sources_of = of_detectors | _patterns_of(layers)
    groups = pattern_groups(sources_of, policies.of_kind(static_policy.KIND).values())
    patterns = _compile(previous or PatternSet(), sources_of, groups)
    _check_names(policies, validators, detectors)
    return Platform(
        policies,
        patterns,
        validators,
        risk,
        models,
        detectors,
        layers,
        facts=facts,
        keys=keys,
    )


def _check_names(
    policies: PolicySet, validators: Validators, detectors: Mapping[str, EntityDetector]
) -> None:
    """Checks the names of functions in policies and detectors.

    Raises:
        KeyError: one of them names an unknown function.
    """
    for policy in policies.of_kind("static_policy").values():
        if policy.validator and policy.validator not in validators:
            raise KeyError(f"policy {policy.id} names the unknown validator {policy.validator}")
    for detector in detectors.values():
        for name in (detector.validator, detector.label_validator):
            if name and name not in validators:
                raise KeyError(f"detector {detector.id} names the unknown validator {name}")
        if detector.extension and detector.extension not in EXTENSIONS:
            name = detector.extension
            raise KeyError(f"detector {detector.id} names the unknown extension {name}")


def update_platform(platform: Platform, changes: Sequence[Change]) -> Platform:
    """Returns the platform after `changes` of its policies.

    If only models or only API keys changed, nothing is compiled: the new platform is compatible
    with the old one, and `Snapshot.rebase` moves the snapshots of the old one to it.

    Raises:
        InvalidPattern: some patterns do not compile; the error names all of them.
        KeyError: a policy names an unknown validator.
    """
    kinds = {change.kind for change in changes}.intersection(ENTITY_CLASSES)
    if not kinds:
        return platform
    policies = apply_changes(platform.policies, changes)
    if kinds == {model_catalog.KIND}:
        models = _models(policies)
        layers = with_models(platform.layers, models)
        return replace(platform, policies=policies, models=models, layers=layers)
    if kinds == {api_key.KIND}:  # no layer uses API keys
        return replace(platform, policies=policies)
    return compile_platform(
        policies,
        platform.validators,
        platform.risk,
        platform.patterns,
        platform.detectors,
        keys=platform.keys,
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
        platform: the policies that all tenants share.
        tenant_id: the tenant.
        policies: the tenant's own policies.
        revision: the revision of the store at which `policies` were read.
        previous: an earlier snapshot of the tenant, whose compiled parts are reused.

    Raises:
        InvalidPattern: some patterns do not compile; the error names all of them.
    """
    if previous is not None and previous.platform.compatible_with(platform):
        previous = previous.rebase(platform, previous.revision)
    settings = policies.of_kind(tenant_settings.KIND).get(tenant_settings.ID, DEFAULT_SETTINGS)
    sources = _sources(platform, policies, settings, previous)
    layers = _build(BUILDERS, sources)
    patterns = _own_patterns(platform, layers, previous.patterns if previous else _NO_PATTERNS)
    shared = platform.patterns
    org = policies.of_kind(org_policy.KIND).get(org_policy.ID, org_policy.DEFAULT_ORG_POLICY)
    return Snapshot(
        tenant_id=tenant_id,
        revision=revision,
        platform=platform,
        gates=_build(GATES, sources),
        layers=layers,
        closers=_build(CLOSERS, sources),
        pattern_sets=(shared, patterns) if patterns.shards else (shared,),
        policies=policies,
        patterns=patterns,
        settings=settings,
        limits=next((layer.book for layer in layers if isinstance(layer, LimitsLayer)), None),
        ner=next((each.ner_wanted for each in layers if isinstance(each, DlpLayer)), frozenset()),
        org=org,
        timed=org.logging_level in org_policy.RECORD_ALL,
        has_requirements=bool(settings.max_timestamp_skew_s or settings.require_customer),
        own_bytes=_own_bytes(policies, patterns),
        facts=sources.facts,
        alert_expressions=_alert_expressions(org),
        tool_actions=ToolActions(settings.tool_actions),
        needs_clock=any(isinstance(each, ChainLayer) and each.has_schedules for each in layers),
        exceptions=sources.exceptions,
    )


def _alert_expressions(org: OrgPolicy) -> dict[str, Condition]:
    """Compiles the expressions of an org policy's alert rules."""
    sources = org_policy.alert_expressions(org.alert_rules)
    return {source: compile_condition(source) for _, source in sources}


def _sources(
    platform: Platform, policies: PolicySet, settings: TenantSettings, previous: Snapshot | None
) -> Policies:
    """Returns what the layers of a tenant are built from, with the layers of `previous`."""
    reusable = (previous.facts, platform.facts) if previous else (platform.facts,)
    return Policies(
        platform=platform.policies,
        own=policies,
        settings=settings,
        risk=platform.risk,
        models=platform.models,
        previous={layer.name: layer for layer in previous.layers} if previous else {},
        detectors=platform.detectors,
        shared={layer.name: layer for layer in platform.layers},
        facts=build_fact_source(platform.policies, policies, platform.detectors, *reusable),
        exceptions=build_exceptions(policies, previous.exceptions if previous else NO_BOOK),
    )


def _own_patterns(
    platform: Platform, layers: tuple[Layer, ...], previous: PatternSet
) -> PatternSet:
    """Compiles the patterns of a tenant that the platform does not have."""
    shared_layers = {id(layer) for layer in platform.layers}
    own = _patterns_of(tuple(layer for layer in layers if id(layer) not in shared_layers))
    for pattern in own.keys() & platform.patterns.compiled.keys():
        del own[pattern]
    return _compile(previous, own)


def _own_bytes(policies: PolicySet, patterns: PatternSet) -> int:
    """Returns the estimated memory of a tenant's own part of its snapshot."""
    return (
        SNAPSHOT_BYTES
        + COMPILED_FACTOR * policies.size
        + PATTERN_BYTES * len(patterns.compiled)
        + SHARD_BYTES * len(patterns.shards)
    )


def empty_snapshot(platform: Platform, revision: int) -> Snapshot:
    """Returns the snapshot of a tenant without its own policies."""
    return compile_tenant(platform, PLATFORM, PolicySet(), revision)


def _models(policies: PolicySet) -> ModelIndex:
    return ModelIndex(policies.of_kind(model_catalog.KIND).values())


def _build(builders: Iterable[Callable[[Policies], T | None]], policies: Policies) -> tuple[T, ...]:
    return tuple(layer for build in builders if (layer := build(policies)) is not None)


def _patterns_of(layers: tuple[Layer, ...]) -> dict[str, str]:
    """Returns the patterns of the layers, each with the policy that it belongs to."""
    patterns: dict[str, str] = {}
    for layer in layers:
        patterns.update(layer.patterns)
    return patterns


def _compile(
    previous: PatternSet, patterns: Mapping[str, str], groups: Mapping[str, str] = NO_GROUPS
) -> PatternSet:
    try:
        return previous.with_patterns(patterns, groups)
    except PatternErrors as errors:
        violations = sorted(
            Violation(patterns[pattern], reason) for pattern, reason in errors.reasons.items()
        )
        raise InvalidPattern.of(*violations) from None
