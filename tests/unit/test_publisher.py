"""The publisher: a tenant's snapshot never gets older and never misses a change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdp.domain.policy_set import PolicySet
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.rules.models import ModelIndex
from pdp.publisher import MEGABYTE, Publisher

if TYPE_CHECKING:
    from collections.abc import Callable

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
    assert acme.pattern_sets is cached.pattern_sets


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


def small_cache(base: Platform, tenants: float) -> Publisher:
    """Returns a publisher whose cache has room for a number of these snapshots."""
    size = snapshot(base, "t", 5).own_bytes
    return Publisher(base, 5, {}, cache_mb=tenants * size / MEGABYTE)


@pytest.mark.parametrize(("room", "remaining"), [(2.01, 2), (1.99, 1), (0.01, 1)])
def test_the_cache_is_bounded_by_memory(room: float, remaining: int) -> None:
    base = platform()
    publisher = small_cache(base, room)
    for tenant_id in ("a", "b"):
        assert publisher.publish(snapshot(base, tenant_id, 5))
    assert len(publisher.cache) == remaining
    assert publisher.cache.size == remaining * snapshot(base, "a", 5).own_bytes
    assert publisher.cache.evictions == 2 - remaining
    assert (publisher.current("a") is None) == (remaining == 1)
    assert publisher.current("b") is not None


def test_the_least_recently_used_tenant_is_evicted_and_must_be_loaded() -> None:
    base = platform()
    publisher = small_cache(base, 2.01)
    for tenant_id in ("a", "b"):
        publisher.publish(snapshot(base, tenant_id, 5))
    publisher.current("a")
    publisher.publish(snapshot(base, "c", 5))
    assert publisher.current("b") is None
    assert publisher.current("a") is not None
    assert publisher.cache.recent(5) == ["a", "c"]
    assert publisher.cache.recent(1) == ["a"]


def test_a_replaced_snapshot_counts_once() -> None:
    base = platform()
    publisher = Publisher(base, 5, {})
    for revision in (6, 7):
        publisher.publish(snapshot(base, "acme", revision))
    assert publisher.cache.size == snapshot(base, "acme", 7).own_bytes
    assert publisher.cache.evictions == 0


def test_hits_are_counted_for_tenants_with_policies() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    publisher.current("made-up")
    publisher.current("acme")
    publisher.publish(snapshot(base, "acme", 5))
    publisher.current("acme")
    publisher.cached("acme")
    publisher.latest("acme")
    assert publisher.hits == 1


def test_tenants_without_policies_take_no_room() -> None:
    base = platform()
    publisher = small_cache(base, 1.01)
    publisher.publish(snapshot(base, "acme", 5))
    for number in range(5_000):
        assert publisher.current(f"made-up-{number}") is not None
    assert publisher.current("acme") is not None
    assert (len(publisher.cache), publisher.cache.evictions) == (1, 0)
    assert sum(len(each) for each in vars(publisher).values() if isinstance(each, dict)) < 1_100


def no_policies(base: Platform, tenant_id: str, revision: int) -> Snapshot:
    return compile_tenant(base, tenant_id, PolicySet(), revision)


def test_a_tenant_that_has_lost_its_policies_is_not_loaded_again() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    publisher.publish(snapshot(base, "acme", 5))
    assert publisher.publish(no_policies(base, "acme", 8))
    assert len(publisher.cache) == 0
    current = publisher.current("acme")
    assert current is not None
    assert (current.revision, bool(current.policies)) == (8, False)
    publisher.advance(8, {"acme": 8})
    assert publisher.current("acme") is not None


def test_a_tenant_without_policies_that_changes_must_be_loaded() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    publisher.publish(no_policies(base, "acme", 5))
    publisher.advance(9, {"acme": 9})
    assert publisher.current("acme") is None


@pytest.mark.parametrize("newer", [snapshot, no_policies])
def test_a_load_that_began_before_a_write_is_rejected(
    newer: Callable[[Platform, str, int], Snapshot],
) -> None:
    """Even if the snapshot of the write was evicted meanwhile."""
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    publisher.publish(newer(base, "acme", 7))
    publisher.cache.clear()
    assert not publisher.publish(snapshot(base, "acme", 6))


def test_latest_is_at_the_revision_in_force() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0, "unknown": 0})
    publisher.publish(snapshot(base, "acme", 5))
    publisher.advance(9, {"another": 9})
    latest, fresh = publisher.latest("acme"), publisher.latest("fresh")
    assert latest is not None
    assert fresh is not None
    assert (latest.revision, fresh.revision) == (9, 9)
    assert publisher.latest("unknown") is None


def test_each_snapshot_that_enters_the_cache_is_announced() -> None:
    base = platform()
    publisher = Publisher(base, 5, {"acme": 0})
    announced: list[Snapshot] = []
    publisher.on_publish = announced.append
    published = snapshot(base, "acme", 7)
    for each in (published, snapshot(base, "acme", 6), no_policies(base, "empty", 7)):
        publisher.publish(each)
    assert announced == [published]
