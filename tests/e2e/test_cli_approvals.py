"""`pdp approvals` against a server, with the keys of the one who asks and of those who answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cli.exit_codes import Exit
from pdp.cli.request import to_message
from pdp.cli.run import approvals
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.escalations import MESSAGE, REQUEST, add_rule, obligation
from tests.support.servers import json_output, non_empty_lines, run_pdp

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from tests.e2e.conftest import CommandResult

TENANT: Final = "acme"
CARD: Final = "4111 1111 1111 1111"
REASON: Final = ("--reason", "CHG-4711")


class Callers:
    """The caller of a server who asks, and people who answer, with the command line."""

    def __init__(self, server: AuthenticatedServer) -> None:
        self._server = server
        self.address = server.server.grpc_address
        editor = server.key("editor", TENANT)
        add_rule(lambda method, path, **more: server.request(method, path, editor, **more))
        self.pep = server.key("pep", TENANT)
        self.ann, self.bob = (
            server.new_key("approver", TENANT, owner=name)["key"] for name in ("ann", "bob")
        )
        self.nameless = server.key("approver", TENANT)
        self.elsewhere = server.new_key("approver", "globex", owner="bob")["key"]
        self.admin = server.admin

    def decide(self, number: int, *tokens: str) -> dict[str, Any]:
        """Returns the decision on a request of Ann's."""
        changes = {"arguments": {"id": number, "card": CARD}, "tokens": tokens}
        decision: dict[str, Any] = self._server.request(
            "POST", "/v1/decide", self.pep, json=REQUEST | changes
        ).json()
        return decision

    def run(
        self, *arguments: str, key: str, code: Exit = Exit.OK
    ) -> subprocess.CompletedProcess[str]:
        """Runs `pdp approvals`, and checks its exit code."""
        done = run_pdp("approvals", *arguments, PDP_SERVER=self.address, PDP_API_KEY=key)
        assert done.returncode == code, done.stderr
        return done


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    """The callers of a server that holds requests."""
    with authenticated_server(tmp_path_factory.mktemp("server")) as server:
        yield Callers(server)


def test_a_request_is_found_shown_approved_and_passes(callers: Callers) -> None:
    asked = obligation(callers.decide(1))
    id_ = asked["approval_id"]
    listed = callers.run("list", "--state", "pending", key=callers.bob).stdout
    assert [id_ in line and MESSAGE in line for line in listed.splitlines()].count(True) == 1
    shown = callers.run("show", id_, key=callers.bob).stdout
    assert non_empty_lines(shown)[0] == f"{id_} is pending"
    assert "role:approver" in shown
    assert "ann" in shown
    assert "[REDACTED]" in shown
    for secret in (CARD, asked["token"]):
        assert secret not in shown + listed
    approved = callers.run("approve", id_, *REASON, key=callers.bob).stdout
    assert non_empty_lines(approved)[0] == f"{id_} is approved"
    assert "answered by: bob" in approved
    assert "CHG-4711" in approved
    passed = callers.decide(1, asked["token"])
    assert (passed["allowed"], passed["outcome"]) == (True, "REDACT")
    assert json_output(callers.run("show", id_, "--json", key=callers.bob))["state"] == "used"


def test_a_denied_request_is_blocked(callers: Callers) -> None:
    asked = obligation(callers.decide(2))
    denied = callers.run("deny", asked["approval_id"], *REASON, "--json", key=callers.bob)
    assert (json_output(denied)["state"], json_output(denied)["answer_reason"]) == (
        "denied",
        "CHG-4711",
    )
    refused = callers.decide(2, asked["token"])
    assert (refused["outcome"], refused["reason_code"]) == ("BLOCK", "APPROVAL_DENIED")


