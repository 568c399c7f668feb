"""`pdp siem status`, `pdp siem dead-letters` and `pdp siem resend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

_CODES: Final = """
\b
Exit codes:
  0   done
  1   {no}
  2   an option is missing, or does not exist
  78  the spool cannot be read or written
"""

_STATUS_EPILOG: Final = (
    _CODES.format(no="a connector is failing, or has dropped events")
    + """
\b
It reads the spool in the server's data directory, whether the server runs or not. What the products
say of themselves is in GET /api/admin/siem/connectors.
"""
)

_LETTERS_EPILOG: Final = (
    _CODES.format(no="there are none")
    + """
\b
Examples:
  pdp siem dead-letters
  pdp siem dead-letters --of splunk --body
"""
)

_RESEND_EPILOG: Final = (
    _CODES.format(no="there was nothing to send")
    + """
\b
What is sent again goes behind all that waits, to the connector or the webhook that it was for.
  pdp siem resend 12 13
  pdp siem resend --all --of splunk
"""
)

_Directory = Annotated[
    Path,
    typer.Option(envvar="PDP_DATA_DIR", metavar="DIRECTORY", help="The server's data directory."),
]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
_Of = Annotated[
    str | None,
    typer.Option(
        "--of", metavar="NAME", help="Only those of a connector, or of TENANT/ALERT RULE."
    ),
]


def _status(data_dir: _Directory = Path("var"), as_json: _Json = False) -> None:
    """Show what waits for each SIEM and what was delivered."""
    from pdp.cli.run.siem import show_status  # noqa: PLC0415 - once there is work to do

    show_status(data_dir, as_json=as_json)


def _dead_letters(
    data_dir: _Directory = Path("var"),
    of: _Of = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="How many to show, oldest first.")
    ] = 100,
    body: Annotated[bool, typer.Option("--body", help="Show the events themselves.")] = False,
    as_json: _Json = False,
) -> None:
    """List the events and alerts that nobody would take, and why."""
    from pdp.cli.run.siem import show_dead_letters  # noqa: PLC0415 - as above

    show_dead_letters(data_dir, of, limit, body=body, as_json=as_json)


def _resend(
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", help="The letters' ids, as the list shows them."),
    ] = None,
    data_dir: _Directory = Path("var"),
    everything: Annotated[
        bool, typer.Option("--all", help="Send all of them, or all of --of.")
    ] = False,
    of: _Of = None,
    as_json: _Json = False,
) -> None:
    """Send dead letters again. A server that runs takes them up by itself."""
    from pdp.cli.run.siem import send_again  # noqa: PLC0415 - as above

    if bool(ids) == everything:
        raise typer.BadParameter("name the letters to send, or say --all")
    send_again(data_dir, ids or None, of, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="siem",
        help="See what SIEMs and webhooks have not taken, and send it again.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("status", epilog=_STATUS_EPILOG)(_status)
    app.command("dead-letters", epilog=_LETTERS_EPILOG)(_dead_letters)
    app.command("resend", epilog=_RESEND_EPILOG)(_resend)
    return typer.main.get_command(app)
