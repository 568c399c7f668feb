"""The publisher: a tenant's snapshot never gets older and never misses a change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pdp.domain.policy_set import PolicySet
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.rules.models import ModelIndex
from pdp.publisher import Publisher

if TYPE_CHECKING:
    from pdp.engine.snapshot import Platform, Snapshot


def platform() -> Platform:
    return compile_platform(PolicySet(), {})


def snapshot(base: Platform, tenant_id: str, revision: int, pattern: str = "x") -> Snapshot:
    policy = StaticPolicy("p", "P", "custom", pattern, "block")
    return compile_tenant(base, tenant_id, PolicySet({KIND: {"p": policy}}), revision)


def test_a_tenant_without_policies_has_those_of_the_platform() -> None:
    publisher = Publisher(platform(), 5, {})
    current = publisher.current("fresh")
    assert current is not None
    assert (current.tenant_id, current.revision) == ("fresh", 5)
    assert publisher.current("fresh") is current


def test_a_tenant_with_policies_must_be_loaded_first() -> None:
    publisher = Publisher(platform(), 5, {"acme": 0})
    assert publisher.current("acme") is None
    assert publisher.current("other") is not None


def test_a_published_snapshot_is_in_force() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    assert publisher.publish(snapshot(base, "acme", 5))
    current = publisher.current("acme")
    assert current is not None
    assert current.revision == 5


def test_a_published_snapshot_replaces_the_current_one() -> None:
    base = platform()
    publisher = Publisher(base, 5, {})
    for fresh in (snapshot(base, "acme", 6), snapshot(base, "acme", 7, "y")):
        assert publisher.current("acme") is not fresh
        publisher.publish(fresh)
        assert publisher.current("acme") is fresh


def test_an_older_snapshot_never_replaces_a_newer_one() -> None:
    base = platform()
    publisher = Publisher(base, 5, {})
    newer = snapshot(base, "acme", 7, "new")
    publisher.publish(newer)
    publisher.publish(snapshot(base, "acme", 6, "old"))
    assert publisher.current("acme") is newer


def test_a_snapshot_that_misses_a_change_is_rejected() -> None:
    base = platform()
    publisher = Publisher(base, 5, {})
    publisher.advance(9, {"acme": 8})
    assert not publisher.publish(snapshot(base, "acme", 7))
    assert publisher.current("acme") is None
    assert publisher.publish(snapshot(base, "acme", 8))


def test_a_snapshot_of_another_platform_is_rejected() -> None:
    publisher = Publisher(platform(), 5, {})
    assert not publisher.publish(snapshot(platform(), "acme", 6))


def test_advance_evicts_changed_tenants_only() -> None:
    base = platform()
    publisher = Publisher(base, 5, {})
    publisher.publish(snapshot(base, "changed", 5))
    publisher.publish(snapshot(base, "same", 5))
    publisher.advance(6, {"changed": 6})
    assert publisher.current("changed") is None
    same = publisher.current("same")
    assert same is not None
    assert same.revision == 6


def test_advance_publishes_new_snapshots() -> None:
    base = platform()
    publisher = Publisher(base, 5, {})
    publisher.publish(snapshot(base, "acme", 5))
    fresh = snapshot(base, "acme", 6, "new")
    publisher.advance(6, {"acme": 6}, [fresh])
    assert publisher.current("acme") is fresh


def test_a_new_platform_is_in_force_for_all_tenants() -> None:
    base = platform()
    publisher = Publisher(base, 5, {})
    publisher.publish(snapshot(base, "acme", 5))
    publisher.current("fresh")
    new_platform = platform()
    publisher.advance(6, {"": 6}, platform=new_platform)
    assert publisher.current("acme") is None
    fresh = publisher.current("fresh")
    assert fresh is not None
    assert fresh.platform is new_platform


def other_models(base: Platform) -> Platform:
    """Returns a platform that differs from `base` only in its models."""
    return replace(base, models=ModelIndex())


def test_new_models_are_in_force_for_all_tenants_without_compilation() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    cached = snapshot(base, "acme", 5)
    publisher.publish(cached)
    publisher.current("fresh")
    new_platform = other_models(base)
    publisher.advance(6, {"": 6}, platform=new_platform)
    for tenant_id in ("acme", "fresh", "never-seen"):
        current = publisher.current(tenant_id)
        assert current is not None
        assert (current.tenant_id, current.revision) == (tenant_id, 6)
        assert current.platform is new_platform
        assert publisher.current(tenant_id) is current
    acme = publisher.current("acme")
    assert acme is not None
    assert acme.policies is cached.policies
    assert acme.shards is cached.shards


def test_a_snapshot_with_old_models_gets_the_new_ones() -> None:
    """The models changed while it was compiled."""
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    new_platform = other_models(base)
    publisher.advance(6, {"": 6}, platform=new_platform)
    assert publisher.publish(snapshot(base, "acme", 7))
    current = publisher.current("acme")
    assert current is not None
    assert (current.platform is new_platform, current.revision) == (True, 7)


def test_a_tenant_that_changed_together_with_the_models_is_loaded_again() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    publisher.publish(snapshot(base, "acme", 5))
    new_platform = other_models(base)
    publisher.advance(7, {"": 6, "acme": 7}, platform=new_platform)
    assert publisher.current("acme") is None
    assert publisher.publish(snapshot(new_platform, "acme", 7))


def test_the_revision_never_decreases() -> None:
    publisher = Publisher(platform(), 5, {})
    publisher.advance(3, {})
    assert publisher.revision == 5


def test_the_cache_is_bounded_and_an_evicted_tenant_is_loaded_again() -> None:
    base = platform()
    publisher = Publisher(base, 5, {}, capacity=2)
    publisher.publish(snapshot(base, "acme", 5))
    for tenant_id in ("a", "b", "c"):
        assert publisher.current(tenant_id) is not None
    assert len(publisher) == 2
    assert publisher.current("acme") is None
