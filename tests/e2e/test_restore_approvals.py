"""A restored backup brings back no approval and no token, used or not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.approvals import (
    DELETE,
    ApprovalTenant,
    approval_of,
    confirmation_of,
    is_blocked,
)
from tests.support.authenticated_servers import authenticated_server
from tests.support.servers import json_output, run_pdp

if TYPE_CHECKING:
    from pathlib import Path

TENANT: Final = "acme"
PROMPT: Final = {
    "name": "deleting",
    "conditions": {"actions": [DELETE]},
    "action": {"type": "PROMPT", "prompt_message": "Sure?"},
}


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
        acme = ApprovalTenant(server, TENANT)
        asked = acme.decide()
        acme.approve(asked)
        approval = approval_of(asked)
        back_up(data, file)
        assert acme.decide(approval["token"])["outcome"] == "ALLOW"
    assert restore(file, data)["approvals_cancelled"] == 1
    with authenticated_server(data) as server:
        acme.server = server
        assert is_blocked(acme.decide(approval["token"]), "TOKEN_INVALID")
        assert acme.approval(approval["approval_id"])["state"] == "cancelled"
        again = acme.decide()
        assert approval_of(again)["approval_id"] != approval["approval_id"]
        acme.approve(again)
        assert acme.decide(approval_of(again)["token"])["outcome"] == "ALLOW"


def test_a_confirmation_that_was_used_since_cannot_be_used_again(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        acme = ApprovalTenant(server, TENANT, rules=[PROMPT])
        confirmation = confirmation_of(acme.decide())
        back_up(data, file)
        assert acme.decide(confirmation)["outcome"] == "ALLOW"
    assert restore(file, data)["approvals_cancelled"] == 0
    with authenticated_server(data) as server:
        acme.server = server
        assert is_blocked(acme.decide(confirmation), "TOKEN_INVALID")


def test_a_backup_that_is_restored_elsewhere_has_no_valid_tokens(tmp_path: Path) -> None:
    """Without a database to replace, too; there, the token still lets one request pass."""
    data, other, file = tmp_path / "data", tmp_path / "other", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        acme = ApprovalTenant(server, TENANT)
        asked = acme.decide()
        acme.approve(asked)
        back_up(data, file)
    token = approval_of(asked)["token"]
    restore(file, other)
    with authenticated_server(other) as server:
        acme.server = server
        assert is_blocked(acme.decide(token), "TOKEN_INVALID")
    with authenticated_server(data) as server:
        acme.server = server
        assert acme.decide(token)["outcome"] == "ALLOW"


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_all_open_approvals_are_cancelled_and_logged(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    data, file = tmp_path / "data", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        acme = ApprovalTenant(server, TENANT)
        asked = [acme.decide(arguments={"id": number}) for number in range(3)]
        acme.approve(asked[1])
        acme.approve(asked[2])
        token = approval_of(asked[2])["token"]
        assert acme.decide(token, arguments={"id": 2})["outcome"] == "ALLOW"
        back_up(data, file)
    result = run_pdp("restore", str(file), "--database-url", url_of(data), "--force", *flags)
    assert result.returncode == 0, result.stderr
    assert "approvals_cancelled" in result.stdout
    ids = [approval_of(each)["approval_id"] for each in asked]
    with authenticated_server(data) as server:
        acme.server = server
        states = [acme.approval(each)["state"] for each in ids]
    assert states == ["cancelled", "cancelled", "used"]
    with closing(sqlite3.connect(data / "pdp.db")) as connection:
        rows = connection.execute(
            "SELECT entity_id, actor FROM changes WHERE summary = ?",
            ("Cancelled: a backup was restored",),
        ).fetchall()
    assert {name for name, _ in rows} == set(ids[:2])
    assert all(actor.startswith("cli:") for _, actor in rows)


def test_a_checked_backup_changes_nothing(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "pdp.backup"
    with authenticated_server(data) as server:
        acme = ApprovalTenant(server, TENANT)
        asked = acme.decide()
        acme.approve(asked)
        back_up(data, file)
        flags = ("--database-url", url_of(data), "--check", "--json")
        assert "approvals_cancelled" not in json_output(run_pdp("restore", str(file), *flags))
        assert acme.decide(approval_of(asked)["token"])["outcome"] == "ALLOW"
