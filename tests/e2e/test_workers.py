"""Several workers on the same ports (`PDP_WORKERS`)."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pdp._gen.pdp.v1 import decide_pb2, static_policy_pb2
from pdp.cli.exit_codes import Exit
from pdp.client.remote import RemoteClient
from tests.support.servers import DRAIN_S, TIMEOUT_S, Server, free_addresses, launch, start_workers

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 2


def workers_of(server: Server) -> set[int]:
    """Returns the process ids of a server's workers."""
    task = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return {int(pid) for pid in task.read_text().split()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with several workers, which replaces the shared one."""
    with start_workers(tmp_path_factory.mktemp("workers")) as started:
        yield started


def outcome(address: str, tenant: str, revision: int) -> int:
    """Sends a request on a new connection, which can reach any worker."""
    message = decide_pb2.DecideRequest(
        tenant_id=tenant,
        content=decide_pb2.Content(text="rival"),
        min_revision=revision,
    )
    with RemoteClient(address, timeout_s=TIMEOUT_S) as remote:
        answer = remote.call("Decide", message).message
    assert isinstance(answer, decide_pb2.DecideResponse)
    return answer.outcome


def block_rivals(address: str, tenant: str) -> int:
    """Blocks the word; returns the revision of this change."""
    message = static_policy_pb2.CreateStaticPolicyRequest(
        name="No rivals", category="custom", pattern="rival", action="block"
    )
    with RemoteClient(address, timeout_s=TIMEOUT_S) as remote:
        metadata = remote.call("CreateStaticPolicy", message, tenant).metadata
    return int(metadata["x-pdp-revision"])


def test_the_server_starts_all_workers(server: Server) -> None:
    """The parent has the configured number of workers."""
    assert server.announcement["workers"] == WORKERS
    assert len(workers_of(server)) == WORKERS


def test_the_announcement_is_logged_once(server: Server) -> None:
    """Only the parent prints the announcement."""
    assert sum('"serving"' in line for line in server.lines) == 1


def test_a_write_is_in_force_in_all_workers(server: Server, tenant: str) -> None:
    """Every worker waits for the revision that a request requires."""
    address = server.grpc_address
    assert outcome(address, tenant, 0) == decide_pb2.OUTCOME_ALLOW
    revision = block_rivals(address, tenant)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(outcome, address, tenant, revision) for _ in range(16)]
        assert {each.result() for each in futures} == {decide_pb2.OUTCOME_BLOCK}


def test_a_worker_that_dies_is_replaced(tmp_path: Path, tenant: str) -> None:
    """The parent starts a new worker, and the server continues to serve."""
    with start_workers(tmp_path) as server:
        revision = block_rivals(server.grpc_address, tenant)
        before = workers_of(server)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        died = server.wait_for_event("a worker died; it is restarted")
        assert (died["pid"], died["code"]) == (victim, 128 + signal.SIGKILL)
        server.wait_for_event("a worker serves again")
        after = workers_of(server)
        assert len(after) == WORKERS
        assert victim not in after
        assert outcome(server.grpc_address, tenant, revision) == decide_pb2.OUTCOME_BLOCK
        server.process.terminate()
        assert server.wait() == Exit.OK


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_workers(tmp_path: Path, number: signal.Signals) -> None:
    """A signal to the parent ends all workers, and the parent after them."""
    with start_workers(tmp_path, PDP_DRAIN_S=DRAIN_S) as server:
        workers = workers_of(server)
        server.process.send_signal(number)
        assert server.wait() == Exit.OK
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """If the parent is killed, the workers end by themselves."""
    with start_workers(tmp_path) as server:
        workers = [os.pidfd_open(pid) for pid in workers_of(server)]
        server.process.kill()
        for worker in workers:
            _wait_for_end(worker)
            os.close(worker)


def _wait_for_end(pidfd: int) -> None:
    import select  # noqa: PLC0415 - for this test

    ready, _, _ = select.select([pidfd], [], [], TIMEOUT_S)
    assert ready, "a worker has outlived its parent"


@pytest.mark.parametrize(
    ("name", "address", "reason"),
    [
        ("PDP_GRPC_LISTEN", "127.0.0.1:0", "a port of its own"),
        ("PDP_HTTP_LISTEN", "127.0.0.1:0", "a port of its own"),
        ("PDP_GRPC_LISTEN", "unix:/tmp/pdp.sock", "has one listener"),
        ("PDP_HTTP_LISTEN", "unix:/tmp/pdp.sock", "has one listener"),
    ],
)
def test_addresses_that_workers_cannot_share_are_refused(
    tmp_path: Path, name: str, address: str, reason: str
) -> None:
    """Workers can share only a port with a fixed number."""
    one, two = free_addresses()
    listen = {"PDP_GRPC_LISTEN": one, "PDP_HTTP_LISTEN": two, name: address}
    with launch(tmp_path, PDP_WORKERS="2", **listen) as server:
        assert server.wait() == Exit.CONFIG
    (line,) = server.lines
    assert f"{name} is {address}" in line
    assert reason in line
    assert "PDP_WORKERS=1" in line


def test_grpc_and_http_need_different_ports(tmp_path: Path) -> None:
    """The server refuses one port for gRPC and HTTP, although the kernel would allow it."""
    one, _ = free_addresses()
    listen = {"PDP_GRPC_LISTEN": one, "PDP_HTTP_LISTEN": one}
    with launch(tmp_path, PDP_WORKERS="2", **listen) as server:
        assert server.wait() == Exit.CONFIG
    assert "the same port" in server.lines[0]


def test_a_port_of_another_server_is_refused(server: Server, tmp_path: Path) -> None:
    """A second server cannot take a part of the first one's calls."""
    _, other = free_addresses()
    listen = {"PDP_GRPC_LISTEN": server.grpc_address, "PDP_HTTP_LISTEN": other}
    with launch(tmp_path, PDP_WORKERS="2", **listen) as second:
        assert second.wait() == Exit.CONFIG
    assert "is another server running there?" in second.lines[0]


def test_an_error_at_the_start_is_logged_once(tmp_path: Path) -> None:
    """Only the first worker prints why the server cannot start."""
    one, two = free_addresses()
    listen = {"PDP_GRPC_LISTEN": one, "PDP_HTTP_LISTEN": two}
    with launch(tmp_path, PDP_WORKERS="2", PDP_DATABASE_URL="nonsense", **listen) as server:
        assert server.wait() == Exit.CONFIG
    assert len(server.lines) == 1
    assert "sqlite:///" in server.lines[0]


def test_any_worker_returns_the_metrics_of_all(server: Server, tenant: str) -> None:
    """Every worker returns the series of all workers, labelled with the worker's number."""
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(outcome, server.grpc_address, tenant, 0) for _ in range(32)]
        assert {each.result() for each in futures} == {decide_pb2.OUTCOME_ALLOW}
    before = _served(server)
    assert sum(before.values()) >= 32
    for _ in range(8):
        outcome(server.grpc_address, tenant, 0)
    after = [_served(server) for _ in range(8)]
    assert {sum(each.values()) for each in after} == {sum(before.values()) + 8}


