"""Meters of replicas that count together, on a real server, with a clock that tests set."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.request import Request, Subject, Usage
from pdp.engine.evaluate import evaluate
from pdp.usage.shared.address import parse_server
from pdp.usage.shared.script import SOURCE, Script
from pdp.usage.shared.shared_meter import SharedCharge, SharedMeter
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pdp.domain.decision import Decision
    from pdp.engine.snapshot import Snapshot
    from tests.support.counter_servers import CounterProcess

CLOCK_KEY: Final = "clock of the test"
OWN_CLOCK: Final = "redis.call('TIME')"
TEST_CLOCK: Final = Script.of(
    SOURCE.replace(OWN_CLOCK, f"redis.call('HMGET', '{CLOCK_KEY}', 'seconds', 'micros')")
)
"""The script, with a clock that `set_clock` sets."""


def set_clock(client: Any, now: float) -> None:
    """Sets the clock of `TEST_CLOCK`."""
    micros = round(now * 1_000_000)
    client.hset(CLOCK_KEY, mapping={"seconds": micros // 1_000_000, "micros": micros % 1_000_000})


@asynccontextmanager
async def shared_meter(
    server: CounterProcess | str, script: Script | None = None, budget_s: float = TIMEOUT_S
) -> AsyncIterator[SharedMeter]:
    """Yields the meter of a replica, which keeps its connection.

    Args:
        server: the server, or its URL.
        script: the script; None for the one that ships.
        budget_s: how long a charge waits.
    """
    url = server if isinstance(server, str) else server.url
    meter = SharedMeter(parse_server(url), budget_s, script)
    await meter.counters.start()
    keeping = asyncio.create_task(meter.counters.run())
    try:
        yield meter
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await meter.counters.close()


async def charge(meter: SharedMeter, snapshot: Snapshot, request: Request) -> SharedCharge | None:
    """Charges a request, and waits for the answer."""
    charged = meter.charge(snapshot, request)
    return charged if charged is None or isinstance(charged, SharedCharge) else await charged


async def decide_shared(
    meter: SharedMeter,
    snapshot: Snapshot,
    request: Request | None = None,
    change: Callable[[Decision], Decision] = lambda decision: decision,
    **usage: float,
) -> Decision:
    """Decides a request of the user `u`, and settles its charge.

    Args:
        meter: the replica's.
        snapshot: the policies.
        request: the request; None for one of the user `u`.
        change: what other layers make of the decision.
        **usage: of the request, if there is none.
    """
    request = request or Request(subject=Subject("u"), usage=Usage(**usage))  # type: ignore[arg-type]
    charged = await charge(meter, snapshot, request)
    decision = change(evaluate(snapshot, charged.request if charged else request, "d"))
    if charged is not None:
        meter.settle(charged, decision)
    return decision


async def wait_for(condition: Callable[[], object], what: str) -> None:
    """Waits until a condition is true; see `tests.support.waiting.wait_until`."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not true in time: {what}"
        await asyncio.sleep(0.002)
