"""A layer that raises, patterns without memory, a clock that jumps: no request is allowed by it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.client.remote import RemoteClient
from pdp.domain.layers import LAYERS
from tests.support.faults import Tenant, still_blocks, tenant_of
from tests.support.server_patches import CLOCK_COMMAND
from tests.support.servers import TIMEOUT_S, Server, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 24 * 60 * 60


@contextmanager
def faulty(folder: Path, fault: str) -> Iterator[Server]:
    """Starts a server with a fault, see `tests.support.server_patches`."""
    with start(folder, patch=fault) as server:
        yield server


def by_grpc(server: Server, tenant: str, text: str) -> decide_pb2.DecideResponse:
    """Returns the decision on a text, over gRPC."""
    content = decide_pb2.Content(text=text)
    # With an explanation, because the org policy does not run for a request without risk otherwise.
    message = decide_pb2.DecideRequest(tenant_id=tenant, content=content, explain=True)
    with RemoteClient(server.grpc_address, timeout_s=TIMEOUT_S) as remote:
        answer = remote.call("Decide", message).message
    assert isinstance(answer, decide_pb2.DecideResponse)
    return answer


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_that_raises_blocks_requests(tmp_path: Path, tenant: str, layer: str) -> None:
    """Both transports block every request, with a message that shows no internals."""
    with faulty(tmp_path, f"layer:{layer}") as server:
        decision = Tenant(server.http_url, tenant).decide("hello", explain=True)
        assert (decision["outcome"], decision["allowed"]) == ("BLOCK", False)
        assert (decision["reason_code"], decision["incomplete"]) == ("ENGINE_ERROR", True)
        assert "passwd" not in str(decision)
        assert server.wait_for_event("could not judge")["layer"] == layer
        again = by_grpc(server, tenant, "hello")
        assert (again.outcome, again.incomplete) == (decide_pb2.OUTCOME_BLOCK, True)
        assert not any("passwd" in line for line in server.lines)


def test_patterns_without_memory_block_requests(tmp_path: Path, tenant: str) -> None:
    """RE2 then reports no match; the server blocks such a request, and serves others."""
    with faulty(tmp_path, "patterns") as server:
        acting = tenant_of(server, tenant)
        for text in ("EXHAUST hello", "hello " * 20_000 + "EXHAUST"):
            decision = acting.decide(text)
            assert (decision["outcome"], decision["incomplete"]) == ("BLOCK", True)
            assert decision["reason_code"] == "ENGINE_ERROR"
        assert still_blocks(acting)


def test_a_hanging_model_blocks_only_requests_that_need_it(tmp_path: Path, tenant: str) -> None:
    """Requests that need the model are blocked in time; others are served, and the server ends."""
    with faulty(tmp_path, "model") as server:
        acting = tenant_of(server, tenant)
        rule = {
            "detector_name": "Names",
            "detector_type": "ner",
            "entity_type": "PERSON",
            "action_tier": "redact",
        }
        with acting.client() as http:
            assert http.post("/api/admin/dlp-rules/", json=rule).status_code == 201
        for _ in range(3):
            decision = acting.decide("Ada Lovelace wrote it")
            assert (decision["outcome"], decision["incomplete"]) == ("BLOCK", True)
            assert decision["reason_code"] == "ENGINE_ERROR"
        other = Tenant(server.http_url, f"{tenant}-other").decide("Ada Lovelace wrote it")
        assert (other["outcome"], other["incomplete"]) == ("ALLOW", False)


@pytest.mark.parametrize("seconds", [-365 * DAY_S, -DAY_S, DAY_S, 365 * DAY_S])
def test_policies_stay_in_force_when_the_clock_jumps(
    tmp_path: Path, tenant: str, seconds: int
) -> None:
    """Policies stay in force, writes stay in order, and timeouts do not change."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    with start(tmp_path, command=CLOCK_COMMAND) as server:
        acting = tenant_of(server, tenant)
        with acting.client() as http:
            limit = {"scope": "user", "subject_id": "u1", "daily_request_limit": 1000}
            assert http.post("/api/admin/limits/", json=limit).status_code == 201
        before = acting.decide(subject={"user_id": "u1"})
        clock.write_text(str(seconds))
        created = acting.create("After the jump", pattern="competitor")
        revision = int(created.headers["x-pdp-revision"])
        assert revision > before["revision"]
        after = acting.decide("our competitor", subject={"user_id": "u1"}, min_revision=revision)
        assert (after["outcome"], after["incomplete"]) == ("BLOCK", False)
        assert still_blocks(acting)
        assert acting.lost() == set()
        clock.write_text("0")
        assert still_blocks(acting)
    with start(tmp_path) as server:
        acting.url = server.http_url
        assert acting.lost() == set()
        assert acting.decide("our competitor")["outcome"] == "BLOCK"
