"""Runs `pdp health`. It loads little besides gRPC, because containers run it often."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health_pb2

from pdp.cli.exit_codes import Exit
from pdp.cli.failures import connection_hint, print_error
from pdp.cli.server_address import server_address
from pdp.client.remote import Cause, cause_of, open_channel
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pdp.cli.options.target import TlsOptions

_PATH: Final = "/grpc.health.v1.Health/Check"


def check_health(
    address: str = "",
    timeout_s: float = 5.0,
    tls_options: TlsOptions | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Prints whether a server is serving, and exits with 0 if it is.

    Args:
        address: the server; empty for that of `PDP_SERVER`, or else `server_address`.
        timeout_s: how long to wait for the response.
        tls_options: how to connect by TLS; None for no TLS.
        as_json: print JSON.
    """
    address = server_address(address or os.environ.get("PDP_SERVER", ""))
    try:
        tls = None if tls_options is None else tls_options.client_tls()
        channel = open_channel(address, tls)
    except ConfigError as error:
        print_error(error.message)
        sys.exit(Exit.CONFIG)
    with channel:
        check = channel.unary_unary(
            _PATH,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        cause: Cause | None = None
        try:
            response = check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            status, cause = "UNREACHABLE", cause_of(error)
        else:
            status = health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
    if as_json:
        print(json.dumps({"server": address, "status": status}))
    elif cause is None:
        print(status)
    if cause is not None:
        hint = connection_hint(cause.kind, tls=tls is not None)
        print_error(f"no server answers at {address}: {cause.text}", hint)
        sys.exit(Exit.UNAVAILABLE)
    sys.exit(Exit.OK if status == "SERVING" else Exit.NO)
