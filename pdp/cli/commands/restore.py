"""`pdp restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.options import DatabaseUrl, Json, PassphraseFile, spread

EPILOG: Final = """
\b
Exit codes:
  0   done; with --check: the backup can be restored
  1   the same, but the log of decisions in it was tampered with
  2   an option that does not exist, or the database is there already
  3   the backup is damaged, or the passphrase is another
  4   another process has the database open
  78  the database, the passphrase or FILE cannot be used

\b
Examples:
  pdp restore pdp.backup --check
  pdp restore pdp.backup --database-url sqlite:////var/lib/pdp/pdp.db --force
"""


_File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup to restore.")]


@spread
def command(
    *,
    file: _File,
    database_url: DatabaseUrl = None,
    passphrase_file: PassphraseFile = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace the database where it is there; it is kept as NAME.before-restore.",
        ),
    ] = False,
    revive_keys: Annotated[
        bool,
        typer.Option(
            "--revive-keys",
            help="Let API keys count as they did then, those revoked and rotated since too.",
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether it could be restored.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of the database.

    It may be one of policies or of the log of decisions, and is verified whole first. Servers on
    that database must have ended. API keys that the database has revoked or rotated since the
    backup stay so.
    """
    from pdp.cli.run.backup import restore  # noqa: PLC0415 - once there is work to do

    restore(
        file,
        database_url,
        passphrase_file,
        force=force,
        check=check,
        revive_keys=revive_keys,
        as_json=as_json,
    )
