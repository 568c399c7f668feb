"""`pdp approvals list|show|approve|deny|cancel`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import ApiJson  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import TargetOptions  # noqa: TC001 - read by typer

_EXITS: Final = """\
\b
Exit codes:
  0   done
  2   an option is missing, or the options do not fit together
  3   refused: a value is invalid, the approval does not exist or is not open,
      or you may not answer it; stderr says why
  4   the server or its database is not available
  78  with --embedded: the database or the settings cannot be used
"""

_LIST_EPILOG: Final = f"""{_EXITS}
\b
Examples:
  pdp approvals list --state pending
  pdp approvals list --state approved --json
"""

_SHOW_EPILOG: Final = f"""{_EXITS}
\b
Example:
  pdp approvals show 01KB3ZP7Q8W1
"""

_APPROVE_EPILOG: Final = f"""{_EXITS}
\b
The server must know who you are: use an API key with an owner, from
pdp keys create --role approver --owner NAME, or a token. You cannot approve
what you have asked for yourself.
  export PDP_API_KEY=aa_live_…
  pdp approvals show 01KB3ZP7Q8W1
  pdp approvals approve 01KB3ZP7Q8W1 --reason "CHG-4711, agreed with the owner of the table"
"""

_DENY_EPILOG: Final = f"""{_EXITS}
\b
Example:
  pdp approvals deny 01KB3ZP7Q8W1 --reason "not while the migration is running"
"""

_CANCEL_EPILOG: Final = f"""{_EXITS}
\b
Example:
  pdp approvals cancel 01KB3ZP7Q8W1 --reason "asked by mistake"
"""

_STATES: Final = "pending|approved|used|denied|cancelled|expired"

_Id = Annotated[
    str, typer.Argument(metavar="ID", help="The id of the approval, from pdp approvals list.")
]
_Tenant = Annotated[
    str,
    typer.Option(metavar="TENANT", help="The tenant.  [default: the tenant of the credential]"),
]
_Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why. Auditors read it, and so does who asked.")
]


@spread
def _list(
    target: TargetOptions,
    tenant: _Tenant = "",
    state: Annotated[str, typer.Option(metavar=_STATES, help="Only approvals in this state.")] = "",
    limit: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="How many to print, the oldest first.")
    ] = 100,
    as_json: ApiJson = False,
) -> None:
    """List requests that wait, or have waited, for a second person."""
    from pdp.cli.run.approvals import list_approvals  # noqa: PLC0415 - loads protobuf

    list_approvals(target, tenant, state, limit, as_json=as_json)


@spread
def _show(
    approval_id: _Id, target: TargetOptions, tenant: _Tenant = "", as_json: ApiJson = False
) -> None:
    """Show what an approval asks, of whom, and the redacted request."""
    from pdp.cli.run.approvals import show_approval  # noqa: PLC0415 - as above

    show_approval(target, tenant, approval_id, as_json=as_json)


@spread
def _approve(
    approval_id: _Id,
    target: TargetOptions,
    *,
    reason: _Reason,
    tenant: _Tenant = "",
    as_json: ApiJson = False,
) -> None:
    """Approve a request, so that it passes once.

    The request passes when it is sent again with its token, before the approval expires. All other
    rules judge it anew. If several rules ask different people, each of them has to approve.
    """
    from pdp.cli.run.approvals import answer  # noqa: PLC0415 - as above

    answer(target, tenant, "ApproveApproval", approval_id, reason, as_json=as_json)


@spread
def _deny(
    approval_id: _Id,
    target: TargetOptions,
    *,
    reason: _Reason,
    tenant: _Tenant = "",
    as_json: ApiJson = False,
) -> None:
    """Deny a request.

    Until the approval expires, the same request is blocked. An approval that is not used yet can be
    taken back in this way, too.
    """
    from pdp.cli.run.approvals import answer  # noqa: PLC0415 - as above

    answer(target, tenant, "DenyApproval", approval_id, reason, as_json=as_json)


@spread
def _cancel(
    approval_id: _Id,
    target: TargetOptions,
    reason: _Reason = "",
    tenant: _Tenant = "",
    as_json: ApiJson = False,
) -> None:
    """Cancel what you have asked for; an admin can cancel any approval.

    The same request can ask again.
    """
    from pdp.cli.run.approvals import answer  # noqa: PLC0415 - as above

    answer(target, tenant, "CancelApproval", approval_id, reason, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="approvals",
        help="List and answer requests that wait for a second person.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("list", epilog=_LIST_EPILOG)(_list)
    app.command("show", epilog=_SHOW_EPILOG)(_show)
    app.command("approve", epilog=_APPROVE_EPILOG)(_approve)
    app.command("deny", epilog=_DENY_EPILOG)(_deny)
    app.command("cancel", epilog=_CANCEL_EPILOG)(_cancel)
    return typer.main.get_command(app)
