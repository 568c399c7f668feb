"""The fronts of the gRPC server, and which one a server has.

* grpcio: the reference implementation, with TLS.
* native: the package pygrpc-native, without TLS (docs/grpc-fronts.md).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, Literal, Protocol

import structlog

from pdp.errors import ConfigError
from pdp.transport.grpc.native_package import PACKAGE, VERSION
from pdp.transport.grpc.server import GrpcServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.transport.admission import Check
    from pdp.transport.call import Endpoint
    from pdp.transport.methods import Method
    from pdp.transport.tls import Tls

    FrontName = Literal["grpcio", "native", "auto"]

_log: Final = structlog.get_logger("pdp.grpc")


class Front(Protocol):
    """A gRPC server with all endpoints."""

    async def start(self, address: str, tls: Tls | None = None) -> int:
        """Listens on the address, and returns the port.

        Raises:
            ConfigError: the server cannot listen on the address.
        """

    def set_serving(self, serving: bool) -> None:
        """Sets the status in `grpc.health.v1` of the server and of each service."""

    async def stop(self, grace_s: float) -> None:
        """Accepts no new calls, and ends the running ones after `grace_s` seconds."""


def create_front(
    name: FrontName,
    methods: Mapping[str, Method],
    endpoints: Mapping[str, Endpoint],
    workers: int = 1,
    admissions: Mapping[str, Check] = {},
    *,
    tls: bool = False,
    client_certificates: bool = False,
) -> Front:
    """Returns a front that is not started yet.

    Args:
        name: the setting PDP_GRPC_SERVER.
        methods: the RPCs by path.
        endpoints: the guarded endpoint of each RPC, by path.
        workers: how many processes share the port.
        admissions: the check before a message is parsed, by path.
        tls: whether the server has a certificate.
        client_certificates: whether clients have certificates that may identify them.

    Raises:
        ConfigError: the native front is required, and cannot serve with these settings.
    """
    if name != "grpcio":
        obstacle = obstacle_to_native(tls=tls)
        if obstacle is None:
            from pdp.transport.grpc.native import NativeServer  # noqa: PLC0415 - not always there

            if name == "auto":
                _log.info("grpc front", front="native", package=f"{PACKAGE} {VERSION}")
            return NativeServer(methods, endpoints, workers, admissions)
        if name == "native":
            raise ConfigError(f"PDP_GRPC_SERVER: native cannot be used: {obstacle}")
        _log.info("grpc front", front="grpcio", reason=obstacle)
    return GrpcServer(
        methods, endpoints, workers, admissions, client_certificates=client_certificates
    )


def obstacle_to_native(*, tls: bool) -> str | None:
    """Returns why the native front cannot serve, and what to do; None if it can.

    Args:
        tls: whether the server has a certificate.
    """
    if tls:
        return (
            "it has no TLS, and PDP_TLS_CERT_FILE is set. "
            "Set PDP_GRPC_SERVER=grpcio, or leave TLS to a proxy"
        )
    try:
        installed = version(PACKAGE)
    except PackageNotFoundError:
        return f"{PACKAGE} is not installed. Run `make fast`"
    if installed != VERSION:
        return (
            f"{PACKAGE} {installed} is installed, which does not limit the size of messages. "
            "Run `make fast`"
        )
    return None
