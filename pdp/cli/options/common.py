"""Single options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

ApiJson = Annotated[
    bool,
    typer.Option("--json", help="Print the response as JSON, in the same form as the HTTP API."),
]

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="PDP_DATABASE_URL",
        metavar="URL",
        help="The database: sqlite:///PATH or postgresql://HOST/NAME.  "
        "[default: the database of the server's settings]",
    ),
]

OverlayFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Candidate policies, in YAML or JSON, from FILE, or from standard input if FILE is -.",
    ),
]

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="A file with the passphrase that encrypts and decrypts the backup."
    ),
]
