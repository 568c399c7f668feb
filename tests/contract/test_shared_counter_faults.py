"""Faults of the server of shared counters: decisions go on, and each request is counted once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demo.ports import free_port
from pdp.domain.decision import Outcome
from pdp.domain.request import Request, Subject
from pdp.errors import ConfigError, StoreUnavailable
from pdp.usage.shared import local_counters, shared_counters
from tests.support.counter_servers import CounterProcess, counter_server
from tests.support.meters import snapshot_of, user
from tests.support.shared_meters import charge, decide_shared, shared_meter, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from pdp.usage.shared.shared_meter import SharedMeter

BUDGET_S = 0.05
LIMITED = snapshot_of(user(daily_request_limit=5))
ASKING = Request(subject=Subject("u"), explain=True)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets replicas try again soon, however often they have failed."""
    monkeypatch.setattr(shared_counters, "MAX_PAUSE_S", 0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CounterProcess]:
    """A server for one test."""
    with counter_server(tmp_path / "counters") as running:
        yield running


async def used(meter: SharedMeter) -> int:
    """Returns how many requests of today the server has counted for the user `u`."""
    limits = snapshot_of(user()).limits
    assert limits is not None
    spent = await meter.spent("acme", tuple(limits.users.values()))
    return spent.by_limit["own"].day.requests


async def used_in_the_end(meter: SharedMeter) -> int:
    """Returns `used` when everything was reported, although connections still break."""
    while True:
        await back(meter)
        with suppress(StoreUnavailable):
            return await used(meter)


async def why_alone(meter: SharedMeter) -> str:
    """Decides a request; returns what its trace says of counting alone, empty if nothing."""
    decision = await decide_shared(meter, LIMITED, ASKING)
    reasons = [row.reason for row in decision.trace if row.reason.startswith("counted by")]
    return reasons[0] if reasons else ""


async def back(meter: SharedMeter) -> None:
    """Waits until the server is asked again, and has the whole report."""
    await wait_for(lambda: meter.counters.ready and not meter.unwritten, "the server is used again")


async def test_a_killed_server_learns_what_passed_without_it(server: CounterProcess) -> None:
    async with shared_meter(server) as one, shared_meter(server) as two:
        assert (await decide_shared(one, LIMITED)).allowed
        server.kill()
        await wait_for(lambda: not one.counters.ready and not two.counters.ready, "it is noticed")
        # The first replica goes on from the last answer: one of five is used.
        alone = [(await decide_shared(one, LIMITED)).allowed for _ in range(6)]
        assert alone == [True] * 4 + [False] * 2
        assert (await decide_shared(two, LIMITED)).allowed
        assert "the shared counters" in await why_alone(one)
        server.start()
        await back(one)
        await back(two)
        # It came back empty, and has what was reported: four and one. The first one is forgotten.
        assert await used(one) == await used(two) == 5
        assert not (await decide_shared(two, LIMITED)).allowed
        assert one.counters.losses == 1


async def test_a_stopped_server_costs_one_budget_and_each_request_is_counted_once(
    server: CounterProcess,
) -> None:
    async with shared_meter(server, budget_s=BUDGET_S) as meter:
        assert await why_alone(meter) == ""
        server.pause()
        assert "did not answer within 50 ms" in await why_alone(meter)
        assert not meter.counters.ready
        timeouts = meter.counters.timeouts
        # No decision waits any more: each charge is there at once.
        assert isinstance(meter.charge(LIMITED, ASKING), tuple)
        assert meter.counters.timeouts == timeouts
        server.resume()
        await back(meter)
        # The call that was under way has been charged late, and is taken back.
        assert await used(meter) == 3
        assert await why_alone(meter) == ""


async def test_calls_that_were_under_way_run_once_at_most(server: CounterProcess) -> None:
    """A server that was stopped has their text, but their connection is gone."""
    async with shared_meter(server, budget_s=BUDGET_S) as meter:
        assert (await decide_shared(meter, LIMITED)).allowed
        server.pause()
        assert (await decide_shared(meter, LIMITED)).allowed
        # Until the replica has given the connection up, and made another.
        await wait_for(lambda: meter.counters.losses, "the connection is given up")
        server.resume()
        await back(meter)
        assert await used(meter) == 2


async def test_connections_that_break_at_any_time_count_each_request_once(
    server: CounterProcess,
) -> None:
    snapshot = snapshot_of(user(daily_request_limit=10_000))
    async with shared_meter(server) as one, shared_meter(server) as two:
        with server.admin() as admin:
            passed = 0
            for turns in range(15):
                deciding = [
                    asyncio.create_task(decide_shared(meter, snapshot))
                    for _ in range(20)
                    for meter in (one, two)
                ]
                for _ in range(turns):  # the more turns, the further the calls have come
                    await asyncio.sleep(0)
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                passed += sum([(await each).allowed for each in deciding])
                await used_in_the_end(one)
                await used_in_the_end(two)
        assert await used(one) == passed == 15 * 40
        assert one.counters.losses > 1


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["one", "two", "cut", "stopped"]), max_size=30))
def test_after_any_faults_the_server_has_counted_what_passed(
    server: CounterProcess, steps: list[str]
) -> None:
    """Two replicas decide; connections are cut; other layers stop requests."""

    def stop(decision: Any) -> Any:
        return decision._replace(outcome=Outcome.BLOCK, counted=False)

    async def run() -> None:
        counted = 0
        snapshot = snapshot_of(user(daily_request_limit=8))
        async with shared_meter(server) as one, shared_meter(server) as two:
            with server.admin() as admin:
                admin.flushdb()
                for step in steps:
                    if step == "cut":
                        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                    elif step == "stopped":
                        await decide_shared(one, snapshot, None, stop)
                    else:
                        meter = one if step == "one" else two
                        counted += (await decide_shared(meter, snapshot)).allowed
            await used_in_the_end(two)
            assert await used_in_the_end(one) == counted
            assert counted <= 2 * 8  # each replica alone keeps the bound

    asyncio.run(run())


