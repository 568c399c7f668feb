"""`pdp backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.options.common import DatabaseUrl, Json, PassphraseFile  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread

EPILOG: Final = """
\b
Exit codes:
  0   done, and verified
  1   done; with --records: the log was tampered with
  2   an option does not exist, or FILE already exists
  4   the database cannot be read now
  78  the database, the passphrase or FILE cannot be used

\b
Examples:
  pdp backup /backup/pdp-$(date +%F).backup
  pdp backup pdp.backup --passphrase-file /run/secrets/backup
  pdp backup records.backup --records
"""


_File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup to write.")]


@spread
def command(
    *,
    file: _File,
    database_url: DatabaseUrl = None,
    passphrase_file: PassphraseFile = None,
    records: Annotated[
        bool,
        typer.Option(
            "--records", help="Back up the log of decision records instead, and verify it."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE if it already exists.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Back up the database while servers keep running.

    The backup holds one consistent, verified state, and a manifest with its checksum. It has the
    policies, API keys and limits. The log of decision records is a separate backup, made with
    --records.
    """
    from pdp.cli.run.backup import backup  # noqa: PLC0415 - loads the store

    backup(file, database_url, passphrase_file, records=records, force=force, as_json=as_json)
