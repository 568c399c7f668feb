"""Calls that come close together are judged together (docs/architecture.md, Turns)."""

from __future__ import annotations

import asyncio

from pdp.transport.coalescing import LONGEST_S, MOST, QUIET_ROUNDS, Coalescer


class Rounds:
    """Counts the rounds of the event loop, as long as it is asked to."""

    def __init__(self, upto: int) -> None:
        self.round = 0
        self._upto = upto
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.round += 1
        if self.round < self._upto:
            asyncio.get_running_loop().call_soon(self._next)


async def _begun(
    waits: list[int], cancel: frozenset[int] = frozenset(), round_s: float = 0.0
) -> dict[int, int]:
    """Returns the round in which each call has its turn, by the rounds in which the calls come."""
    rounds, begun = Rounds(100), dict[int, int]()
    turns = Coalescer(lambda: rounds.round * round_s)

    async def call(index: int, comes: int) -> None:
        for _ in range(comes):
            await asyncio.sleep(0)
        await turns.mine()
        begun[index] = rounds.round

    tasks = [asyncio.create_task(call(index, comes)) for index, comes in enumerate(waits)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for index in cancel:
        tasks[index].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return begun


async def test_a_lone_call_waits_for_a_few_rounds_and_no_longer() -> None:
    (began,) = (await _begun([0])).values()
    assert QUIET_ROUNDS <= began <= QUIET_ROUNDS + 3


async def test_calls_of_neighbouring_rounds_have_one_turn() -> None:
    assert len(set((await _begun([0, 1, 3, 6])).values())) == 1


async def test_a_call_that_comes_later_has_the_next_turn() -> None:
    begun = await _begun([0, QUIET_ROUNDS * 3])
    assert begun[1] >= begun[0] + QUIET_ROUNDS


async def test_a_full_turn_waits_for_nobody() -> None:
    begun = await _begun([0] * MOST)
    assert set(begun.values()) <= {1, 2, 3}


async def test_calls_that_keep_coming_do_not_keep_the_first_waiting() -> None:
    begun = await _begun(list(range(3 * MOST)))
    assert begun[0] <= MOST + 3
    assert sorted(begun) == list(range(3 * MOST))


async def test_where_rounds_are_long_few_of_them_are_waited_for() -> None:
    # A batch of a thousand items is judged in rounds of milliseconds, with others between them.
    (began,) = (await _begun([0], round_s=LONGEST_S)).values()
    assert began <= 3


async def test_a_call_that_is_cancelled_holds_up_no_other() -> None:
    begun = await _begun([0, 0, 1], cancel=frozenset({0}))
    assert sorted(begun) == [1, 2]


async def test_calls_are_judged_before_any_of_their_answers_is_sent() -> None:
    # As the gRPC adapter does it: judge, let the others of the turn be judged, answer.
    turns, told = Coalescer(), list[str]()

    async def call(name: str) -> None:
        await turns.mine()
        told.append(f"{name} judged")
        await asyncio.sleep(0)
        told.append(f"{name} sent")

    await asyncio.gather(call("a"), call("b"))
    assert told == ["a judged", "b judged", "a sent", "b sent"]