def test_the_one_who_asked_cancels(callers: Callers) -> None:
    id_ = obligation(callers.decide(3))["approval_id"]
    assert (
        "needs the role pep"
        in callers.run("cancel", id_, key=callers.bob, code=Exit.INVALID).stderr
    )
    assert f"{id_} is cancelled" in callers.run("cancel", id_, key=callers.pep).stdout
    other = obligation(callers.decide(3))["approval_id"]
    assert other != id_
    callers.run("cancel", other, "--tenant", TENANT, *REASON, key=callers.admin)


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_an_answer_without_a_reason_is_refused(callers: Callers, verb: str) -> None:
    id_ = obligation(callers.decide(4))["approval_id"]
    missing = callers.run(verb, id_, key=callers.bob, code=Exit.USAGE)
    assert "Missing option '--reason'" in missing.stderr
    blank = callers.run(verb, id_, "--reason", " ", key=callers.bob, code=Exit.INVALID)
    assert "reason" in blank.stderr
    assert json_output(callers.run("show", id_, "--json", key=callers.bob))["state"] == "pending"


@pytest.mark.parametrize(
    ("who", "problem"),
    [
        ("ann", "another person"),
        ("nameless", "names no person"),
        ("elsewhere", "there is no approval"),
        ("pep", "needs the role approver"),
    ],
)
def test_others_cannot_approve(callers: Callers, who: str, problem: str) -> None:
    asked = obligation(callers.decide(5))
    refused = callers.run(
        "approve", asked["approval_id"], *REASON, key=getattr(callers, who), code=Exit.INVALID
    )
    assert problem in refused.stderr
    assert refused.stdout == ""
    assert callers.decide(5, asked["token"])["outcome"] == "ESCALATE"


def test_what_does_not_exist_or_is_closed_is_refused(callers: Callers) -> None:
    refused = callers.run("show", "nothing", "--json", key=callers.bob, code=Exit.INVALID)
    assert json_output(refused)["error"]["code"] == "APPROVAL_NOT_FOUND"
    id_ = obligation(callers.decide(6))["approval_id"]
    callers.run("deny", id_, *REASON, key=callers.bob)
    closed = callers.run("approve", id_, *REASON, key=callers.bob, code=Exit.INVALID)
    assert "is denied; only a pending one can be approved" in closed.stderr


def test_lists_have_a_state_and_a_limit(callers: Callers) -> None:
    ids = [obligation(callers.decide(number))["approval_id"] for number in range(10, 13)]
    everything = json_output(callers.run("list", "--json", key=callers.bob))
    assert set(ids) <= {each["id"] for each in everything}
    cut = callers.run("list", "--json", "--limit", "2", key=callers.bob)
    assert json_output(cut) == everything[:2]
    assert "raise --limit" in cut.stderr
    callers.run("deny", ids[1], *REASON, key=callers.bob)
    pending = json_output(callers.run("list", "--state", "pending", "--json", key=callers.bob))
    assert [each["id"] for each in pending if each["id"] in ids] == [ids[0], ids[2]]
    unknown = callers.run("list", "--state", "lost", key=callers.bob, code=Exit.INVALID)
    assert "must be one of pending" in unknown.stderr
    assert json_output(callers.run("list", "--json", key=callers.elsewhere)) == []


def test_a_list_is_read_in_pages(
    callers: Callers, cli: Callable[..., CommandResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of one approval have the same approvals as one page."""
    for number in (20, 21):
        callers.decide(number)
    command = ("approvals", "list", "--json", "--server", callers.address, "--key", callers.bob)
    whole = cli(*command).json
    assert len(whole) > 1
    sizes: list[int] = []

    def record_size(rpc: str, body: dict[str, Any]) -> Message:
        sizes.append(body["page_size"])
        return to_message(rpc, body)

    monkeypatch.setattr(approvals, "to_message", record_size)
    monkeypatch.setattr(approvals, "_PAGE", 1)
    assert cli(*command).json == whole
    assert sizes == [1] * len(whole)


def test_without_a_credential_or_a_server(callers: Callers) -> None:
    refused = callers.run("list", key="", code=Exit.INVALID)
    assert "a credential is required" in refused.stderr
    absent = run_pdp("approvals", "list", PDP_SERVER="127.0.0.1:1", PDP_API_KEY=callers.bob)
    assert absent.returncode == Exit.UNAVAILABLE


@pytest.mark.parametrize("name", ["list", "show", "approve", "deny", "cancel"])
def test_the_help_teaches_by_examples(name: str) -> None:
    text = run_pdp("approvals", name, "--help").stdout
    assert "Exit codes:" in text
    assert f"  pdp approvals {name}" in text
