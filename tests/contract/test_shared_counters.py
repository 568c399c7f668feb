"""The script of shared counters on a real server: windows, keys, and what it refuses to touch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.ports import free_port
from pdp.domain.decision import Outcome
from pdp.domain.limits import Limit
from pdp.domain.request import Request, Subject, Usage
from pdp.domain.usage import MAX_COUNT, Calendar, CounterId, Counts
from pdp.usage.shared.script import COUNT, SOURCE, CallInput, Script, decode_result
from tests.support.counter_servers import CounterProcess, counter_server
from tests.support.meters import NOON, at, snapshot_of, user
from tests.support.servers import TIMEOUT_S
from tests.support.shared_meters import (
    TEST_CLOCK,
    charge,
    decide_shared,
    set_clock,
    shared_meter,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pdp.domain.decision import Decision
    from pdp.usage.shared.script import CountResult
    from pdp.usage.shared.shared_meter import SharedMeter

KEY = "pdp:limits:{acme}:user:u"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CounterProcess]:
    """A server for all tests of this module."""
    with counter_server(tmp_path_factory.mktemp("counters")) as server:
        yield server


@pytest.fixture
def client(running: CounterProcess) -> Iterator[Any]:
    """A client of the empty server, whose clock of the test is at noon."""
    with running.admin() as admin:
        admin.flushall()
        admin.script_flush()
        set_clock(admin, NOON)
        yield admin


def count(client: Any, additions: Mapping[CounterId, Counts]) -> CountResult:
    """Adds counts, and returns the usage of the user `u` of the tenant `acme`."""
    content = CallInput("acme", "replica")
    content.add(additions)
    content.charge(snapshot_of(user()).limits.users.values(), Counts())  # type: ignore[union-attr]
    keys = content.keys
    arguments = (COUNT, 1, 1, 1, content.encode())
    return decode_result(client.eval(TEST_CLOCK.source, len(keys), *keys, *arguments))


def counter(window: str, start: float) -> CounterId:
    """The counter of a window of the user `u`."""
    return CounterId("acme", "user", "u", window, int(start))


def no_other(decision: Decision) -> Decision:
    """Another layer stops the request."""
    return decision._replace(outcome=Outcome.CANCEL)


async def used(meter: SharedMeter) -> tuple[Counts, Counts, Counts]:
    """Returns what the user `u` has used."""
    limits = snapshot_of(user()).limits
    assert limits is not None
    usage = (await meter.spent("acme", tuple(limits.users.values()))).by_limit["own"]
    return usage.minute, usage.day, usage.month


class TestWindows:
    @settings(deadline=None, max_examples=300)
    @given(st.integers(0, 4_102_444_800))
    def test_days_and_months_are_those_of_the_calendar(
        self, running: CounterProcess, now: int
    ) -> None:
        with running.admin() as client:
            client.flushall()
            set_clock(client, now)
            count(client, {counter("day", now): Counts(1)})
            second, day, month, *_ = msgspec.msgpack.decode(client.get(KEY))
        calendar = Calendar.of(now)
        assert (second, day, month) == (now, calendar.day_start, calendar.month_start)

    def test_keys_expire_a_little_after_their_month(self, client: Any) -> None:
        set_clock(client, at("2026-02-14"))
        count(client, {counter("month", at("2026-02-01")): Counts(1)})
        left: Any = client.ttl(KEY)
        assert at("2026-02-14") + left - at("2026-03-01") == 5 * 86_400  # 33 days of February
        assert all(client.ttl(key) > 0 for key in client.keys("pdp:*"))

    async def test_the_clock_is_that_of_the_server(self, client: Any) -> None:
        """A replica whose own clock is wrong counts in the same windows as the others."""
        with_port = client.connection_pool.connection_kwargs["port"]
        async with shared_meter(f"redis://127.0.0.1:{with_port}") as meter:
            charged = await charge(meter, snapshot_of(user()), Request(subject=Subject("u")))
        seconds, micros = client.time()
        assert charged is not None
        assert abs(charged.at - seconds - micros / 1e6) < TIMEOUT_S

    async def test_a_clock_that_is_set_back_empties_no_window(
        self, running: CounterProcess, client: Any
    ) -> None:
        set_clock(client, at("2026-02-15T00:00:01"))
        snapshot = snapshot_of(user(daily_request_limit=1))
        async with shared_meter(running, TEST_CLOCK) as meter:
            assert (await decide_shared(meter, snapshot)).allowed
            set_clock(client, at("2026-02-14T23:59:59"))
            assert not (await decide_shared(meter, snapshot)).allowed

    def test_additions_to_windows_that_are_over_change_nothing(self, client: Any) -> None:
        additions = {
            counter("second", NOON - 61): Counts(1),
            counter("day", at("2026-02-13")): Counts(1, 1, 1),
            counter("month", at("2026-01-01")): Counts(1, 1, 1),
        }
        ((_, (row,)),) = count(client, additions).charges
        assert isinstance(row, tuple)
        assert row[:7] == (0, 0, 0, 0, 0, 0, 0)

    def test_additions_of_a_clock_that_is_ahead_are_those_of_now(self, client: Any) -> None:
        additions = {
            counter("second", NOON + 600): Counts(1),
            counter("day", at("2026-02-15")): Counts(2, 3, 4),
            counter("month", at("2026-03-01")): Counts(5, 6, 7),
        }
        ((_, (row,)),) = count(client, additions).charges
        assert isinstance(row, tuple)
        assert row[:7] == (1, 2, 3, 4, 5, 6, 7)

    @pytest.mark.parametrize(
        ("added", "total"), [(MAX_COUNT, MAX_COUNT), (-MAX_COUNT, 0), (10**15 + 1, 10**15 + 1)]
    )
    def test_a_total_is_exact_and_within_the_numbers_of_json(
        self, client: Any, added: int, total: int
    ) -> None:
        day = counter("day", at("2026-02-14"))
        for _ in range(2 if abs(added) == MAX_COUNT else 1):
            ((_, (row,)),) = count(client, {day: Counts(added, added, added)}).charges
        assert isinstance(row, tuple)
        assert row[1:4] == (total, total, total)


class TestCharges:
    async def test_a_refused_request_takes_nothing_of_any_subject(
        self, running: CounterProcess, client: Any
    ) -> None:
        group = Limit("g", "group", "g", daily_request_limit=1)
        snapshot = snapshot_of(user(daily_request_limit=5), group)
        request = Request(subject=Subject("u", ("g",)))
        async with shared_meter(running, TEST_CLOCK) as meter:
            first = await decide_shared(meter, snapshot, request)
            second = await decide_shared(meter, snapshot, request)
            assert (first.allowed, second.allowed) == (True, False)
            assert (await used(meter))[1] == Counts(1)

    async def test_what_another_layer_stops_uses_no_tokens_and_the_next_request_sees_that(
        self, running: CounterProcess, client: Any
    ) -> None:
        snapshot = snapshot_of(user(daily_token_limit=10))
        async with shared_meter(running, TEST_CLOCK) as meter:
            stopped = await decide_shared(meter, snapshot, None, no_other, tokens=10)
            assert stopped.outcome is Outcome.CANCEL
            assert (await decide_shared(meter, snapshot, tokens=10)).allowed
            assert (await used(meter))[1] == Counts(2, 10)

    async def test_many_requests_are_charged_in_one_call_and_in_order(
        self, running: CounterProcess, client: Any
    ) -> None:
        snapshot = snapshot_of(user(daily_token_limit=10))
        requests = [
            Request(subject=Subject(name), usage=Usage(tokens))
            for name, tokens in [("u", 4), ("u", 4), ("other", 9), ("u", 4), ("u", 2), ("u", 1)]
        ]
        async with shared_meter(running, TEST_CLOCK) as meter:
            client.config_resetstat()
            charges = await meter.charge_all(snapshot, requests)
            calls: Any = client.info("commandstats")
        taken = [None if each is None else bool(each.counts.requests) for each in charges]
        assert taken == [True, True, None, False, True, False]
        assert calls["cmdstat_evalsha"]["calls"] == 1

    async def test_reading_takes_nothing_and_writes_nothing(
        self, running: CounterProcess, client: Any
    ) -> None:
        snapshot = snapshot_of(user(daily_request_limit=1))
        async with shared_meter(running, TEST_CLOCK) as meter:
            before = client.keys("pdp:limits:{acme}*")
            for _ in range(3):
                reading = meter.with_usage(snapshot, Request(subject=Subject("u")))
                request = reading if isinstance(reading, Request) else await reading
                assert request.usage_snapshot is not None
                assert not request.usage_snapshot.alone
            assert client.keys("pdp:limits:{acme}*") == before == []

    async def test_tenants_and_scopes_are_counted_apart(
        self, running: CounterProcess, client: Any
    ) -> None:
        async with shared_meter(running, TEST_CLOCK) as meter:
            await decide_shared(meter, snapshot_of(user()))
            group = Limit("g", "group", "u")
            await decide_shared(meter, snapshot_of(group), Request(subject=Subject("", ("u",))))
        keys: Any = client.keys("pdp:limits:{acme}:[gu]*")
        assert sorted(keys) == [b"pdp:limits:{acme}:group:u", KEY.encode()]


class TestScripts:
    async def test_flushed_scripts_are_sent_again(
        self, running: CounterProcess, client: Any
    ) -> None:
        snapshot = snapshot_of(user(daily_request_limit=9))
        async with shared_meter(running) as meter:
            client.script_flush()
            charged = await charge(meter, snapshot, Request(subject=Subject("u")))
            assert charged is not None
            assert charged.request.usage_snapshot is not None
            assert not charged.request.usage_snapshot.alone
            assert (await used(meter))[1] == Counts(1)

    @pytest.mark.parametrize("other", ["text", "list", "packed"])
    async def test_a_key_with_something_else_is_left_alone(
        self, running: CounterProcess, client: Any, other: str
    ) -> None:
        if other == "list":
            client.lpush(KEY, "x")
        else:
            client.set(KEY, "x" if other == "text" else msgspec.msgpack.encode([1, [2], "3"]))
        before = client.dump(KEY)
        snapshot = snapshot_of(user(daily_request_limit=1))
        request = Request(subject=Subject("u"), explain=True)
        async with shared_meter(running) as meter:
            decisions = [await decide_shared(meter, snapshot, request) for _ in range(2)]
            assert meter.counters.ready  # other subjects are counted together
        assert [decision.allowed for decision in decisions] == [True, False]
        assert any("holds something else" in row.reason for row in decisions[0].trace)
        assert client.dump(KEY) == before

    async def test_it_runs_in_a_cluster(self, tmp_path: Path) -> None:
        """A node of a cluster refuses keys of different slots."""
        with (
            counter_server(
                tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port())
            ) as server,
            server.admin() as admin,
        ):
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            await wait_for(
                lambda: "ok" in str(admin.execute_command("CLUSTER INFO")["cluster_state"]),
                "the cluster is ready",
            )
            group = Limit("g", "group", "g")
            async with shared_meter(server) as meter:
                request = Request(subject=Subject("u", ("g",)))
                charged = await charge(meter, snapshot_of(user(), group), request)
        assert charged is not None
        assert charged.request.usage_snapshot is not None
        assert not charged.request.usage_snapshot.alone

    async def test_a_call_of_an_earlier_connection_is_refused(self, client: Any) -> None:
        script = Script.of(SOURCE)
        content = CallInput("acme", "replica")
        content.charge(snapshot_of(user()).limits.users.values(), Counts(1))  # type: ignore[union-attr]
        keys = content.keys
        client.eval(script.source, 1, keys[0], "fence", 2)
        with pytest.raises(Exception, match="FENCED"):
            client.eval(script.source, len(keys), *keys, COUNT, 1, 1, 1, content.encode())
        assert not client.exists(KEY)


async def test_replicas_that_race_let_exactly_the_bound_pass(
    running: CounterProcess, client: Any
) -> None:
    snapshot = snapshot_of(user(daily_request_limit=50))
    async with (
        shared_meter(running) as one,
        shared_meter(running) as two,
        shared_meter(running) as three,
    ):
        decisions = await asyncio.gather(
            *(decide_shared(meter, snapshot) for _ in range(40) for meter in (one, two, three))
        )
    assert sum(decision.allowed for decision in decisions) == 50
