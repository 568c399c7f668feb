"""Snapshots are freed without the garbage collector, which never looks at them."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain import customer_policy, dlp_rule, limits, policy_chain, policy_pack, static_policy
from pdp.domain.model_catalog import ModelConfig
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.rules.models import ModelIndex
from pdp.publisher import MEGABYTE, Publisher
from pdp.server import garbage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.snapshot import Snapshot

PLATFORM: Final = compile_platform(PolicySet(), VALIDATORS, detectors=catalog.detectors())

TENANTS: Final = 60


def policies(number: int) -> PolicySet:
    """Returns policies of each kind that has compiled parts of its own."""
    pattern = rf"project-{number}\b"
    conditions = {"entity_types": ["EMAIL"], "content_regex": f"alpha{number}"}
    document = {
        "blocked_action_patterns": ["crm:*:delete"],
        "custom_rules": {
            "big": {"condition": "action MATCHES 'a.*' AND hour(timestamp) > 3", "score_impact": 10}
        },
    }
    pack = policy_pack.PolicyPack("pack", "Pack")
    rule = policy_pack.PolicyRule("rule", "pack", 1, "Rule", {"type": "BLOCK"}, conditions)
    chain = policy_chain.PolicyChain(
        "chain", "org", packs=(policy_chain.ChainEntry("e", "pack", 1),)
    )
    return PolicySet(
        {
            static_policy.KIND: {
                "s": static_policy.StaticPolicy("s", "S", "custom", pattern, "block")
            },
            customer_policy.KIND: {"c": customer_policy.CustomerPolicy("c", document)},
            dlp_rule.KIND: {
                "d": dlp_rule.DlpRule(
                    "d", "D", dlp_rule.REGEX, "EMPLOYEE", "redact", config_json={"pattern": pattern}
                )
            },
            limits.KIND: {"l": limits.Limit("l", "user", "u", requests_per_minute=5)},
            policy_pack.KIND: {"pack": pack},
            policy_pack.RULE_KIND: {"rule": rule},
            policy_chain.KIND: {"chain": chain},
        }
    )


def compiled(number: int, revision: int = 1) -> Snapshot:
    return compile_tenant(PLATFORM, f"tenant-{number}", policies(number), revision)


@contextmanager
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_a_snapshot_has_no_cycles() -> None:
    for number in (1, 2):  # the first one fills caches
        with no_collections():
            snapshot: Snapshot | None = compiled(number)
            assert snapshot is not None
            request = Request(
                text=f"alpha{number} a@example.com", customer_id="c", action="crm:a:read"
            )
            evaluate(snapshot, request._replace(explain=True), "id")
            snapshot = snapshot.rebase(PLATFORM, 2)
            snapshot = compile_tenant(PLATFORM, "t", policies(number + 5), 3, snapshot)
            del snapshot
            unreachable = gc.collect()
    assert unreachable == 0


def test_frozen_snapshots_are_freed_when_they_are_replaced_or_evicted() -> None:
    room = 10.5 * compiled(1).own_bytes / MEGABYTE
    publisher = Publisher(PLATFORM, 1, {}, cache_mb=room)
    gc.freeze()
    try:
        for number in range(TENANTS):
            publisher.publish(compiled(number))
            gc.collect()
            gc.freeze()
            if number == TENANTS // 2:
                halfway = gc.get_freeze_count()
        assert publisher.cache.evictions > TENANTS // 2
        assert abs(gc.get_freeze_count() - halfway) < halfway * 0.02
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    ("growth", "generations"),
    [
        (garbage.GROWTH - 1, []),
        (garbage.GROWTH, [2]),
        (garbage.MAX_COLLECTED, [2]),
        (garbage.MAX_COLLECTED + 1, [1]),
    ],
)
def test_snapshots_are_frozen_if_there_are_many_new_ones(
    growth: int, generations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, growth))
    monkeypatch.setattr(gc, "collect", collected.append)
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    garbage.freeze_snapshots(compiled(1))
    assert collected == generations
    assert len(frozen) == len(generations)


def test_a_platform_with_other_models_makes_no_cycles() -> None:
    ModelIndex([ModelConfig("m", "openai", "gpt-4o", "GPT")]).killed("gpt", "openai")
    with no_collections():
        index: ModelIndex | None = ModelIndex([ModelConfig("m", "openai", "gpt-4o", "GPT")])
        assert index is not None
        index.killed("gpt-4o-2024-08-06", "openai")
        del index
        assert gc.collect() == 0


def test_the_collector_rests_while_a_server_starts() -> None:
    """In a process of its own: it changes the collector of the whole process."""
    code = (
        "import gc; from pdp.server import garbage; garbage.pause(); paused = gc.isenabled(); "
        "garbage.start(); print(paused, gc.isenabled(), gc.get_threshold())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert answer.stdout == f"False True {garbage.THRESHOLDS}\n"
