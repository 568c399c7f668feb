"""The environment variables that Kubernetes sets in a container for Services."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def service_variables(
    service: str, ports: Mapping[str, int], *, host: str = "10.0.0.11", protocol: str = "tcp"
) -> dict[str, str]:
    """Returns the variables of one Service.

    Args:
        service: its name.
        ports: its ports by name, the first one first.
        host: its cluster IP.
        protocol: of all its ports, in lower case.
    """
    prefix = service.upper().replace("-", "_")
    address = f"[{host}]" if ":" in host else host
    first = next(iter(ports.values()))
    variables = {
        f"{prefix}_SERVICE_HOST": host,
        f"{prefix}_SERVICE_PORT": str(first),
        f"{prefix}_PORT": f"{protocol}://{address}:{first}",
    }
    for name, number in ports.items():
        port = f"{prefix}_PORT_{number}_{protocol.upper()}"
        variables |= {
            f"{prefix}_SERVICE_PORT_{name.upper().replace('-', '_')}": str(number),
            port: f"{protocol}://{address}:{number}",
            f"{port}_PROTO": protocol,
            f"{port}_PORT": str(number),
            f"{port}_ADDR": host,
        }
    return variables


THREE_SERVICES = {
    **service_variables("pdp", {"grpc": 50051, "http": 8080}),
    **service_variables("pdp-http", {"http": 80, "https-alt": 8443}, host="fd00::1"),
    **service_variables("pdp-valkey", {"valkey": 6379, "metrics": 9121}),
}
"""The variables of Services named `pdp`, `pdp-http` and `pdp-valkey`."""
