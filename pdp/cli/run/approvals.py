"""Runs `pdp approvals`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from pdp.cli.connect import connect
from pdp.cli.failures import exit_on_failure
from pdp.cli.output.approval_report import APPROVAL_COLUMNS, approval_report, approval_row
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.cli.request import to_message
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from pdp.cli.options.target import TargetOptions
    from pdp.client import Client

_PAGE: Final = 100


def list_approvals(
    target: TargetOptions, tenant: str, state: str, limit: int, *, as_json: bool
) -> None:
    """Prints approvals, the oldest first."""
    with exit_on_failure(as_json=as_json), connect(target) as client:
        approvals, is_more = _read_pages(client, tenant, state, limit)
    if as_json:
        print_json(approvals)
    else:
        noun = "approval" if len(approvals) == 1 else "approvals"
        rows = [approval_row(each) for each in approvals]
        table = Table("Approvals", APPROVAL_COLUMNS, rows)
        show(Report(f"{len(approvals)} {noun}", tables=[table]))
    if is_more:
        print("pdp: there are more; raise --limit to see them", file=sys.stderr)


def show_approval(target: TargetOptions, tenant: str, approval_id: str, *, as_json: bool) -> None:
    """Prints an approval, with the record of the held request."""
    approval = _call(target, tenant, "GetApproval", {"id": approval_id}, as_json=as_json)
    _print(approval, with_record=True, as_json=as_json)


def answer(
    target: TargetOptions, tenant: str, rpc: str, approval_id: str, reason: str, *, as_json: bool
) -> None:
    """Approves, denies or cancels a request, and prints the approval as it is then.

    Args:
        target: the server.
        tenant: the tenant; empty for that of the credential.
        rpc: the name of the RPC.
        approval_id: the approval.
        reason: why.
        as_json: print JSON.
    """
    body = {"id": approval_id, "reason": reason}
    _print(_call(target, tenant, rpc, body, as_json=as_json), with_record=False, as_json=as_json)


def _call(
    target: TargetOptions, tenant: str, rpc: str, body: dict[str, Any], *, as_json: bool
) -> dict[str, Any]:
    with exit_on_failure(as_json=as_json):
        message = to_message(rpc, body)
        with connect(target) as client:
            approval: dict[str, Any] = encode(client.call(rpc, message, tenant).message)["approval"]
            return approval
    raise AssertionError  # exit_on_failure ends the process


def _print(approval: dict[str, Any], *, with_record: bool, as_json: bool) -> None:
    if as_json:
        print_json(approval)
    else:
        show(approval_report(approval, with_record=with_record))


def _read_pages(
    client: Client, tenant: str, state: str, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Returns up to `limit` approvals, and whether there are more."""
    approvals: list[dict[str, Any]] = []
    page = {"state": state, "page_token": ""}
    while len(approvals) < limit:
        size = min(_PAGE, limit - len(approvals))
        message = to_message("ListApprovals", {**page, "page_size": size})
        answered = encode(client.call("ListApprovals", message, tenant).message)
        approvals += answered["approvals"]
        page["page_token"] = answered.get("next_page_token", "")
        if not page["page_token"]:
            break
    return approvals, bool(page["page_token"])
