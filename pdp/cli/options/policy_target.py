"""The options of commands that read and write policies: on a server, or in a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from pdp.cli.options.target import CredentialOptions, TlsOptions


@dataclass(frozen=True)
class ServerOptions(CredentialOptions, TlsOptions):
    """A server to work on. Without `server`, a command works without a server."""

    server: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Work on the server at host:port or unix:PATH.  [default: without a server]",
        ),
    ] = None
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="How long a call may take.")
    ] = 60.0


@dataclass(frozen=True)
class PolicyTargetOptions(ServerOptions):
    """The server with the policies, or the database to open without a server."""

    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="PDP_DATABASE_URL",
            metavar="URL",
            help="The database: sqlite:///PATH or postgresql://HOST/NAME.  "
            "[default: the database of the server's settings]",
        ),
    ] = None
