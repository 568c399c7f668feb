"""A replay says first how much of what was decided it could see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest

from pdp.cli.exit_codes import Exit
from tests.support import servers
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult
    from tests.support.servers import Server

RM: Final = "rm -rf / --no-preserve-root"
OVERLAY: Final = {
    "static_policies": [
        {"name": "No rivals", "category": "custom", "pattern": "(?i)rival", "action": "block"}
    ]
}


def decide(client: httpx2.Client, text: str, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/decide", json={"content": {"text": text}, **fields})
    assert answer.status_code == 200, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


def replay(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/simulate/replay", json={"overlay": OVERLAY, **fields})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def sample(client: httpx2.Client, rate: float) -> None:
    assert client.put("/v1/tenant/settings", json={"sample_rate": rate}).status_code == 200


@pytest.fixture(name="overlay")
def _overlay(tmp_path: Path) -> str:
    file = tmp_path / "overlay.json"
    file.write_text(json.dumps(OVERLAY))
    return str(file)


def test_unrecorded_decisions_are_counted(client: httpx2.Client) -> None:
    for _ in range(3):
        decide(client, "a rival")
    outcome = decide(client, RM)["outcome"]
    page = replay(client)
    coverage = page["coverage"]
    assert (page["replayed"], page["changed"]) == (1, 0)
    assert {key: coverage[key] for key in ("made", "recorded", "unrecorded", "removed")} == {
        "made": 4,
        "recorded": 1,
        "unrecorded": 3,
        "removed": 0,
    }
    assert (coverage["share"], coverage["complete"]) == (0.25, False)
    assert coverage["counts"] == [
        {"level": "standard", "outcome": "ALLOW", "made": 3, "recorded": 0},
        {"level": "standard", "outcome": outcome, "made": 1, "recorded": 1},
    ]
    assert replay(client, recorded={"outcomes": [outcome]})["coverage"]["complete"]
    future = replay(client, recorded={"since": "2100-01-01T00:00:00Z"})["coverage"]
    assert (future["made"], future["complete"]) == (0, True)


def test_only_the_first_page_has_the_coverage(client: httpx2.Client) -> None:
    assert client.put("/v1/org/policy", json={"logging_level": "full"}).status_code == 200
    for _ in range(3):
        decide(client, "hello")
    page = replay(client, limit=2)
    assert page["coverage"]["complete"]
    assert "estimated_changed" not in page
    assert "coverage" not in replay(client, limit=2, cursor=page["next_cursor"])
    requests = [{"content": {"text": "hello"}}]
    assert "coverage" not in replay(client, requests=requests)


def test_the_command_says_first_what_was_not_recorded(
    server: Server,
    client: httpx2.Client,
    tenant: str,
    cli: Callable[..., CommandResult],
    overlay: str,
) -> None:
    for _ in range(3):
        decide(client, "a rival")
    base = ("replay", "--server", server.grpc_address, "--tenant", tenant, "--overlay", overlay)
    ran = cli(*base)
    assert ran.code == Exit.INCOMPLETE
    first, second = ran.out.splitlines()[:2]
    assert first == (
        "INCOMPLETE: 3 of 3 decisions of the period were not recorded, so they may change too "
        "(coverage 0.0%)"
    )
    assert "0 of 0 recorded decisions would change" in second
    assert cli(*base, "--json").json["coverage"]["unrecorded"] == 3
    assert client.put("/v1/org/policy", json={"logging_level": "full"}).status_code == 200
    decide(client, "a rival", subject={"user_id": "ada"})
    ran = cli(*base)
    assert ran.code == Exit.NO
    assert ran.out.startswith("INCOMPLETE: 3 of 4 decisions")
    assert "ada" in ran.out
    assert "added: No rivals" in ran.out
    strict = cli(*base, "--strict")
    assert strict.code == Exit.INCOMPLETE
    assert "not all decisions of the period were recorded" in strict.err


def test_a_complete_replay_passes_strictly(
    server: Server,
    client: httpx2.Client,
    tenant: str,
    cli: Callable[..., CommandResult],
    overlay: str,
) -> None:
    assert client.put("/v1/org/policy", json={"logging_level": "full"}).status_code == 200
    decide(client, "hello")
    base = ("replay", "--server", server.grpc_address, "--tenant", tenant, "--overlay", overlay)
    ran = cli(*base, "--strict")
    assert ran.code == Exit.OK
    assert ran.out.startswith("0 of 1 decisions would change")
    decide(client, "a rival")
    assert cli(*base, "--strict").code == Exit.NO


def test_a_sample_is_recorded_and_scaled(
    server: Server,
    client: httpx2.Client,
    tenant: str,
    cli: Callable[..., CommandResult],
    overlay: str,
) -> None:
    sample(client, 0.5)
    for _ in range(60):
        decide(client, "hello", model={"provider": "openai", "model": "gpt-4o"}, session_id="s1")
    # A sampled decision is counted when its record is written, and no answer waits for that.
    wait_until(lambda: replay(client)["coverage"]["made"] == 60, "all decisions are counted")
    page = replay(client)
    [each] = page["samples"]
    assert (each["sample_rate"], each["changed"]) == (0.5, 0)
    assert 5 <= each["replayed"] == page["replayed"] <= 55
    estimated = page["estimated_decisions"]
    assert estimated["low"] < estimated["count"] == 2 * each["replayed"] < estimated["high"]
    assert page["estimated_changed"]["count"] == 0
    assert page["estimated_changed"]["high"] > 0
    assert page["coverage"]["recorded"] == page["replayed"]
    [record] = client.get("/api/admin/audit/records?limit=1").json()["records"]
    assert (record["sample_rate"], record["session_id"]) == (0.5, "s1")
    base = ("replay", "--server", server.grpc_address, "--tenant", tenant, "--overlay", overlay)
    ran = cli(*base)
    assert ran.code == Exit.INCOMPLETE
    assert "estimate:" in ran.out
    assert cli(*base, "--json").json["estimated_changed"] == page["estimated_changed"]


def test_records_that_the_level_requires_name_no_rate(client: httpx2.Client) -> None:
    decide(client, RM)
    [record] = client.get("/api/admin/audit/records?limit=1").json()["records"]
    assert not {"sample_rate", "session_id"} & record.keys()


@pytest.mark.parametrize(("rate", "status"), [
    (0, 200), (0.0001, 200), (1, 200), (0.00009, 400), (1.01, 400), (-0.1, 400),
])  # fmt: skip
def test_the_rate_has_bounds(client: httpx2.Client, rate: float, status: int) -> None:
    answer = client.put("/v1/tenant/settings", json={"sample_rate": rate})
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json().get("sample_rate", 0) == rate
        assert ("sample_rate" in answer.json()) == bool(rate)


def test_the_counts_of_workers_add_up_and_survive(tmp_path: Path) -> None:
    with servers.start_workers(tmp_path) as server:
        for _ in range(20):
            with httpx2.Client(base_url=server.http_url) as client:  # the kernel picks a worker
                decide(client, "a rival")
        with httpx2.Client(base_url=server.http_url) as client:
            wait_until(lambda: replay(client)["coverage"]["made"] == 20, "all are counted")
    with servers.start(tmp_path) as server, httpx2.Client(base_url=server.http_url) as client:
        coverage = replay(client)["coverage"]
        assert (coverage["made"], coverage["recorded"]) == (20, 0)
