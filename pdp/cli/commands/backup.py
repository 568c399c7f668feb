"""`pdp backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.cli.options import DatabaseUrl, Json, PassphraseFile, spread

EPILOG: Final = """
\b
Exit codes:
  0   done, and verified
  1   done; with --records: but the log of decisions was tampered with
  2   an option that does not exist, or FILE is there already
  4   the database cannot be read now
  78  the database, the passphrase or FILE cannot be used

\b
Examples:
  pdp backup /backup/pdp-$(date +%F).backup
  pdp backup pdp.backup --passphrase-file /run/secrets/backup
  pdp backup records.backup --records
"""


_File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup to make.")]


@spread
def command(
    *,
    file: _File,
    database_url: DatabaseUrl = None,
    passphrase_file: PassphraseFile = None,
    records: Annotated[
        bool,
        typer.Option("--records", help="Back up the log of decisions instead, and verify it."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Back up the database while servers go on.

    The copy is one consistent state, checked, and described by a manifest with its checksum. It has
    the policies, keys and limits; the log of decisions is a backup of its own, made with --records.
    """
    from pdp.cli.run.backup import backup  # noqa: PLC0415 - once there is work to do

    backup(file, database_url, passphrase_file, records=records, force=force, as_json=as_json)
