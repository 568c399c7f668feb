"""What `pdp health` does."""

from __future__ import annotations

import json
import os
import sys

import grpc
from grpc_health.v1 import health_pb2

from pdp.cli.exits import Exit, complain

_PATH = "/grpc.health.v1.Health/Check"
_DEFAULT = "127.0.0.1:50051"


def probe(address: str = "", timeout_s: float = 5.0, *, as_json: bool = False) -> None:
    """Asks the server at `address` (else `PDP_SERVER`'s, else the default), and exits."""
    address = address or os.environ.get("PDP_SERVER") or _DEFAULT
    options = (("grpc.enable_http_proxy", 0),)
    with grpc.insecure_channel(address, options=options) as channel:
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
        complain(
            f"no server answers at {address}: {reason}",
            'Start one with "pdp serve --auth dev", or name another with --server or PDP_SERVER.',
        )
        sys.exit(Exit.UNAVAILABLE)
    sys.exit(Exit.OK if status == "SERVING" else Exit.NO)
