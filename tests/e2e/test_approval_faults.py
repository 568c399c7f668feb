"""Approvals when many callers have one token, over two workers, and when the store fails."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.approvals import (
    ESCALATE,
    ApprovalTenant,
    approval_of,
    confirmation_of,
    is_blocked,
)
from tests.support.authenticated_servers import (
    AuthenticatedServer,
    authenticated_server,
    first_admin_key,
)
from tests.support.servers import start_workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLERS: Final = 100

PROMPT: Final = {
    "name": "prompts",
    "conditions": {"content_regex": "prompt"},
    "action": {"type": "PROMPT", "prompt_message": "Go on?"},
}
ESCALATES: Final = {
    "name": "escalates",
    "conditions": {"content_regex": "escalate"},
    "action": ESCALATE,
}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server with two workers that requires credentials."""
    directory = tmp_path_factory.mktemp("workers")
    admin = first_admin_key(directory)
    with start_workers(directory, PDP_AUTH="required") as server:
        opened = AuthenticatedServer(server, admin)
        yield opened
        opened.close()


def race(tenant: ApprovalTenant, text: str, token: str) -> list[dict[str, Any]]:
    """Sends the same request with one token on many connections at once."""
    barrier = Barrier(CALLERS)
    body = {**tenant.request(content={"text": text}), "tokens": [token]}

    def call(_: int) -> dict[str, Any]:
        # A new connection may reach either worker.
        with tenant.server.server.client() as client:
            barrier.wait()
            answer = client.post("/v1/decide", json=body, headers={"X-API-Key": tenant.pep})
        decision: dict[str, Any] = answer.json()
        return decision

    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(call, range(CALLERS)))


def test_one_approval_gives_one_pass(workers: AuthenticatedServer) -> None:
    tenant = ApprovalTenant(workers, "race", (ESCALATES,))
    held = tenant.decide(content={"text": "escalate"})
    tenant.approve(held)
    decisions = race(tenant, "escalate", approval_of(held)["token"])
    passed = [each for each in decisions if each["allowed"]]
    assert len(passed) == 1
    refused = [each for each in decisions if not each["allowed"]]
    assert all(is_blocked(each, "TOKEN_USED") for each in refused), refused
    approval = tenant.approval(approval_of(held)["approval_id"])
    assert (approval["state"], approval["used_at"] is None) == ("used", False)


def test_one_confirmation_gives_one_pass(workers: AuthenticatedServer) -> None:
    tenant = ApprovalTenant(workers, "race-of-prompts", (PROMPT,))
    prompted = tenant.decide(content={"text": "prompt"})
    decisions = race(tenant, "prompt", confirmation_of(prompted))
    assert sum(each["allowed"] for each in decisions) == 1
    assert {each["reason_code"] for each in decisions if not each["allowed"]} == {"TOKEN_USED"}


def test_many_callers_open_one_approval(workers: AuthenticatedServer) -> None:
    tenant = ApprovalTenant(workers, "race-to-open", (ESCALATES,))
    barrier = Barrier(20)

    def call(_: int) -> str:
        with workers.server.client() as client:
            barrier.wait()
            body = tenant.request(content={"text": "escalate"})
            answer = client.post("/v1/decide", json=body, headers={"X-API-Key": tenant.pep})
        return str(approval_of(answer.json()))

    with ThreadPoolExecutor(20) as threads:
        assert len(set(threads.map(call, range(20)))) == 1


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[ApprovalTenant]:
    """A tenant on a server of its own, whose store may be harmed."""
    with authenticated_server(tmp_path) as server:
        yield ApprovalTenant(server, "acme", (PROMPT, ESCALATES))


def harmless(tenant: ApprovalTenant) -> dict[str, Any]:
    return tenant.decide(content={"text": "hello"})


def test_a_deleted_store(tenant: ApprovalTenant, tmp_path: Path) -> None:
    """What needs a commit is blocked; all else goes on."""
    escalated, prompted = {"text": "escalate"}, {"text": "prompt"}
    held, asked = tenant.decide(content=escalated), tenant.decide(content=prompted)
    tenant.approve(held)
    for file in tmp_path.glob("pdp.db*"):
        file.unlink()
    tokens = [approval_of(held)["token"], confirmation_of(asked)]
    assert is_blocked(tenant.decide(content=escalated), "APPROVAL_UNAVAILABLE")
    for token, content in zip(tokens, (escalated, prompted), strict=True):
        refused = tenant.decide(token, content=content)
        assert is_blocked(refused, "APPROVAL_UNAVAILABLE")
        assert (refused["incomplete"], refused["status_hint"]) == (True, 503)
    assert harmless(tenant)["outcome"] == "ALLOW"
    # A prompt needs no row: it is held, and cannot be confirmed now.
    assert tenant.decide(content=prompted)["outcome"] == "PROMPT"


def test_a_store_that_another_process_locks(tenant: ApprovalTenant, tmp_path: Path) -> None:
    escalated = {"text": "escalate"}
    held = tenant.decide(content=escalated)
    tenant.approve(held)
    token = approval_of(held)["token"]
    with closing(sqlite3.connect(tmp_path / "pdp.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert is_blocked(tenant.decide(token, content=escalated), "APPROVAL_UNAVAILABLE")
        assert harmless(tenant)["outcome"] == "ALLOW"
        other.execute("ROLLBACK")
    assert tenant.decide(token, content=escalated)["outcome"] == "ALLOW"  # it was not used
