"""The work that one decision may do, and the turns of tenants that need much of it."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pdp.admin.published_policies import PublishedPolicies
from pdp.decisions import evaluator as evaluator_module
from pdp.decisions.batches import Batches, BatchItem
from pdp.decisions.decider import Decider
from pdp.decisions.evaluator import LARGE_TEXT, Evaluator
from pdp.decisions.heavy_work import HeavyWork
from pdp.decisions.recording import DecisionRecorder
from pdp.decisions.turns import MAX_WAITING
from pdp.detect.ner import open_engine
from pdp.detect.validators import VALIDATORS
from pdp.domain.decision import Decision
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.domain.tenant_settings import KIND as SETTINGS
from pdp.domain.tenant_settings import TenantSettings
from pdp.engine.compiler import compile_platform, compile_tenant, empty_snapshot
from pdp.engine.evaluate import begin, evaluate, finish
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.patterns import PatternDetector
from pdp.engine.work import (
    MAX_FINDS,
    MAX_LOCATED_BYTES,
    MAX_MATCHES,
    MAX_VALUES,
    WorkBudget,
)
from pdp.errors import RateLimited, WorkLimitExceeded
from pdp.transport.decision_observer import DecisionObserver
from pdp.transport.metrics import Metrics
from pdp.usage.meter import Meter
from tests.support.nodes import Policies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIMEOUT_S = 30


def decide(
    request: Request, *policies: StaticPolicy, failure_mode: Literal["closed", "open"] = "closed"
) -> Decision:
    own = PolicySet(
        {
            KIND: {policy.id: policy for policy in policies},
            SETTINGS: {"": TenantSettings(failure_mode=failure_mode)},
        }
    )
    snapshot = compile_tenant(compile_platform(PolicySet(), VALIDATORS), "acme", own, 1)
    return evaluate(snapshot, request, "d")


class TestBudget:
    @pytest.mark.parametrize(
        ("add", "bound"),
        [
            (lambda work, count: work.add_values(count), MAX_VALUES),
            (lambda work, count: work.add_finds(count), MAX_FINDS),
            (lambda work, count: work.add_located(count), MAX_LOCATED_BYTES),
            (lambda work, count: [work.add_match() for _ in range(count)], MAX_MATCHES),
        ],
        ids=["values", "finds", "located bytes", "matches"],
    )
    def test_each_bound(self, add: Callable[[WorkBudget, int], Any], bound: int) -> None:
        work = WorkBudget()
        add(work, bound)
        with pytest.raises(WorkLimitExceeded, match=str(bound)):
            add(work, 1)

    def test_findings_count_what_they_find(self) -> None:
        sets = (PatternSet().with_patterns(["a", "b"]),)
        findings = scan(sets, "ab" * 10, None, VALIDATORS)
        assert findings.cost == 40
        findings.all(PatternDetector("a"))
        findings.all(PatternDetector("b"))
        work = findings.work
        assert (work.finds, work.matches, work.located_bytes) == (20, 20, 40)


@pytest.mark.parametrize("failure_mode", ["closed", "open"])
@pytest.mark.parametrize(("count", "outcome"), [(MAX_VALUES, "ALLOW"), (MAX_VALUES + 1, "BLOCK")])
@pytest.mark.parametrize("place", ["arguments", "text"])
def test_too_many_values_are_a_block(
    place: str, count: int, outcome: str, failure_mode: Literal["closed", "open"]
) -> None:
    """A request just within the bound is read; one beyond it is blocked in every failure mode."""
    values = [7] * (count - 1 if place == "arguments" else count)
    request = Request(arguments={"a": values}) if place == "arguments" else Request()
    if place == "text":
        request = Request(text=json.dumps(values))
    policy = StaticPolicy("p", "Nothing", "custom", "nothing", "block")
    decision = decide(request, policy, failure_mode=failure_mode)
    assert decision.outcome.name == outcome
    if outcome == "BLOCK":
        assert (decision.reason_code, decision.incomplete) == ("WORK_LIMIT_EXCEEDED", True)
        assert decision.status_hint == 413
        (fault,) = decision.faults
        assert isinstance(fault.error, WorkLimitExceeded)
        assert fault.error.bound == f"values: {MAX_VALUES}"


def test_a_decision_in_two_parts_is_the_decision() -> None:
    snapshot = compile_tenant(compile_platform(PolicySet(), VALIDATORS), "acme", PolicySet(), 1)
    request = Request(text="hello")
    assert finish(begin(snapshot, request, "d")) == evaluate(snapshot, request, "d")


class TestHeavyWork:
    async def test_a_tenant_runs_one_at_a_time_and_others_run_beside_it(self) -> None:
        heavy = HeavyWork()
        release, started = threading.Event(), threading.Event()

        def block() -> str:
            started.set()
            assert release.wait(TIMEOUT_S)
            return "first"

        first = asyncio.create_task(heavy.run("loud", block))
        await asyncio.to_thread(started.wait, TIMEOUT_S)
        second = asyncio.create_task(heavy.run("loud", lambda: "second"))
        async with asyncio.timeout(TIMEOUT_S):
            assert await heavy.run("quiet", lambda: "other") == "other"
        assert not second.done()
        release.set()
        assert [await first, await second] == ["first", "second"]

    async def test_a_tenant_may_let_only_so_many_wait(self) -> None:
        heavy = HeavyWork()
        release = threading.Event()
        tasks = [
            asyncio.create_task(heavy.run("loud", release.wait, TIMEOUT_S))
            for _ in range(MAX_WAITING + 1)
        ]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited) as refusal:
            await heavy.run("loud", lambda: None)
        assert refusal.value.retry_after_s > 0
        assert await heavy.run("quiet", lambda: "other") == "other"
        release.set()
        await asyncio.gather(*tasks)
        assert await heavy.run("loud", lambda: "again") == "again"

    async def test_a_caller_that_goes_away_keeps_its_turn_until_the_thread_ends(self) -> None:
        heavy = HeavyWork()
        release, started, ended = threading.Event(), threading.Event(), threading.Event()

        def block() -> None:
            started.set()
            assert release.wait(TIMEOUT_S)
            ended.set()

        first = asyncio.create_task(heavy.run("loud", block))
        await asyncio.to_thread(started.wait, TIMEOUT_S)
        first.cancel()
        second = asyncio.create_task(heavy.run("loud", ended.is_set))
        await asyncio.sleep(0)
        release.set()
        assert await second is True
        with pytest.raises(asyncio.CancelledError):
            await first

    async def test_an_item_of_a_batch_is_refused_in_its_place(self, tmp_path: Path) -> None:
        """The items beside it are decided."""
        node = Policies(tmp_path / "pdp.db")
        meter = Meter()
        decider = Decider(
            PublishedPolicies(node.publisher, node.workspace),
            meter,
            open_engine(),
            DecisionRecorder(),
            DecisionObserver(Metrics()).observe,
        )
        release = threading.Event()
        heavy = decider.evaluator.heavy
        waiting = [
            asyncio.create_task(heavy.run("acme", release.wait, TIMEOUT_S))
            for _ in range(MAX_WAITING + 1)
        ]
        await asyncio.sleep(0)
        texts = ("small", "a " * LARGE_TEXT, "small")
        items = [BatchItem(Request(text=text, tenant_id="acme")) for text in texts]
        _, decisions = await Batches(decider).decide("acme", items)
        assert [(each.outcome.name, each.reason_code, each.status_hint) for each in decisions] == [
            ("ALLOW", "", 200),
            ("BLOCK", "RATE_LIMITED", 429),
            ("ALLOW", "", 200),
        ]
        assert decisions[1].incomplete
        release.set()
        await asyncio.gather(*waiting)
        node.close()

    async def test_an_error_ends_a_turn(self) -> None:
        heavy = HeavyWork()

        def fail() -> None:
            raise ValueError("no text")

        for _ in range(2):
            with pytest.raises(ValueError, match="no text"):
                await heavy.run("loud", fail)

    async def test_an_error_does_not_keep_what_was_worked_on(self) -> None:
        """Large messages would stay in memory until the collector runs."""

        class Body:
            """Stands for a large message."""

        heavy = HeavyWork(threads=1)

        def refuse(_body: Body) -> None:
            raise ValueError("too large")

        async def fail() -> weakref.ref[Body]:
            body = Body()
            with suppress(ValueError):
                await heavy.run("loud", refuse, body)
            return weakref.ref(body)

        gc.collect()
        gc.disable()
        try:
            kept = await fail()
            await heavy.run("loud", gc.isenabled)  # the thread has left the work before
            assert kept() is None
        finally:
            gc.enable()


class TestSlowTenants:
    """A tenant whose scans are slow is evaluated in threads, until a scan is fast again."""

    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return Evaluator()

    def in_thread(
        self, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, *scans_s: float
    ) -> bool:
        """Whether the evaluation after scans of these lengths runs in a thread."""
        snapshot = empty_snapshot(compile_platform(PolicySet(), {}), 1)
        request = Request(text="a quiet text", tenant_id="acme")
        for scan_s in scans_s:
            monkeypatch.setattr(evaluator_module, "perf_counter", lambda now=scan_s: now)
            assert isinstance(evaluator.evaluate(snapshot, request, 0, 0.0), Decision)
        result = evaluator.evaluate(snapshot, request, 0, 0.0)
        if isinstance(result, Decision):
            return False
        result.close()  # type: ignore[attr-defined] # it is a coroutine
        return True

    @pytest.mark.parametrize(
        ("scans_s", "in_thread"),
        [
            ((0.002, 0.002), True),
            ((0.002,), False),
            ((0.002, 0.0005, 0.002), False),
            ((0.001, 0.001), False),
        ],
        ids=["two slow ones", "one slow one", "a fast one between", "just fast enough"],
    )
    def test_two_slow_scans_in_a_row_make_a_tenant_slow(
        self,
        evaluator: Evaluator,
        monkeypatch: pytest.MonkeyPatch,
        scans_s: tuple[float, ...],
        in_thread: bool,
    ) -> None:
        """One may be slow because the processor was busy elsewhere."""
        assert self.in_thread(evaluator, monkeypatch, *scans_s) is in_thread
