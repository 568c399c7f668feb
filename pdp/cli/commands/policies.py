"""`pdp policies`: the policies of a tenant as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer
from pdp.cli.options.policy_target import PolicyTargetOptions  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread

_CODES: Final = """
\b
Exit codes:
  0   done; with --dry-run: the change is possible
  2   an option is missing or does not exist, or FILE already exists
  3   the policies or the signature are invalid; stderr says where and why, and nothing was changed
  4   the server or the database is not available now
  78  the database, a key or FILE cannot be used
"""

_EXPORT: Final = f"""{_CODES}
\b
Examples:
  pdp policies export acme.yaml --tenant acme
  pdp policies export - --tenant acme --server localhost:50051
  pdp policies export acme.yaml --tenant acme --force --sign release.key
"""

_IMPORT: Final = f"""{_CODES}
\b
For each section of the file, the tenant gets exactly the policies of the file; its others of that
section are deleted. Sections that are not in the file stay unchanged. With --merge, nothing is
deleted. With several files, each is a transaction of its own: a file that fails is reported, the
others are imported, and the exit code is 3. With --json, each file is one line of JSON.
Secrets such as ${{SLACK_WEBHOOK}} are read from the environment.
  pdp policies import acme.yaml --dry-run
  pdp policies import tenants/
  pdp policies import acme.yaml --tenant staging --verify release.pub
"""

_DIFF: Final = """
\b
Exit codes:
  0   the tenant has the policies of the file
  1   an import would change policies
  2   an option is missing or does not exist
  3   the policies are invalid; stderr says where and why
  4   the server or the database is not available now
  78  the database cannot be used
"""

_SIGNING_KEY: Final = """
\b
Exit codes:
  0   the key was printed
  2   an option is missing or does not exist
  4   the server or the database is not available now
  78  the database cannot be used

\b
Examples:
  export PDP_FOLLOW_SIGNING_KEY="$(pdp policies signing-key)"
  pdp policies signing-key --server pdp.internal:50051 --tls
"""

_ROLLBACK: Final = f"""{_CODES}
\b
Examples:
  pdp policies rollback --tenant acme --to 1041 --dry-run
  pdp policies rollback --tenant acme --to 1041
"""

_SYNC: Final = """
\b
Exit codes:
  0   applied, or there was nothing to change; with --dry-run: nothing would change
  1   with --dry-run: something would change
  2   an option is missing or does not exist
  3   a file is invalid, or two files have the same policy; nothing was changed
  4   the server or the database is not available now
  78  the database cannot be used
\b
All .yaml and .yml files below DIR are one set of policies; files with decision cases are skipped.
One transaction applies all of them, so a run that fails changes nothing, and a second run has
nothing to change.
  pdp policies sync policies/ --tenant acme --dry-run
  pdp policies sync policies/ --prune --server pdp.example:50051
"""

_LINT: Final = """
\b
Exit codes:
  0   nothing was found
  1   something was found
  2   an option is missing or does not exist
  4   the server or the database is not available now
  78  the database cannot be used
\b
A policy is shadowed if a rule before it decides every request that meets it, contradictory or a
duplicate if another one looks for the same, and unmatched if no record of the period has it.
Records are searched on a server only, with --server.
  pdp policies lint --tenant acme
  pdp policies lint --tenant acme --server localhost:50051 --days 7 --json
"""

_PROMOTE: Final = """
\b
Exit codes:
  0   the policy is enforced now
  2   an option is missing, or several policies have the name
  3   no policy in monitor mode has the name
  4   the server or the database is not available now
  78  the database cannot be used
\b
  pdp policies promote "Project codes" --tenant acme
"""

_FMT: Final = """
\b
Exit codes:
  0   all files have the normal form now; with --check: they have it already
  1   with --check: a file has another form
  3   a file is not a policy file
"""

_INIT: Final = """
\b
Exit codes:
  0   done
  2   a file exists already; nothing was written
\b
  pdp policies init acme
  pdp test acme/tests
  pdp policies sync acme --tenant acme
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
_Merge = Annotated[
    bool,
    typer.Option("--merge", help="Delete nothing: policies that the file does not have stay."),
]
_FileTenant = Annotated[
    str | None,
    typer.Option(
        metavar="TENANT",
        help="The tenant that gets the policies.  [default: the tenant in the file]",
    ),
]


@spread
def _export(
    target: PolicyTargetOptions,
    *,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The YAML file; - for standard output.")
    ],
    tenant: Annotated[
        str, typer.Option(metavar="TENANT", help="The tenant whose policies to export.")
    ],
    revision: Annotated[
        int,
        typer.Option(metavar="REVISION", min=0, help="Export the policies of an earlier revision."),
    ] = 0,
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
) -> None:
    """Write all policies of a tenant to a YAML file.

    Keep the file in git, for example. Secrets are references in it.
    """
    from pdp.cli.run.policies import export  # noqa: PLC0415 - loads the engine

    export(file, tenant, sign, target, revision=revision, force=force)


