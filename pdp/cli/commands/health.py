"""`pdp health`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from pdp.cli.options.common import Json  # noqa: TC001 - read by typer
from pdp.cli.options.spread import spread
from pdp.cli.options.target import SERVER_HELP, TlsOptions

EPILOG: Final = """
\b
Exit codes:
  0   SERVING
  1   NOT_SERVING: the server starts or drains
  2   an option does not exist
  4   no server answers
  78  a file for TLS cannot be used
"""


@spread
def command(
    tls: TlsOptions,
    server: Annotated[
        str,
        typer.Option(
            envvar="PDP_SERVER",
            metavar="ADDRESS",
            help=f"The server to check, {SERVER_HELP}",
            show_default=False,
        ),
    ] = "",
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.001, help="How long to wait for the response."),
    ] = 5.0,
    as_json: Json = False,
) -> None:
    """Check whether a server is serving, with grpc.health.v1.

    It is meant for container health checks.
    """
    from pdp.cli.run.health import check_health  # noqa: PLC0415 - loads gRPC

    check_health(server, timeout, tls, as_json=as_json)
