"""Runs `pdp health`. It loads little besides gRPC, because containers run it often."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health_pb2

from pdp.cli.exit_codes import Exit
from pdp.cli.failures import print_error
from pdp.client.remote import cause_of, open_channel
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pdp.cli.options.target import TlsOptions

_PATH: Final = "/grpc.health.v1.Health/Check"
_DEFAULT: Final = "127.0.0.1:50051"
_PLAINTEXT_HINT: Final = (
    'Start a server with "pdp serve --auth dev", or name another with --server or PDP_SERVER. '
    "If the server uses TLS, give --tls-ca-file or PDP_TLS_CA_FILE."
)
_TLS_HINT: Final = (
    "Check that the server uses TLS, that --tls-ca-file has the authority that issued its "
    "certificate, and that the certificate is for the name in the address or in --tls-server-name."
)


def check_health(
    address: str = "",
    timeout_s: float = 5.0,
    tls_options: TlsOptions | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Prints whether a server is serving, and exits with 0 if it is.

    Args:
        address: the server; empty for that of `PDP_SERVER`, or else the default.
        timeout_s: how long to wait for the response.
        tls_options: how to connect by TLS; None for no TLS.
        as_json: print JSON.
    """
    address = address or os.environ.get("PDP_SERVER") or _DEFAULT
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
        try:
            response = check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            status, cause = "UNREACHABLE", cause_of(error)
        else:
            status, cause = health_pb2.HealthCheckResponse.ServingStatus.Name(response.status), ""
    if as_json:
        print(json.dumps({"server": address, "status": status}))
    elif not cause:
        print(status)
    if cause:
        hint = _PLAINTEXT_HINT if tls is None else _TLS_HINT
        print_error(f"no server answers at {address}: {cause}", hint)
        sys.exit(Exit.UNAVAILABLE)
    sys.exit(Exit.OK if status == "SERVING" else Exit.NO)
