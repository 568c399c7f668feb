"""Runs work that takes long in threads, fairly between tenants.

A tenant has at most one piece of such work running at a time; its others wait, up to a bound. So a
tenant with many heavy requests delays only itself.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from pdp.decisions.turns import TenantTurns

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 2
"""Evaluations that run at the same time. They share the interpreter: more are not faster."""


class HeavyWork:
    """Threads for work that takes long. All methods are called on one event loop."""

    def __init__(
        self, threads: int = THREADS, name: str = "pdp-evaluate", turns: TenantTurns | None = None
    ) -> None:
        """Starts no thread yet.

        Args:
            threads: how many pieces of work run at the same time.
            name: the name of the threads.
            turns: the turns of tenants; None for those of large requests.
        """
        self._threads = ThreadPoolExecutor(threads, name)
        self._slots = asyncio.Semaphore(threads)
        self._turns = turns or TenantTurns("large requests")

    async def run(
        self, tenant_id: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Calls a function in a thread when it is the tenant's turn; returns its result.

        If the caller goes away, a function that has started keeps the tenant's turn to its end.

        Raises:
            RateLimited: too much work of the tenant waits already.
        """
        async with self._turns.turn(tenant_id), self._slots:
            loop = asyncio.get_running_loop()
            return await _to_its_end(
                loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))
            )


async def _to_its_end(running: asyncio.Future[T]) -> T:
    """Waits for a thread; if cancelled, is cancelled only when the thread has finished."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
    finally:
        # If the function has failed, its error refers to this frame. With a reference back, what it
        # worked on would stay in memory until the collector runs.
        del running