def _served(server: Server) -> dict[str, float]:
    """Returns how many calls each worker has served, from the metrics of one of them."""
    deadline = time.monotonic() + TIMEOUT_S
    up = {"": 0.0}
    while 0.0 in up.values():  # a busy worker did not respond within a second
        assert time.monotonic() < deadline, up
        page = server.request("GET", "/metrics").text
        families = {each.name: each for each in text_string_to_metric_families(page)}
        up = {each.labels["worker"]: each.value for each in families["pdp_worker_up"].samples}
    assert up == {str(number): 1.0 for number in range(WORKERS)}
    served = dict.fromkeys(up, 0.0)
    for sample in families["pdp_calls"].samples:
        if sample.labels["method"] == "Decide":
            served[sample.labels["worker"]] += sample.value
    return served


def test_any_worker_has_the_revision_of_a_write(server: Server, tenant: str) -> None:
    """After a write, a request for its revision is never evaluated on an older one."""
    with ThreadPoolExecutor(4) as pool:
        for number in range(10):
            name = f"{tenant}-{number}"
            revision = block_rivals(server.grpc_address, name)
            futures = [pool.submit(outcome, server.grpc_address, name, revision) for _ in range(8)]
            assert {each.result() for each in futures} == {decide_pb2.OUTCOME_BLOCK}
