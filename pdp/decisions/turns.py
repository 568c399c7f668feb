"""Turns: a tenant does one piece of work at a time, and others of its own wait, up to a bound.

So a tenant with much work delays only itself.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pdp.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_WAITING: Final = 64
"""Pieces of work of a tenant that may wait for its running one."""

RETRY_AFTER_S: Final = 1.0


class _Lane:
    """The work of one tenant: one piece runs, the others wait in order."""

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.count = 0
        self.lock = asyncio.Lock()


class TenantTurns:
    """Turns for work of one kind. All methods are called on one event loop."""

    def __init__(self, work: str, most_waiting: int | None = MAX_WAITING) -> None:
        """No tenant has work yet.

        Args:
            work: the plural name of the work, for errors.
            most_waiting: how many pieces of a tenant's work may wait; None for any number.
        """
        self._work = work
        self._most_waiting = most_waiting
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def turn(self, tenant_id: str) -> AsyncIterator[None]:
        """Waits for the tenant's turn, and holds it until the context ends.

        Raises:
            RateLimited: too many pieces of the tenant's work wait already.
        """
        lane = self._lanes.get(tenant_id)
        if lane is None:
            lane = self._lanes[tenant_id] = _Lane()
        most = self._most_waiting
        if most is not None and lane.count > most:
            raise RateLimited(
                f"more than {most} {self._work} of the tenant wait for their evaluation; "
                f"try again in {RETRY_AFTER_S:.0f} s",
                RETRY_AFTER_S,
            )
        lane.count += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.count -= 1
            if not lane.count:
                del self._lanes[tenant_id]
