"""`pdp audit tail|search|export|verify|changes`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.audit_options import ChangeOptions, RecordFilterOptions  # noqa: TC001 - read by typer
from pdp.cli.options import Json, TargetOptions, spread

_EXITS: Final = """\
\b
Exit codes:
  0   done
  2   these options make no sense together
  3   a value is invalid
  4   the server, or its database, is not there to answer
  78  with --embedded: the database or the settings cannot be used
"""

_VERIFY_EPILOG: Final = """\
\b
Exit codes:
  0   the log is as it was written
  1   it is not: a record was removed, altered, added or put elsewhere
  2   these options make no sense together
  3   the anchor is none
  4   the server, or its database, is not there to answer
  78  with --embedded: the database or the settings cannot be used

\b
Examples:
  pdp audit verify
  pdp audit verify --anchor 1284:6f0c…   (the head that an earlier verification told)
"""

_SEARCH_EPILOG: Final = f"""{_EXITS}
\b
Examples:
  pdp audit search --outcome BLOCK --since 24h
  pdp audit search --user u1 --policy sys_sqli_union --json
"""


@spread
def _tail(records: RecordFilterOptions, target: TargetOptions, as_json: Json = False) -> None:
    """Show decisions as they are recorded, until Ctrl-C."""
    from pdp.cli.run.audit import tail  # noqa: PLC0415 - protobuf, once there is work to do

    tail(records, target, as_json=as_json)


@spread
def _search(
    records: RecordFilterOptions,
    target: TargetOptions,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, metavar="NUMBER", help="How many records at most, the newest first."
        ),
    ] = 50,
    as_json: Json = False,
) -> None:
    """Find recorded decisions, the newest first."""
    from pdp.cli.run.audit import search  # noqa: PLC0415 - as above

    search(records, target, limit, as_json=as_json)


@spread
def _export(
    records: RecordFilterOptions,
    target: TargetOptions,
    form: Annotated[
        str, typer.Option("--format", metavar="ndjson|csv", help="What is written.")
    ] = "ndjson",
    output: Annotated[
        str, typer.Option(metavar="FILE", help="Where to; - is standard output.")
    ] = "-",
) -> None:
    """Write all recorded decisions that are wanted, the oldest first."""
    from pdp.cli.run.audit import export  # noqa: PLC0415 - as above

    export(records, target, form, output)


@spread
def _verify(
    target: TargetOptions,
    anchor: Annotated[
        str,
        typer.Option(metavar="HEAD", help="The head that an earlier verification told."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Check that no record was removed, altered or added.

    None may have been put elsewhere either. The records of all tenants are checked.

    The head that it tells names the log as it is now. Keep it elsewhere: given as --anchor later,
    it shows whether the end of the log was cut off since.
    """
    from pdp.cli.run.audit import verify  # noqa: PLC0415 - as above

    verify(target, anchor, as_json=as_json)


@spread
def _changes(
    changes: ChangeOptions,
    target: TargetOptions,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, metavar="NUMBER", help="How many changes at most, the newest first."
        ),
    ] = 50,
    as_json: Json = False,
) -> None:
    """Show who changed which policy, the newest change first."""
    from pdp.cli.run.audit import changes as show  # noqa: PLC0415 - as above

    show(changes, target, limit, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="audit",
        help="Read the records of decisions and of changes. docs/audit.md describes them.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("tail", epilog=_EXITS)(_tail)
    app.command("search", epilog=_SEARCH_EPILOG)(_search)
    app.command("export", epilog=_EXITS)(_export)
    app.command("verify", epilog=_VERIFY_EPILOG)(_verify)
    app.command("changes", epilog=_EXITS)(_changes)
    return typer.main.get_command(app)