async def test_a_server_that_is_not_there_at_the_start_is_used_later(tmp_path: Path) -> None:
    server = CounterProcess(tmp_path / "counters")
    try:
        async with shared_meter(server) as meter:
            assert "cannot be reached" in await why_alone(meter)
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await used(meter)
            server.start()
            await back(meter)
            assert await used(meter) == 1
            assert await why_alone(meter) == ""
    finally:
        server.kill()


@pytest.mark.parametrize("fault", ["OutOfMemory", "ReadOnly"])
async def test_a_server_that_cannot_write_is_not_asked_until_it_can(
    server: CounterProcess, fault: str
) -> None:
    async with shared_meter(server) as meter:
        with server.admin() as admin:
            if fault == "OutOfMemory":
                admin.config_set("maxmemory", "1")
            else:
                admin.replicaof("127.0.0.1", str(free_port()))
            assert fault in await why_alone(meter)
            assert not meter.counters.ready
            assert (await decide_shared(meter, LIMITED)).allowed
            if fault == "OutOfMemory":
                admin.config_set("maxmemory", "0")
            else:
                admin.replicaof("NO", "ONE")
        await back(meter)
        assert await used(meter) == 2
        assert meter.counters.refusals


@asynccontextmanager
async def proxy(port: int, delay_s: float) -> AsyncIterator[int]:
    """Yields the port of a proxy that delays answers."""
    tasks: set[asyncio.Task[Any]] = set()

    async def pump(reader: Any, writer: Any, delay: float) -> None:
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(delay)
                writer.write(data)
        finally:
            writer.close()

    async def serve(reader: Any, writer: Any) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        both = (pump(reader, there_writer, 0), pump(there_reader, writer, delay_s))
        tasks.update(map(asyncio.create_task, both))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_network_is_asked_only_by_probes(server: CounterProcess) -> None:
    async with (
        proxy(server.port, 4 * BUDGET_S) as port,
        shared_meter(f"valkey://127.0.0.1:{port}", budget_s=BUDGET_S) as meter,
        shared_meter(server) as other,
    ):
        assert not meter.counters.ready  # the first probe took too long
        decisions = [await decide_shared(meter, LIMITED) for _ in range(6)]
        assert [each.allowed for each in decisions] == [True] * 5 + [False]
        # It has no decision to wait for, but reports what it has counted.
        await wait_for(lambda: not meter.unwritten, "the report has arrived")
        assert await used(other) == 5
        assert not (await decide_shared(other, LIMITED)).allowed


async def test_answers_of_something_else_are_no_answers() -> None:
    async def serve(reader: Any, writer: Any) -> None:
        with closing(writer), suppress(ConnectionError, asyncio.CancelledError):
            while await reader.read(65536):  # until the client ends the connection
                writer.write(b"+OK\r\n" * 9 + b"HTTP/1.1 200 OK\r\n\r\n")

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        url = f"valkey://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with shared_meter(url) as meter:
            assert not meter.counters.ready
            assert (await decide_shared(meter, LIMITED)).allowed


async def test_a_wrong_password_ends_the_start(server: CounterProcess) -> None:
    with server.admin() as admin:
        admin.config_set("requirepass", "right")
    url = f"valkey://:wrong@127.0.0.1:{server.port}"
    with pytest.raises(ConfigError, match=r"PDP_LIMITS_URL: .*refuses the user") as caught:
        async with shared_meter(url):
            pass
    assert "wrong" not in caught.value.message
    async with shared_meter(f"valkey://:right@127.0.0.1:{server.port}") as meter:
        assert meter.counters.ready


async def test_subjects_beyond_the_bound_cannot_be_counted_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_counters, "MAX_SUBJECTS", 1)
    other = snapshot_of(user(), user_named("v"))
    async with shared_meter(CounterProcess(tmp_path)) as meter:
        assert (await decide_shared(meter, other)).allowed
        refused = await decide_shared(meter, other, Request(subject=Subject("v")))
        assert (refused.outcome, refused.incomplete) == (Outcome.BLOCK, True)


def user_named(name: str) -> Any:
    """Returns a limit of another user."""
    limit = user()
    return type(limit)(name, "user", name)


async def test_a_caller_that_goes_away_stays_charged(server: CounterProcess) -> None:
    async with shared_meter(server) as meter:
        deciding = asyncio.create_task(charge(meter, LIMITED, ASKING))
        await asyncio.sleep(0)
        deciding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deciding
        assert await used(meter) == 1
