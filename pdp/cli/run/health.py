"""What `pdp health` does."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2

from pdp.cli.exit_codes import Exit, complain
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from pdp.cli.options import TlsOptions

_PATH = "/grpc.health.v1.Health/Check"
_DEFAULT = "127.0.0.1:50051"
_OPTIONS = (("grpc.enable_http_proxy", 0),)
_HINTS = {
    False: 'Start one with "pdp serve --auth dev", or name another with --server or PDP_SERVER; '
    "for one that speaks TLS give --tls-ca-file or PDP_TLS_CA_FILE.",
    True: "See that it speaks TLS, that --tls-ca-file holds the authority of its certificate, and "
    "that the certificate has the address's name, or the one of --tls-server-name.",
}


def probe(
    address: str = "",
    timeout_s: float = 5.0,
    tls: TlsOptions | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Asks the server at `address` (else `PDP_SERVER`'s, else the default), and exits."""
    address = address or os.environ.get("PDP_SERVER") or _DEFAULT
    try:
        channel = _channel(address, tls)
    except ConfigError as error:
        complain(error.message)
        sys.exit(Exit.CONFIG)
    with channel:
        check = channel.unary_unary(
            _PATH,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            status, reason = "UNREACHABLE", str(error.details())
        else:
            status, reason = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), ""
    if as_json:
        print(json.dumps({"server": address, "status": status}))
    elif not reason:
        print(status)
    if reason:
        hint = _HINTS[tls is not None and tls.client_tls() is not None]
        complain(f"no server answers at {address}: {reason}", hint)
        sys.exit(Exit.UNAVAILABLE)
    sys.exit(Exit.OK if status == "SERVING" else Exit.NO)


def _channel(address: str, options: TlsOptions | None) -> grpc.Channel:
    tls = None if options is None else options.client_tls()
    if tls is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    return grpc.secure_channel(address, tls.credentials(), options=(*_OPTIONS, *tls.options()))
