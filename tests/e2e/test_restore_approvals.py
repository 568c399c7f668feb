"""A restored backup brings back no approval and no token, used or not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.escalations import ESCALATE, PROMPT, REQUEST, add_rule, obligation
from tests.support.servers import json_output, run_pdp

if TYPE_CHECKING:
    from pathlib import Path

TENANT: Final = "acme"
REASON: Final = {"reason": "checked"}


class Callers:
    """The caller of a server who asks, and the one who approves."""

    def __init__(self, server: AuthenticatedServer) -> None:
        self._server = server
        self._asks = server.key("pep", TENANT)
        self._answers = server.new_key("approver", TENANT, owner="bob")["key"]

    @classmethod
    def of_new_server(cls, server: AuthenticatedServer, action: Any = ESCALATE) -> Callers:
        """Returns the callers of a server that gets a rule; see `add_rule`."""
        editor = server.key("editor", TENANT)
        add_rule(lambda method, path, **more: server.request(method, path, editor, **more), action)
        return cls(server)

    def ask(self, *tokens: str, **changes: Any) -> dict[str, Any]:
        """Returns the decision on a request, with tokens."""
        body = {**REQUEST, **changes, "tokens": tokens}
        decision: dict[str, Any] = self._server.request(
            "POST", "/v1/decide", self._asks, json=body
        ).json()
        return decision

    def approve(self, approval_id: str) -> None:
        """Approves a request."""
        path = f"/v1/approvals/{approval_id}/approve"
        self._server.request("POST", path, self._answers, json=REASON).raise_for_status()

    def state(self, approval_id: str) -> str:
        """Returns the state of an approval."""
        approval = self._server.request("GET", f"/v1/approvals/{approval_id}", self._answers)
        return str(approval.json()["state"])


def url_of(directory: Path) -> str:
    """Returns the URL of the database in a data directory."""
    return f"sqlite:///{directory}/pdp.db"


def back_up(directory: Path, file: Path) -> None:
    """Makes a backup."""
    result = run_pdp("backup", str(file), "--database-url", url_of(directory), "--json")
    assert result.returncode == 0, result.stderr


def restore(file: Path, directory: Path) -> Any:
    """Restores a backup; returns the report of the command."""
    flags = ("--database-url", url_of(directory), "--force", "--json")
    return json_output(run_pdp("restore", str(file), *flags))


def test_an_approval_that_was_used_since_cannot_be_used_again(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        callers = Callers.of_new_server(server)
        approval = obligation(callers.ask())
        callers.approve(approval["approval_id"])
        back_up(data, file)
        assert callers.ask(approval["token"])["outcome"] == "ALLOW"
    assert restore(file, data)["approvals_cancelled"] == 1
    with authenticated_server(data) as server:
        callers = Callers(server)
        refused = callers.ask(approval["token"])
        assert (refused["outcome"], refused["reason_code"]) == ("BLOCK", "TOKEN_INVALID")
        assert callers.state(approval["approval_id"]) == "cancelled"
        again = obligation(callers.ask())
        assert again["approval_id"] != approval["approval_id"]
        callers.approve(again["approval_id"])
        assert callers.ask(again["token"])["outcome"] == "ALLOW"


def test_a_confirmation_that_was_used_since_cannot_be_used_again(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        callers = Callers.of_new_server(server, PROMPT)
        confirmation = obligation(callers.ask(), "PROMPT")["confirmation"]
        back_up(data, file)
        assert callers.ask(confirmation)["outcome"] == "ALLOW"
    assert restore(file, data)["approvals_cancelled"] == 0
    with authenticated_server(data) as server:
        refused = Callers(server).ask(confirmation)
        assert (refused["outcome"], refused["reason_code"]) == ("BLOCK", "TOKEN_INVALID")


def test_a_backup_that_is_restored_elsewhere_has_no_valid_tokens(tmp_path: Path) -> None:
    """Without a database to replace, too; there, the token still lets one request pass."""
    data, other, file = tmp_path / "data", tmp_path / "other", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        callers = Callers.of_new_server(server)
        approval = obligation(callers.ask())
        callers.approve(approval["approval_id"])
        back_up(data, file)
    restore(file, other)
    with authenticated_server(other) as server:
        assert Callers(server).ask(approval["token"])["reason_code"] == "TOKEN_INVALID"
    with authenticated_server(data) as server:
        assert Callers(server).ask(approval["token"])["outcome"] == "ALLOW"


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_all_open_approvals_are_cancelled_and_logged(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    data, file = tmp_path / "data", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        callers = Callers.of_new_server(server)
        waiting, approved, used = (
            obligation(callers.ask(arguments={"id": number})) for number in range(3)
        )
        for each in (approved, used):
            callers.approve(each["approval_id"])
        assert callers.ask(used["token"], arguments={"id": 2})["outcome"] == "ALLOW"
        back_up(data, file)
    result = run_pdp("restore", str(file), "--database-url", url_of(data), "--force", *flags)
    assert result.returncode == 0, result.stderr
    assert "approvals_cancelled" in result.stdout
    with authenticated_server(data) as server:
        callers = Callers(server)
        states = [callers.state(each["approval_id"]) for each in (waiting, approved, used)]
    assert states == ["cancelled", "cancelled", "used"]
    with closing(sqlite3.connect(data / "pdp.db")) as connection:
        rows = connection.execute(
            "SELECT entity_id, actor FROM changes WHERE summary = ?",
            ("Cancelled: a backup was restored",),
        ).fetchall()
    assert {name for name, _ in rows} == {waiting["approval_id"], approved["approval_id"]}
    assert all(actor.startswith("cli:") for _, actor in rows)


def test_a_checked_backup_changes_nothing(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        callers = Callers.of_new_server(server)
        approval = obligation(callers.ask())
        callers.approve(approval["approval_id"])
        back_up(data, file)
        flags = ("--database-url", url_of(data), "--check", "--json")
        assert "approvals_cancelled" not in json_output(run_pdp("restore", str(file), *flags))
        assert callers.ask(approval["token"])["outcome"] == "ALLOW"
