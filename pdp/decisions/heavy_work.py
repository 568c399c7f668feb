"""Runs evaluations that take long in threads, fairly between tenants.

A tenant has at most one such evaluation running at a time; its others wait, up to a bound. So a
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
    """Threads for evaluations that take long. All methods are called on one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "pdp-evaluate")
        self._slots = asyncio.Semaphore(THREADS)
        self._turns = TenantTurns("large requests")

    async def run(
        self, tenant_id: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Calls a function in a thread when it is the tenant's turn; returns its result.

        If the caller goes away, a function that has started keeps the tenant's turn to its end.

        Raises:
            RateLimited: too many evaluations of the tenant wait already.
        """
        async with self._turns.turn(tenant_id), self._slots:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))
            return await _to_its_end(running)


async def _to_its_end(running: asyncio.Future[T]) -> T:
    """Waits for a thread; if cancelled, is cancelled only when the thread has finished."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
