"""The shared counters of a server, from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pdp.usage.shared.address import parse_server
from pdp.usage.shared.shared_meter import SharedMeter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.limits import ActiveLimit
    from pdp.domain.usage import UsageSnapshot

_log = structlog.get_logger("pdp.limits")


class SharedMetering:
    """Implements `Metering` by counters that all replicas share.

    Attributes:
        meter: what the decider calls.
    """

    def __init__(self, url: str, budget_s: float) -> None:
        """Takes what to connect to; `start` connects.

        Args:
            url: the server of the counters.
            budget_s: how long a decision waits for it.

        Raises:
            ConfigError: the URL cannot be used.
        """
        self.meter = SharedMeter(parse_server(url), budget_s)

    @property
    def unwritten(self) -> int:
        """See `Metering`."""
        return self.meter.unwritten

    async def start(self) -> None:
        """Connects; see `SharedCounters.start`."""
        await self.meter.counters.start()

    async def run(self) -> None:
        """Keeps the connection, until cancelled."""
        await self.meter.counters.run()

    async def spent(
        self,
        tenant_id: str,
        limits: Sequence[ActiveLimit],
        *,
        refresh: bool,
    ) -> UsageSnapshot:
        """See `Metering`."""
        return await self.meter.spent(tenant_id, limits)

    async def close(self) -> None:
        """Reports what was counted by this process alone. If that fails, logs it and drops it."""
        await self.meter.counters.close()
        if self.unwritten:
            _log.error("counters of limits are lost", counters=self.unwritten)
