"""`pdp restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.options.common import DatabaseUrl, Json, PassphraseFile  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread

EPILOG: Final = """
\b
Exit codes:
  0   done; with --check: the backup can be restored
  1   as 0, but the log of decision records in the backup was tampered with
  2   an option does not exist, or the database already exists
  3   the backup is damaged, or the passphrase is wrong
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
            help="Replace the database if it exists; the old one is kept as NAME.before-restore.",
        ),
    ] = False,
    revive_keys: Annotated[
        bool,
        typer.Option(
            "--revive-keys",
            help="Make API keys valid as in the backup, including keys that were revoked or "
            "rotated later.",
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only check whether the backup can be restored.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Replace the database with a backup.

    The backup holds the policies or the log of decision records. It is verified completely first.
    Stop the servers on that database first. API keys that were revoked or rotated after the backup
    stay revoked or rotated. Open approvals are cancelled, and tokens for approvals and prompts that
    were given before cannot be used.
    """
    from pdp.cli.run.restore import restore  # noqa: PLC0415 - loads the store

    restore(
        file,
        database_url,
        passphrase_file,
        force=force,
        check=check,
        revive_keys=revive_keys,
        as_json=as_json,
    )
