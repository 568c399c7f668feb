"""`pdp audit tail|search|show|export|verify|changes`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pdp.cli.options.audit import (  # noqa: TC001 - read by typer
    ChangeOptions,
    RecordFilterOptions,
    Tenant,
)
from pdp.cli.options.common import ApiJson  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import TargetOptions  # noqa: TC001 - read by typer

_EXITS: Final = """\
\b
Exit codes:
  0   done
  2   the options do not fit together
  3   a value is invalid
  4   the server or its database is not available
  78  with --embedded: the database or the settings cannot be used
"""

_VERIFY_EPILOG: Final = """\
\b
Exit codes:
  0   the log is intact
  1   the log was tampered with: a record was removed, altered, added or moved
  2   the options do not fit together
  3   the anchor is invalid
  4   the server or its database is not available
  78  with --embedded: the database or the settings cannot be used

\b
Examples:
  pdp audit verify
  pdp audit verify --anchor 1284:6f0c…   (the head that an earlier verification printed)
  pdp audit verify --records /var/lib/pdp/records
"""

PARQUET: Final = "parquet"

_EXPORT_EPILOG: Final = f"""{_EXITS}
\b
Examples:
  pdp audit export --format csv --output march.csv --since 2026-03-01
  pdp audit export --format parquet --output /var/lib/pdp/records
  pdp audit export --format parquet --output s3://BUCKET/records
Parquet needs an extra: pip install 'pdp[parquet]'. See docs/parquet.md.
"""

_SEARCH_EPILOG: Final = f"""{_EXITS}
\b
Examples:
  pdp audit search --outcome BLOCK --since 24h
  pdp audit search --user u1 --policy sys_sqli_union --json
"""


@spread
def _tail(records: RecordFilterOptions, target: TargetOptions, as_json: ApiJson = False) -> None:
    """Print decision records as they are written, until Ctrl-C.

    With --since, the records from that time on come first.
    """
    from pdp.cli.run.audit import tail  # noqa: PLC0415 - loads protobuf

    tail(records, target, as_json=as_json)


@spread
def _search(
    records: RecordFilterOptions,
    target: TargetOptions,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, metavar="NUMBER", help="The highest number of records to print."
        ),
    ] = 50,
    as_json: ApiJson = False,
) -> None:
    """Find decision records, the newest first."""
    from pdp.cli.run.audit import search  # noqa: PLC0415 - as above

    search(records, target, limit, as_json=as_json)


@spread
def _show(
    decision_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id of the decision, or of the request.")
    ],
    target: TargetOptions,
    tenant: Tenant = "",
    as_json: ApiJson = False,
) -> None:
    """Show one decision record with everything that it has."""
    from pdp.cli.run.audit import show_record  # noqa: PLC0415 - as above

    show_record(decision_id, target, tenant, as_json=as_json)


@spread
def _export(
    records: RecordFilterOptions,
    target: TargetOptions,
    form: Annotated[
        str,
        typer.Option("--format", metavar="ndjson|csv|parquet", help="The format of the output."),
    ] = "ndjson",
    output: Annotated[
        str,
        typer.Option(
            metavar="FILE|DIR|URL",
            help="The file to write; - writes to standard output. For Parquet: a directory, or a"
            " URL such as s3://BUCKET/PATH.",
        ),
    ] = "-",
    file_rows: Annotated[
        int,
        typer.Option(
            min=1_000,
            max=1_000_000,
            metavar="NUMBER",
            help="About the most records of a Parquet file, and of a step that an interrupted"
            " export repeats.",
        ),
    ] = 200_000,
) -> None:
    """Write all matching decision records, the oldest first.

    Parquet is for queries and for replays of many records. Such an export reads the log of this
    host, while servers write to it. It has the records of all tenants, a directory for each tenant
    and day, and the hash chain of the log. Run it again to add the records that were written
    since: it goes on from where the last one ended, or was interrupted.
    """
    if form == PARQUET:
        from pdp.cli.run.export_parquet import export_parquet  # noqa: PLC0415 - loads Arrow

        export_parquet(records, target, output, file_rows)
    else:
        from pdp.cli.run.audit import export  # noqa: PLC0415 - as above

        export(records, target, form, output)


@spread
def _verify(
    target: TargetOptions,
    anchor: Annotated[
        str,
        typer.Option(metavar="HEAD", help="The head that an earlier verification printed."),
    ] = "",
    records: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="Check an export in Parquet instead of the log.",
        ),
    ] = None,
    as_json: ApiJson = False,
) -> None:
    """Check that no record was removed, altered, added or moved.

    The command checks the records of all tenants. With --records, it checks those of an export by
    the hash chain that the export has, and calls no server. A log with a key needs the same
    PDP_AUDIT_KEY_FILE.

    It prints the head of the log, which identifies the log's present state. Keep the head in
    another place. If you pass it as --anchor later, the command also detects that the end of the
    log was cut off.
    """
    if records is not None:
        from pdp.cli.run.export_parquet import verify_parquet  # noqa: PLC0415 - loads Arrow

        verify_parquet(records, target, anchor, as_json=as_json)
    else:
        from pdp.cli.run.audit import verify  # noqa: PLC0415 - as above

        verify(target, anchor, as_json=as_json)


@spread
def _changes(
    changes: ChangeOptions,
    target: TargetOptions,
    limit: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, metavar="NUMBER", help="The highest number of changes to print."
        ),
    ] = 50,
    as_json: ApiJson = False,
) -> None:
    """Show who changed which policy, the newest change first."""
    from pdp.cli.run.audit import changes as show  # noqa: PLC0415 - as above

    show(changes, target, limit, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="audit",
        help="Read decision records and the log of policy changes. See docs/audit.md.",
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.command("tail", epilog=_EXITS)(_tail)
    app.command("search", epilog=_SEARCH_EPILOG)(_search)
    app.command("show", epilog=_EXITS)(_show)
    app.command("export", epilog=_EXPORT_EPILOG)(_export)
    app.command("verify", epilog=_VERIFY_EPILOG)(_verify)
    app.command("changes", epilog=_EXITS)(_changes)
    return typer.main.get_command(app)
