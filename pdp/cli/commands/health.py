"""`pdp health`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from pdp.cli.options import DEFAULT_SERVER, TlsOptions, spread

EPILOG: Final = """
\b
Exit codes:
  0   SERVING
  1   NOT_SERVING: it starts or drains
  2   an option that does not exist
  4   no server answers
  78  a file for TLS cannot be used
"""


@spread
def command(
    tls: TlsOptions,
    server: Annotated[
        str,
        typer.Option(
            envvar="PDP_SERVER", metavar="ADDRESS", help="The server, at host:port or unix:PATH."
        ),
    ] = DEFAULT_SERVER,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, help="How long to wait for an answer.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Ask whether a server serves, by grpc.health.v1. Made for container health checks."""
    from pdp.cli.run.health import probe  # noqa: PLC0415 - gRPC, once there is a server to ask

    probe(server, timeout, tls, as_json=as_json)
