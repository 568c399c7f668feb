"""`pdp siem status`, `pdp siem dead-letters` and `pdp siem resend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer

_CODES: Final = """
\b
Exit codes:
  0   done
  1   {no}
  2   an option is missing or does not exist
  78  the spool cannot be read or written
"""

_STATUS_EPILOG: Final = (
    _CODES.format(no="a connector fails, or has dropped events")
    + """
\b
The command reads the spool in the server's data directory. The server need not run. For what the
SIEM products report about themselves, use GET /api/admin/siem/connectors.
"""
)

_LETTERS_EPILOG: Final = (
    _CODES.format(no="there are no dead letters")
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
Dead letters go to the end of the queue of their connector or webhook.
  pdp siem resend 12 13
  pdp siem resend --all --of splunk
"""
)

_Directory = Annotated[
    Path,
    typer.Option(envvar="PDP_DATA_DIR", metavar="DIRECTORY", help="The server's data directory."),
]
_Of = Annotated[
    str | None,
    typer.Option(
        "--of", metavar="NAME", help="Only those of this connector, or of TENANT/ALERT RULE."
    ),
]


def _status(data_dir: _Directory = Path("var"), as_json: Json = False) -> None:
    """Show how many events wait and were delivered, per SIEM."""
    from pdp.cli.run.siem import show_status  # noqa: PLC0415 - loads the spool

    show_status(data_dir, as_json=as_json)


def _dead_letters(
    data_dir: _Directory = Path("var"),
    of: _Of = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="How many to show, oldest first.")
    ] = 100,
    body: Annotated[bool, typer.Option("--body", help="Show the events themselves.")] = False,
    as_json: Json = False,
) -> None:
    """List events and alerts that no destination accepted."""
    from pdp.cli.run.siem import show_dead_letters  # noqa: PLC0415 - as above

    show_dead_letters(data_dir, of, limit, body=body, as_json=as_json)


def _resend(
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", help="The ids of the letters, from pdp siem dead-letters."),
    ] = None,
    data_dir: _Directory = Path("var"),
    everything: Annotated[
        bool, typer.Option("--all", help="Send all of them, or all that --of selects.")
    ] = False,
    of: _Of = None,
    as_json: Json = False,
) -> None:
    """Send dead letters again. A running server picks them up itself."""
    from pdp.cli.run.siem import resend_dead_letters  # noqa: PLC0415 - as above

    if bool(ids) == everything:
        raise typer.BadParameter("give either the ids of the letters or --all")
    resend_dead_letters(data_dir, ids or None, of, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="siem",
        help="Show what SIEMs and webhooks did not accept, and resend it.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("status", epilog=_STATUS_EPILOG)(_status)
    app.command("dead-letters", epilog=_LETTERS_EPILOG)(_dead_letters)
    app.command("resend", epilog=_RESEND_EPILOG)(_resend)
    return typer.main.get_command(app)
