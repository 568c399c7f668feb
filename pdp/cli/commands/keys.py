"""`pdp keys create`, `list`, `rotate` and `revoke`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import DatabaseUrl, Json  # noqa: TC001 - read by typer

_CODES: Final = """
\b
Exit codes:
  0   done
  2   an option is missing or does not exist
  3   refused: a value is invalid, or there is no such key; stderr says why
  4   the database cannot be read or written now
  78  the database or the settings cannot be used
"""

_CREATE_EPILOG: Final = f"""{_CODES}
\b
The key is the last line of standard output. It is shown only once:
  export PDP_API_KEY="$(pdp keys create --role admin --tenant '*' | tail -n 1)"
  pdp keys create --role pep --tenant acme --name gateway --expires-days 90
  pdp keys create --role approver --tenant acme --name "Ann's key" --owner ann
"""

_ROTATE_EPILOG: Final = f"""{_CODES}
\b
The new key is the last line of standard output. The old one stays valid for a day, or for the
time in --overlap-s:
  pdp keys rotate 6a0e6a8e-7f0c-4d3b-9f0e-0d1a5f6c2b11 --overlap-s 3600
"""

_Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the key, from pdp keys list.")]


def _create(
    *,
    role: Annotated[
        str,
        typer.Option(
            metavar="admin|editor|auditor|approver|follower|pep", help="What the key may do."
        ),
    ],
    tenant: Annotated[
        list[str],
        typer.Option(
            metavar="TENANT",
            help="A tenant that the key is valid for; may be repeated. '*' means all tenants.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A name for people to read.  [default: the role]"),
    ] = None,
    expires_days: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            help="How many days the key is valid.  [default: until it is revoked]",
        ),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="PERSON",
            help="Who uses the key. Only a key with an owner can answer approvals.",
        ),
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Create an API key, and show it once.

    The key is valid at once, also in servers that are running on the database.
    """
    from pdp.cli.run.keys import create  # noqa: PLC0415 - loads the engine

    body: dict[str, Any] = {"name": name or role, "role": role, "tenants": list(tenant)}
    if owner:
        body["owner"] = owner
    create(database_url, body, expires_days, as_json=as_json)


def _list(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the API keys, without the keys themselves."""
    from pdp.cli.run.keys import list_keys  # noqa: PLC0415 - as above

    list_keys(database_url, as_json=as_json)


def _rotate(
    key_id: _Id,
    overlap_s: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help="How long the old key stays valid.  [default: 86400]"),
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Replace the secret of a key, and show the new key once."""
    from pdp.cli.run.keys import rotate  # noqa: PLC0415 - as above

    rotate(database_url, key_id, overlap_s, as_json=as_json)


def _revoke(key_id: _Id, database_url: DatabaseUrl = None) -> None:
    """Revoke a key. Running servers reject it within about 25 ms."""
    from pdp.cli.run.keys import revoke  # noqa: PLC0415 - as above

    revoke(database_url, key_id)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="keys",
        help="Create, list, rotate and revoke API keys in the database. Needs no server or key.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("create", epilog=_CREATE_EPILOG)(_create)
    app.command("list", epilog=_CODES)(_list)
    app.command("rotate", epilog=_ROTATE_EPILOG)(_rotate)
    app.command("revoke", epilog=_CODES)(_revoke)
    return typer.main.get_command(app)
