"""`pdp policies export`, `import` and `rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import DatabaseUrl, Json  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread

_CODES: Final = """
\b
Exit codes:
  0   done; with --dry-run: the change is possible
  2   an option is missing or does not exist, or FILE already exists
  3   the policies or the signature are invalid; stderr says why, and nothing was changed
  4   the database cannot be read or written now
  78  the database, a key or FILE cannot be used
"""

_EXPORT: Final = f"""{_CODES}
\b
Examples:
  pdp policies export acme.yaml --tenant acme
  pdp policies export acme.yaml --tenant acme --force --sign release.key
"""

_IMPORT: Final = f"""{_CODES}
\b
For each kind of policy in the file, the tenant gets exactly the policies in the file; its others of
that kind are deleted. Kinds that are not in the file stay unchanged. With several files, each is a
transaction of its own: a file that fails is reported, the others are imported, and the exit code is
3. With --json, each file is one line of JSON.
  pdp policies import acme.yaml --dry-run
  pdp policies import tenants/
  pdp policies import acme.yaml --tenant staging --verify release.pub
"""

_ROLLBACK: Final = f"""{_CODES}
\b
Examples:
  pdp policies rollback --tenant acme --to 1041 --dry-run
  pdp policies rollback --tenant acme --to 1041
"""

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The YAML file.")]
_Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE...",
        help="YAML files, each with the policies of one tenant; a directory stands for its "
        ".yaml, .yml and .json files.",
        show_default=False,
    ),
]
_FilesFrom = Annotated[
    str | None,
    typer.Option(
        "--files-from",
        metavar="LIST",
        help="Also import the files that this file names, one a line; - reads standard input.",
    ),
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, but change nothing.")
]


@spread
def _export(
    *,
    file: _File,
    tenant: Annotated[
        str, typer.Option(metavar="TENANT", help="The tenant whose policies to export.")
    ],
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY",
            help="Sign the file with this Ed25519 key, and write the signature to FILE.sig.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE if it already exists.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Write all policies of a tenant to a YAML file.

    Keep the file in git, for example.
    """
    from pdp.cli.run.policies import export  # noqa: PLC0415 - loads the engine

    export(file, tenant, sign, database_url, force=force)


@spread
def _import(
    *,
    paths: _Paths = None,
    files_from: _FilesFrom = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="TENANT",
            help="The tenant that gets the policies; for a single file only.  [default: the tenant "
            "in the file]",
        ),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY",
            help="Reject the file unless FILE.sig is a valid signature for this public key.",
        ),
    ] = None,
    dry_run: _DryRun = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Replace the policies of tenants with those in files.

    One transaction makes all changes of a tenant, or none.
    """
    from pdp.cli.run.policies import import_, import_many  # noqa: PLC0415 - as above

    given = paths or []
    if len(given) == 1 and files_from is None and not given[0].is_dir():
        import_(given[0], tenant, verify, database_url, dry_run=dry_run, as_json=as_json)
        return
    if tenant is not None:
        raise typer.BadParameter("only a single file can be given another tenant")
    import_many(given, files_from, verify, database_url, dry_run=dry_run, as_json=as_json)


@spread
def _rollback(
    *,
    tenant: Annotated[
        str, typer.Option(metavar="TENANT", help="The tenant whose policies to roll back.")
    ],
    to: Annotated[int, typer.Option(metavar="REVISION", help="The revision to return to.")],
    dry_run: _DryRun = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Return the policies of a tenant to an earlier revision.

    The rollback is a new change, with its own entry in the change log.
    """
    from pdp.cli.run.policies import rollback  # noqa: PLC0415 - as above

    rollback(tenant, to, database_url, dry_run=dry_run, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="policies",
        help="Export, import and roll back the policies of a tenant. Needs no server.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    app.command("export", epilog=_EXPORT)(_export)
    app.command("import", epilog=_IMPORT)(_import)
    app.command("rollback", epilog=_ROLLBACK)(_rollback)
    return typer.main.get_command(app)
