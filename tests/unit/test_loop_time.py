"""Long work shares the event loop, in slices and in turns."""

from __future__ import annotations

import asyncio

import pytest

from pdp.decisions import loop_time
from pdp.decisions.loop_time import MAX_HOLD_S, LoopTime
from pdp.decisions.turns import MAX_WAITING, TenantTurns
from pdp.errors import RateLimited


class TestSlices:
    @pytest.mark.parametrize(("share", "over"), [(0.9, False), (1.1, True)])
    async def test_a_slice_ends(
        self, monkeypatch: pytest.MonkeyPatch, share: float, over: bool
    ) -> None:
        now = 100.0
        monkeypatch.setattr(loop_time, "perf_counter", lambda: now)
        with LoopTime().share() as slices:
            now += share * MAX_HOLD_S
            assert slices.are_over() is over
            await slices.next()
            assert not slices.are_over()

    async def test_works_at_the_same_time_share_a_slice(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        monkeypatch.setattr(loop_time, "perf_counter", lambda: now)
        shared = LoopTime()
        with shared.share() as slices:
            with shared.share():
                now += 0.6 * MAX_HOLD_S
                assert slices.are_over()
            assert not slices.are_over()

    async def test_others_run_between_two_slices(self) -> None:
        ran = asyncio.get_running_loop().create_future()
        with LoopTime().share() as slices:
            asyncio.get_running_loop().call_soon(ran.set_result, True)
            assert not ran.done()
            await slices.next()
        assert ran.done()


class TestTurns:
    async def test_a_tenant_has_one_turn_at_a_time_and_others_do_not_wait(self) -> None:
        turns = TenantTurns("batches")
        order: list[str] = []

        async def work(name: str, tenant_id: str, goes_on: asyncio.Event) -> None:
            async with turns.turn(tenant_id):
                order.append(name)
                await goes_on.wait()

        held, free = asyncio.Event(), asyncio.Event()
        free.set()
        first = asyncio.create_task(work("first", "loud", held))
        second = asyncio.create_task(work("second", "loud", free))
        await asyncio.sleep(0)
        await work("other", "quiet", free)
        assert order == ["first", "other"]
        held.set()
        await asyncio.gather(first, second)
        assert order == ["first", "other", "second"]

    async def test_so_many_may_wait_and_no_more(self) -> None:
        turns = TenantTurns("batches")
        held = asyncio.Event()

        async def work() -> None:
            async with turns.turn("loud"):
                await held.wait()

        waiting = [asyncio.create_task(work()) for _ in range(MAX_WAITING + 1)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited, match="more than 64 batches of the tenant wait"):
            await work()
        held.set()
        await asyncio.gather(*waiting)
        await work()  # there is room again
