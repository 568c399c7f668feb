"""`pdp approvals` against a server, with the keys of the one who asks and of those who answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cli.exit_codes import Exit
from pdp.cli.request import to_message
from pdp.cli.run import approvals
from tests.support.approvals import ESCALATE, ApprovalTenant, approval_of
from tests.support.authenticated_servers import authenticated_server
from tests.support.servers import json_output, non_empty_lines, run_pdp

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from tests.e2e.conftest import CommandResult

TENANT: Final = "acme"
CARD: Final = "4111 1111 1111 1111"
REASON: Final = ("--reason", "CHG-4711")


class CommandLine(ApprovalTenant):
    """A tenant whose people use the command line."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.address = self.server.server.grpc_address
        self.nameless = self.server.key("approver", self.tenant)
        self.elsewhere = self.server.new_key("approver", "globex", owner="bob")["key"]

    def hold(self, number: int) -> dict[str, Any]:
        """Returns what a request of Ann's waits for."""
        return approval_of(self.ask(number))

    def ask(self, number: int, *tokens: str) -> dict[str, Any]:
        """Returns the decision on a request of Ann's."""
        return self.decide(*tokens, arguments={"id": number, "card": CARD})

    def run(
        self, *arguments: str, key: str, code: Exit = Exit.OK
    ) -> subprocess.CompletedProcess[str]:
        """Runs `pdp approvals`, and checks its exit code."""
        done = run_pdp("approvals", *arguments, PDP_SERVER=self.address, PDP_API_KEY=key)
        assert done.returncode == code, done.stderr
        return done


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A tenant of a server that holds requests."""
    with authenticated_server(tmp_path_factory.mktemp("server")) as server:
        yield CommandLine(server, TENANT)


def test_a_request_is_found_shown_approved_and_passes(acme: CommandLine) -> None:
    asked = acme.hold(1)
    id_ = asked["approval_id"]
    listed = acme.run("list", "--state", "pending", key=acme.bob).stdout
    assert [id_ in line and ESCALATE["message"] in line for line in listed.splitlines()].count(
        True
    ) == 1
    shown = acme.run("show", id_, key=acme.bob).stdout
    assert non_empty_lines(shown)[0] == f"{id_} is pending"
    assert "role:approver" in shown
    assert "ann" in shown
    assert "[REDACTED]" in shown
    for secret in (CARD, asked["token"]):
        assert secret not in shown + listed
    approved = acme.run("approve", id_, *REASON, key=acme.bob).stdout
    assert non_empty_lines(approved)[0] == f"{id_} is approved"
    assert "answered by: bob" in approved
    assert "CHG-4711" in approved
    passed = acme.ask(1, asked["token"])
    assert (passed["allowed"], passed["outcome"]) == (True, "REDACT")
    assert json_output(acme.run("show", id_, "--json", key=acme.bob))["state"] == "used"


def test_a_denied_request_is_blocked(acme: CommandLine) -> None:
    asked = acme.hold(2)
    denied = acme.run("deny", asked["approval_id"], *REASON, "--json", key=acme.bob)
    assert (json_output(denied)["state"], json_output(denied)["answer_reason"]) == (
        "denied",
        "CHG-4711",
    )
    refused = acme.ask(2, asked["token"])
    assert (refused["outcome"], refused["reason_code"]) == ("BLOCK", "APPROVAL_DENIED")


def test_the_one_who_asked_cancels(acme: CommandLine) -> None:
    id_ = acme.hold(3)["approval_id"]
    assert "needs the role pep" in acme.run("cancel", id_, key=acme.bob, code=Exit.INVALID).stderr
    assert f"{id_} is cancelled" in acme.run("cancel", id_, key=acme.pep).stdout
    other = acme.hold(3)["approval_id"]
    assert other != id_
    acme.run("cancel", other, "--tenant", TENANT, *REASON, key=acme.server.admin)


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_an_answer_without_a_reason_is_refused(acme: CommandLine, verb: str) -> None:
    id_ = acme.hold(4)["approval_id"]
    missing = acme.run(verb, id_, key=acme.bob, code=Exit.USAGE)
    assert "Missing option '--reason'" in missing.stderr
    blank = acme.run(verb, id_, "--reason", " ", key=acme.bob, code=Exit.INVALID)
    assert "reason" in blank.stderr
    assert json_output(acme.run("show", id_, "--json", key=acme.bob))["state"] == "pending"


@pytest.mark.parametrize(
    ("who", "problem"),
    [
        ("ann", "another person"),
        ("nameless", "names no person"),
        ("elsewhere", "there is no approval"),
        ("pep", "needs the role approver"),
    ],
)
def test_others_cannot_approve(acme: CommandLine, who: str, problem: str) -> None:
    asked = acme.hold(5)
    refused = acme.run(
        "approve", asked["approval_id"], *REASON, key=getattr(acme, who), code=Exit.INVALID
    )
    assert problem in refused.stderr
    assert refused.stdout == ""
    assert acme.ask(5, asked["token"])["outcome"] == "ESCALATE"


def test_what_does_not_exist_or_is_closed_is_refused(acme: CommandLine) -> None:
    refused = acme.run("show", "nothing", "--json", key=acme.bob, code=Exit.INVALID)
    assert json_output(refused)["error"]["code"] == "APPROVAL_NOT_FOUND"
    id_ = acme.hold(6)["approval_id"]
    acme.run("deny", id_, *REASON, key=acme.bob)
    closed = acme.run("approve", id_, *REASON, key=acme.bob, code=Exit.INVALID)
    assert "is denied; only a pending one can be approved" in closed.stderr


def test_lists_have_a_state_and_a_limit(acme: CommandLine) -> None:
    ids = [acme.hold(number)["approval_id"] for number in range(10, 13)]
    everything = json_output(acme.run("list", "--json", key=acme.bob))
    assert set(ids) <= {each["id"] for each in everything}
    cut = acme.run("list", "--json", "--limit", "2", key=acme.bob)
    assert json_output(cut) == everything[:2]
    assert "raise --limit" in cut.stderr
    acme.run("deny", ids[1], *REASON, key=acme.bob)
    pending = json_output(acme.run("list", "--state", "pending", "--json", key=acme.bob))
    assert [each["id"] for each in pending if each["id"] in ids] == [ids[0], ids[2]]
    unknown = acme.run("list", "--state", "lost", key=acme.bob, code=Exit.INVALID)
    assert "must be one of pending" in unknown.stderr
    assert json_output(acme.run("list", "--json", key=acme.elsewhere)) == []


def test_a_list_is_read_in_pages(
    acme: CommandLine, cli: Callable[..., CommandResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of one approval have the same approvals as one page."""
    for number in (20, 21):
        acme.ask(number)
    command = ("approvals", "list", "--json", "--server", acme.address, "--key", acme.bob)
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


def test_without_a_credential_or_a_server(acme: CommandLine) -> None:
    refused = acme.run("list", key="", code=Exit.INVALID)
    assert "a credential is required" in refused.stderr
    absent = run_pdp("approvals", "list", PDP_SERVER="127.0.0.1:1", PDP_API_KEY=acme.bob)
    assert absent.returncode == Exit.UNAVAILABLE


@pytest.mark.parametrize("name", ["list", "show", "approve", "deny", "cancel"])
def test_the_help_teaches_by_examples(name: str) -> None:
    text = run_pdp("approvals", name, "--help").stdout
    assert "Exit codes:" in text
    assert f"  pdp approvals {name}" in text
