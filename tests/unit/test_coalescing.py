"""Calls that arrive close together are evaluated together (docs/architecture.md)."""

from __future__ import annotations

import asyncio

from pdp.transport.coalescing import (
    IDLE_ROUNDS,
    LONE_BATCHES,
    MAX_CALLS,
    MAX_WAIT_S,
    UNDELAYED_CALLS,
    Coalescer,
)


class Rounds:
    """Counts the rounds of the event loop, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.round = 0
        self._limit = limit
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.round += 1
        if self.round < self._limit:
            asyncio.get_running_loop().call_soon(self._next)


async def _start_rounds(
    arrivals: list[int], cancel: frozenset[int] = frozenset(), round_s: float = 0.0
) -> dict[int, int]:
    """Returns the round in which each call starts, by its index, if it has not been cancelled.

    Args:
        arrivals: the round in which each call arrives.
        cancel: the indexes of calls to cancel.
        round_s: how long a round takes.
    """
    rounds, starts = Rounds(100), dict[int, int]()
    coalescer = Coalescer(lambda: rounds.round * round_s)

    async def call(index: int, arrival: int) -> None:
        for _ in range(arrival):
            await asyncio.sleep(0)
        await coalescer.join_batch()
        starts[index] = rounds.round

    tasks = [asyncio.create_task(call(index, arrival)) for index, arrival in enumerate(arrivals)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for index in cancel:
        tasks[index].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return starts


async def test_a_single_call_waits_for_a_few_rounds_only() -> None:
    (start,) = (await _start_rounds([0])).values()
    assert IDLE_ROUNDS <= start <= IDLE_ROUNDS + 3


async def test_calls_of_adjacent_rounds_form_one_batch() -> None:
    assert len(set((await _start_rounds([0, 1, 3, 6])).values())) == 1


async def test_a_later_call_is_in_the_next_batch() -> None:
    starts = await _start_rounds([0, IDLE_ROUNDS * 3])
    assert starts[1] >= starts[0] + IDLE_ROUNDS


async def test_a_full_batch_does_not_wait() -> None:
    starts = await _start_rounds([0] * MAX_CALLS)
    assert set(starts.values()) <= {1, 2, 3}


async def test_a_steady_stream_of_calls_does_not_delay_the_first() -> None:
    starts = await _start_rounds(list(range(3 * MAX_CALLS)))
    assert starts[0] <= MAX_CALLS + 3
    assert sorted(starts) == list(range(3 * MAX_CALLS))


async def test_a_call_waits_for_few_rounds_if_they_are_long() -> None:
    # A request of a thousand items is evaluated in rounds of milliseconds, between other calls.
    (start,) = (await _start_rounds([0], round_s=MAX_WAIT_S)).values()
    assert start <= 3


async def test_a_cancelled_call_does_not_delay_others() -> None:
    starts = await _start_rounds([0, 0, 1], cancel=frozenset({0}))
    assert sorted(starts) == [1, 2]


async def test_a_batch_is_evaluated_before_any_response_is_sent() -> None:
    # Like the gRPC server: evaluate, let the rest of the batch be evaluated, send the response.
    coalescer, events = Coalescer(), list[str]()

    async def call(name: str) -> None:
        await coalescer.join_batch()
        events.append(f"{name} evaluated")
        await asyncio.sleep(0)
        events.append(f"{name} sent")

    await asyncio.gather(call("a"), call("b"))
    assert events == ["a evaluated", "b evaluated", "a sent", "b sent"]


async def _waits(coalescer: Coalescer, calls: int) -> list[bool]:
    """Sends calls one after the other; returns which of them had to wait."""
    waits = list[bool]()
    for _ in range(calls):
        waiter = coalescer.join_batch()
        waits.append(not waiter.done())
        await waiter
    return waits


async def test_calls_that_come_one_at_a_time_do_not_wait() -> None:
    waits = await _waits(Coalescer(), LONE_BATCHES + 3 * (UNDELAYED_CALLS + 1))
    undelayed = [False] * UNDELAYED_CALLS
    assert waits == [True] * LONE_BATCHES + 3 * [*undelayed, True]


async def test_calls_wait_again_when_they_come_together() -> None:
    coalescer = Coalescer()
    await _waits(coalescer, LONE_BATCHES)
    together = [coalescer.join_batch() for _ in range(UNDELAYED_CALLS + 2)]
    assert [each.done() for each in together] == [True] * UNDELAYED_CALLS + [False, False]
    await asyncio.gather(*together)
    assert await _waits(coalescer, LONE_BATCHES) == [True] * LONE_BATCHES


async def test_a_call_does_not_overtake_those_that_wait() -> None:
    coalescer = Coalescer()
    await _waits(coalescer, LONE_BATCHES + UNDELAYED_CALLS)
    first = coalescer.join_batch()
    assert not first.done()
    assert not coalescer.join_batch().done()
    await first