@spread
def _import(
    target: PolicyTargetOptions,
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
    merge: _Merge = False,
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Replace the policies of tenants with those in files.

    One transaction makes all changes of a tenant, or none.
    """
    from pdp.cli.run.policies import import_, import_many  # noqa: PLC0415 - as above

    given = paths or []
    options = {"merge": merge, "dry_run": dry_run, "as_json": as_json}
    if len(given) == 1 and files_from is None and not given[0].is_dir():
        import_(given[0], tenant, verify, target, **options)
        return
    if tenant is not None:
        raise typer.BadParameter("only a single file can be given another tenant")
    import_many(given, files_from, verify, target, **options)


@spread
def _diff(
    target: PolicyTargetOptions,
    *,
    file: _File,
    tenant: _FileTenant = None,
    merge: _Merge = False,
    as_json: Json = False,
) -> None:
    """Show what an import of a file would change."""
    from pdp.cli.run.policies import diff  # noqa: PLC0415 - as above

    diff(file, tenant, target, merge=merge, as_json=as_json)


@spread
def _rollback(
    target: PolicyTargetOptions,
    *,
    tenant: Annotated[
        str, typer.Option(metavar="TENANT", help="The tenant whose policies to roll back.")
    ],
    to: Annotated[int, typer.Option(metavar="REVISION", help="The revision to return to.")],
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Return the policies of a tenant to an earlier revision.

    The rollback is a new change, with its own entry in the change log.
    """
    from pdp.cli.run.policies import rollback  # noqa: PLC0415 - as above

    rollback(tenant, to, target, dry_run=dry_run, as_json=as_json)


@spread
def _sync(
    target: PolicyTargetOptions,
    *,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="The directory.")
    ],
    tenant: Annotated[
        str | None,
        typer.Option(
            metavar="TENANT",
            help="The tenant that gets the policies.  [default: the tenant in the files]",
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete the tenant's policies that the directory lacks."),
    ] = False,
    dry_run: _DryRun = False,
    as_json: Json = False,
) -> None:
    """Apply the policy files of a directory, for CI and GitOps.

    Policies that are as in the files already do not change.
    """
    from pdp.cli.run.policies import sync  # noqa: PLC0415 - as above

    sync(directory, tenant, target, prune=prune, dry_run=dry_run, as_json=as_json)


@spread
def _lint(
    target: PolicyTargetOptions,
    *,
    tenant: Annotated[
        str, typer.Option(metavar="TENANT", help="The tenant whose policies to look at.")
    ],
    days: Annotated[
        int,
        typer.Option(
            metavar="DAYS", min=1, max=3650, help="The period of the records, in days up to now."
        ),
    ] = 30,
    as_json: Json = False,
) -> None:
    """Find policies that do nothing, or less than they seem.

    Each finding names the policy that is in the way, and an example request.
    """
    from pdp.cli.run.policy_lint import lint  # noqa: PLC0415 - as above

    lint(tenant, target, days=days, as_json=as_json)


@spread
def _signing_key(target: PolicyTargetOptions, *, as_json: Json = False) -> None:
    """Print the public key of the policies that followers get.

    Give it to them, so that they take policies of this server only, also from their disk.
    """
    from pdp.cli.run.policies import signing_key  # noqa: PLC0415 - as above

    signing_key(target, as_json=as_json)


@spread
def _promote(
    target: PolicyTargetOptions,
    *,
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="The name of the policy, as in a policy file.")
    ],
    tenant: Annotated[
        str, typer.Option(metavar="TENANT", help="The tenant whose policy to promote.")
    ],
) -> None:
    """Enforce a policy that is in monitor mode."""
    from pdp.cli.run.policy_lint import promote  # noqa: PLC0415 - as above

    promote(policy, tenant, target)


@spread
def _fmt(
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files.")],
    check: Annotated[
        bool, typer.Option("--check", help="Change no file, only name those that would change.")
    ] = False,
) -> None:
    """Write policy files in their normal form.

    Sections and fields get the order of the documentation. Entries stay in order, and comments stay
    with what they are about.
    """
    from pdp.cli.run.policies import fmt  # noqa: PLC0415 - as above

    fmt(files, check=check)


@spread
def _init(
    *,
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The directory; created if it does not exist.")
    ] = Path(),
) -> None:
    """Write a first policy file with tests.

    It comes with the schema for editors.
    """
    from pdp.cli.run.policy_init import init  # noqa: PLC0415 - as above

    init(directory)


@spread
def _schema() -> None:
    """Print the JSON Schema of policy files, for editors.

    The first line of a policy file names it as pdp-policies.schema.json, beside the file.
    """
    from pdp.cli.run.policy_init import print_schema  # noqa: PLC0415 - as above

    print_schema()


def group() -> Any:
    """Returns the command with its subcommands."""
    app = typer.Typer(
        name="policies",
        help="Keep the policies of a tenant in files.\n\nA command works on a database, or on a "
        "server with --server.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    app.command("init", epilog=_INIT)(_init)
    app.command("export", epilog=_EXPORT)(_export)
    app.command("import", epilog=_IMPORT)(_import)
    app.command("diff", epilog=_DIFF)(_diff)
    app.command("sync", epilog=_SYNC)(_sync)
    app.command("signing-key", epilog=_SIGNING_KEY)(_signing_key)
    app.command("rollback", epilog=_ROLLBACK)(_rollback)
    app.command("lint", epilog=_LINT)(_lint)
    app.command("promote", epilog=_PROMOTE)(_promote)
    app.command("fmt", epilog=_FMT)(_fmt)
    app.command("schema")(_schema)
    return typer.main.get_command(app)
