"""`pdp policies export`, `import` and `rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pdp.cli.options import DatabaseUrl, Json, spread

_CODES: Final = """
\b
Exit codes:
  0   done; with --dry-run: it could be done
  2   an option is missing or does not exist, or FILE is there already
  3   the policies or the signature are refused; stderr says why, and nothing was changed
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
Policies of the kinds that are in the file become what it says: what it does not name is deleted.
Kinds that are not in the file are left alone.
  pdp policies import acme.yaml --dry-run
  pdp policies import acme.yaml --tenant staging --verify release.pub
"""

_ROLLBACK: Final = f"""{_CODES}
\b
Examples:
  pdp policies rollback --tenant acme --to 1041 --dry-run
  pdp policies rollback --tenant acme --to 1041
"""

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The YAML file.")]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
]


@spread
def _export(
    *,
    file: _File,
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="Whose policies.")],
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign it by this Ed25519 key, into FILE.sig."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Write all policies of a tenant into a YAML file, for git."""
    from pdp.cli.run.policies import export  # noqa: PLC0415 - the engine, once it is needed

    export(file, tenant, sign, database_url, force=force)


@spread
def _import(
    *,
    file: _File,
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="TENANT", help="Whose policies they become.  [default: the file's tenant]"
        ),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Refuse it unless FILE.sig is by this public key."),
    ] = None,
    dry_run: _DryRun = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a tenant's policies what a file says.

    All of them in one transaction, or none.
    """
    from pdp.cli.run.policies import import_  # noqa: PLC0415 - as above

    import_(file, tenant, verify, database_url, dry_run=dry_run, as_json=as_json)


@spread
def _rollback(
    *,
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="Whose policies.")],
    to: Annotated[int, typer.Option(metavar="REVISION", help="What they were at this revision.")],
    dry_run: _DryRun = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a tenant's policies what they were.

    That is a new change, which is in the log itself.
    """
    from pdp.cli.run.policies import rollback  # noqa: PLC0415 - as above

    rollback(tenant, to, database_url, dry_run=dry_run, as_json=as_json)


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="policies",
        help="Export, import and roll back the policies of a tenant. On the database itself.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    app.command("export", epilog=_EXPORT)(_export)
    app.command("import", epilog=_IMPORT)(_import)
    app.command("rollback", epilog=_ROLLBACK)(_rollback)
    return typer.main.get_command(app)
