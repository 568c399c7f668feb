"""Work on large messages, in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import threading

from pdp.transport.beside import LARGE, caller, run_beside

TIMEOUT_S = 30


async def beside(name: str, size: int, ran: list[str]) -> None:
    """Does work on a message of a caller: notes the caller."""
    caller.set(name)
    await run_beside(size, ran.append, name)


async def test_only_large_messages_need_a_thread() -> None:
    threads = [await run_beside(size, threading.get_ident) for size in (0, LARGE, LARGE + 1)]
    assert [each == threading.get_ident() for each in threads] == [True, True, False]


async def test_one_runs_at_a_time_and_callers_take_turns() -> None:
    release, started = threading.Event(), threading.Event()
    ran: list[str] = []

    def block() -> None:
        started.set()
        assert release.wait(TIMEOUT_S)

    blocking = asyncio.create_task(run_beside(LARGE + 1, block))
    await asyncio.to_thread(started.wait, TIMEOUT_S)
    names = ["loud", "loud", "loud", "quiet"]
    tasks = [asyncio.create_task(beside(name, LARGE + 1, ran)) for name in names]
    await beside("small", LARGE, ran)
    assert ran == ["small"]
    release.set()
    await asyncio.gather(blocking, *tasks)
    assert ran == ["small", "loud", "quiet", "loud", "loud"]
