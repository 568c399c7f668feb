"""Runs evaluations that take long in threads, fairly between tenants.

A tenant has at most one such evaluation running at a time; its others wait, up to a bound. So a
tenant with many heavy requests delays only itself.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from pdp.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 2
"""Evaluations that run at the same time. They share the interpreter: more are not faster."""

MAX_WAITING: Final = 64
"""Evaluations of a tenant that may wait for its running one."""

RETRY_AFTER_S: Final = 1.0


class _Lane:
    """The evaluations of one tenant: one runs, the others wait in order."""

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.count = 0
        self.lock = asyncio.Lock()


class HeavyWork:
    """Threads for evaluations that take long. All methods are called on one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "pdp-evaluate")
        self._slots = asyncio.Semaphore(THREADS)
        self._lanes: dict[str, _Lane] = {}

    async def run(
        self, tenant_id: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Calls a function in a thread when it is the tenant's turn; returns its result.

        If the caller goes away, a function that has started keeps the tenant's turn to its end.

        Raises:
            RateLimited: `MAX_WAITING` evaluations of the tenant wait already.
        """
        lane = self._lanes.get(tenant_id)
        if lane is None:
            lane = self._lanes[tenant_id] = _Lane()
        if lane.count > MAX_WAITING:
            raise RateLimited(
                f"more than {MAX_WAITING} large requests of the tenant wait for their evaluation; "
                f"try again in {RETRY_AFTER_S:.0f} s",
                RETRY_AFTER_S,
            )
        lane.count += 1
        try:
            async with lane.lock, self._slots:
                loop = asyncio.get_running_loop()
                running = loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))
                return await _to_its_end(running)
        finally:
            lane.count -= 1
            if not lane.count:
                del self._lanes[tenant_id]


async def _to_its_end(running: asyncio.Future[T]) -> T:
    """Waits for a thread; if cancelled, is cancelled only when the thread has finished."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
