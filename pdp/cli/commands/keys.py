"""`pdp keys create`, `list`, `rotate` and `revoke`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

_CODES: Final = """
\b
Exit codes:
  0   done
  2   an option is missing, or does not exist
  3   refused; stderr says why
  4   the database cannot be read or written now
  78  the database or the settings cannot be used
"""

_CREATE_EPILOG: Final = f"""{_CODES}
\b
The key is the last line of standard output, alone, and is shown this once:
  export PDP_API_KEY="$(pdp keys create --role admin --tenant '*' | tail -n 1)"
  pdp keys create --role pep --tenant acme --name gateway --expires-days 90
"""

_ROTATE_EPILOG: Final = f"""{_CODES}
\b
The new key is the last line of standard output. The old one counts beside it for a day, or as
long as --overlap-s says:
  pdp keys rotate 6a0e6a8e-7f0c-4d3b-9f0e-0d1a5f6c2b11 --overlap-s 3600
"""

_Url = Annotated[
    str | None,
    typer.Option(
        envvar="PDP_DATABASE_URL",
        metavar="URL",
        help="The database, as sqlite:///PATH.  [default: the server's]",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
_Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as the list shows it.")]


def _create(
    *,
    role: Annotated[str, typer.Option(metavar="admin|editor|auditor|pep", help="What it may do.")],
    tenant: Annotated[
        list[str],
        typer.Option(
            metavar="TENANT", help="A tenant that it acts for; may be repeated. '*' stands for all."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What people call it.  [default: the role]")
    ] = None,
    expires_days: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS", help="For how many days it counts.  [default: until it is revoked]"
        ),
    ] = None,
    database_url: _Url = None,
    as_json: _Json = False,
) -> None:
    """Make an API key, and show it: nobody can see it again.

    It counts at once, in servers that are running on the database, too.
    """
    from pdp.cli.run.keys import create  # noqa: PLC0415 - the engine, once there is work to do

    create(database_url, role, tenant, name or role, expires_days, as_json=as_json)


def _list(database_url: _Url = None, as_json: _Json = False) -> None:
    """List the API keys, as far as there is anything to know of them."""
    from pdp.cli.run.keys import list_keys  # noqa: PLC0415 - as above

    list_keys(database_url, as_json=as_json)


def _rotate(
    key_id: _Id,
    overlap_s: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", help="How long the old one counts beside it.  [default: 86400]"
        ),
    ] = None,
    database_url: _Url = None,
    as_json: _Json = False,
) -> None:
    """Give a key a new secret, and show it: nobody can see it again."""
    from pdp.cli.run.keys import rotate  # noqa: PLC0415 - as above

    rotate(database_url, key_id, overlap_s, as_json=as_json)


def _revoke(key_id: _Id, database_url: _Url = None) -> None:
    """Make a key count no more. Running servers know within some 25 ms."""
    from pdp.cli.run.keys import revoke  # noqa: PLC0415 - as above

    revoke(database_url, key_id)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="keys",
        help="Make, list and revoke API keys. On the database itself: no server or key is needed.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("create", epilog=_CREATE_EPILOG)(_create)
    app.command("list", epilog=_CODES)(_list)
    app.command("rotate", epilog=_ROTATE_EPILOG)(_rotate)
    app.command("revoke", epilog=_CODES)(_revoke)
    return typer.main.get_command(app)
