"""Processes end or are killed under load: calls are answered or refused, never lost."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any, Final

import grpc
import httpx2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pdp._gen.pdp.v1 import decide_pb2
from pdp.cli.exit_codes import Exit
from pdp.client.remote import open_channel
from tests.e2e.test_workers import workers_of
from tests.support.faults import RIVAL, ROUNDS, Load, Tenant, load_of, still_blocks, tenant_of
from tests.support.servers import DRAIN_S, TIMEOUT_S, start, start_workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.soak

DECIDE = "/pdp.v1.DecideService/Decide"
CLIENTS = 4


def asking_by_http(tenant: Tenant) -> Callable[[Load], None]:
    """Returns a client that acts like a load balancer.

    It keeps a connection until the server asks it to close. Before it connects again, it checks
    whether the server is ready. If it is not, the client ends.
    """

    def ask(load: Load) -> None:
        while not load.stop.is_set():
            try:
                with tenant.client() as http:
                    if http.get("/readyz").status_code != httpx2.codes.OK:
                        load.unserved += 1
                        return
                    _ask_until_closed(http, load)
            except httpx2.ConnectError:
                load.unserved += 1
                load.stop.wait(0.01)
            except httpx2.HTTPError as error:
                load.lost.append(repr(error))

    return ask


def _ask_until_closed(http: httpx2.Client, load: Load) -> None:
    while not load.stop.is_set():
        answer = http.post("/v1/decide", json={"content": {"text": RIVAL}})
        _count(load, answer.json().get("outcome", answer.text))
        if answer.headers.get("connection") == "close":
            return


BALANCED: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
}
"""The service config of a gRPC client that watches the health of its server."""


def asking_by_grpc(address: str, tenant: Tenant) -> Callable[[Load], None]:
    """Returns a client that keeps one channel and watches the health of the server."""
    message = decide_pb2.DecideRequest(
        tenant_id=tenant.name, content=decide_pb2.Content(text=RIVAL)
    ).SerializeToString()
    options = (("grpc.service_config", json.dumps(BALANCED)), ("grpc.enable_http_proxy", 0))

    def ask(load: Load) -> None:
        with grpc.insecure_channel(address, options=options) as channel:
            decide: Any = channel.unary_unary(DECIDE)
            while not load.stop.is_set():
                try:
                    answer = decide_pb2.DecideResponse.FromString(
                        decide(message, timeout=TIMEOUT_S)
                    )
                except grpc.RpcError as error:
                    failed: Any = error
                    if failed.code() is grpc.StatusCode.UNAVAILABLE:
                        load.unserved += 1
                        load.stop.wait(0.01)
                    else:
                        load.lost.append(f"{failed.code()}: {failed.details()}")
                else:
                    _count(load, decide_pb2.Outcome.Name(answer.outcome).removeprefix("OUTCOME_"))

    return ask


def _count(load: Load, outcome: str) -> None:
    load.answers[outcome] += 1
    if outcome != "BLOCK":
        load.wrong.append(outcome)


def clients_of(address: str, tenant: Tenant) -> list[Callable[[Load], None]]:
    """Returns clients for both transports."""
    by_http = [asking_by_http(tenant) for _ in range(CLIENTS)]
    return [*by_http, *(asking_by_grpc(address, tenant) for _ in range(CLIENTS))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_ends_under_load_answers_its_calls(
    tmp_path: Path, tenant: str, number: signal.Signals
) -> None:
    """The server answers every accepted call, and refuses later calls as not accepted."""
    for round_ in range(ROUNDS):
        with start(tmp_path / str(round_), PDP_DRAIN_S=DRAIN_S) as server:
            acting = tenant_of(server, tenant)
            with load_of(*clients_of(server.grpc_address, acting)) as load:
                load.wait_for(200)
                server.process.send_signal(number)
                assert server.wait() == Exit.OK
            assert (load.lost, load.wrong) == ([], [])


def test_a_worker_killed_under_load_is_replaced(tmp_path: Path, tenant: str) -> None:
    """The other workers serve, the supervisor replaces it, and no blocked request is allowed."""
    with start_workers(tmp_path) as server:
        acting = tenant_of(server, tenant)
        with load_of(*clients_of(server.grpc_address, acting)) as load:
            for _ in range(ROUNDS):
                load.wait_for(200)
                victim = min(workers_of(server))
                os.kill(victim, signal.SIGKILL)
                # The other worker answers while the supervisor starts a new one.
                load.wait_for(50)
                server.wait_for_event("a worker serves again")
                assert victim not in workers_of(server)
        assert load.wrong == []
        assert acting.create("After the kills").status_code == 201
        assert acting.lost() == set()


def test_a_worker_that_ends_under_load_answers_its_calls(tmp_path: Path, tenant: str) -> None:
    """A worker that gets SIGTERM drains like a server, and is replaced."""
    with start_workers(tmp_path, PDP_DRAIN_S=DRAIN_S) as server:
        acting = tenant_of(server, tenant)
        clients = [asking_by_grpc(server.grpc_address, acting) for _ in range(2 * CLIENTS)]
        with load_of(*clients) as load:
            for _ in range(ROUNDS):
                load.wait_for(200)
                os.kill(min(workers_of(server)), signal.SIGTERM)
                server.wait_for_event("a worker serves again")
        assert (load.lost, load.wrong) == ([], [])


def test_acknowledged_writes_survive_a_kill_of_the_supervisor(tmp_path: Path, tenant: str) -> None:
    """After a restart, every worker has the acknowledged writes."""
    written: list[str] = []
    for round_ in range(ROUNDS):
        with start_workers(tmp_path) as server:
            acting = tenant_of(server, tenant, blocks=round_ == 0)
            acting.written += written
            assert acting.lost() == set()
            assert still_blocks(acting)
            assert acting.create(f"Round {round_}").status_code == 201
            written = acting.written
            workers = [os.pidfd_open(pid) for pid in workers_of(server)]
            server.process.kill()
            for worker in workers:
                _wait_for_end(worker)


def _wait_for_end(pidfd: int) -> None:
    import select  # noqa: PLC0415 - for this test

    ready, _, _ = select.select([pidfd], [], [], TIMEOUT_S)
    os.close(pidfd)
    assert ready, "a worker has outlived its parent"


def test_acknowledged_writes_survive_kills_under_load(tmp_path: Path, tenant: str) -> None:
    """After a kill during writes, the server has every acknowledged policy."""
    acting = Tenant("", tenant)
    for round_ in range(ROUNDS):
        with start(tmp_path) as server:
            acting.url = server.http_url
            assert acting.lost() == set()

            def write(load: Load, round_: int = round_) -> None:
                number = 0
                while not load.stop.is_set():
                    number += 1
                    try:
                        answer = acting.create(f"{round_}-{number}", f"rival{round_}-{number}")
                    except httpx2.HTTPError:
                        return
                    load.answers[str(answer.status_code)] += 1

            with load_of(write) as load:
                load.wait_for(5)
                server.process.kill()
                server.wait()
    with start(tmp_path) as server:
        acting.url = server.http_url
        assert len(acting.written) >= 5 * ROUNDS
        assert acting.lost() == set()
        assert acting.decide("rival0-1")["outcome"] == "BLOCK"


def test_health_watches_do_not_delay_the_end(tmp_path: Path) -> None:
    """Health watches receive NOT_SERVING, and the server does not wait for their clients."""
    with start(tmp_path, PDP_DRAIN_S="600") as server, open_channel(server.grpc_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [
            stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)
            for name in ("", "pdp.v1.DecideService", "no.such.Service")
        ]
        first = [next(watch).status for watch in watches]
        server.process.terminate()
        rest = [[answer.status for answer in watch] for watch in watches]
        assert server.wait() == Exit.OK
    answer = health_pb2.HealthCheckResponse
    assert first == [answer.SERVING, answer.SERVING, answer.SERVICE_UNKNOWN]
    assert rest == [[answer.NOT_SERVING], [answer.NOT_SERVING], []]
