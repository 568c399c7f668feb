"""Lists all connectors, and creates the configured ones."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from pdp.export.siem.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.export.siem.base import Connector, ConnectorSpec

_MODULES: Final = (
    "splunk",
    "elastic",
    "sentinel",
    "datadog",
    "sumo_logic",
    "syslog",
    "otlp",
    "file",
    "kafka",
)
"""In the order of lists."""


@dataclass(frozen=True, slots=True)
class RegisteredConnector:
    """A connector with its specification.

    Attributes:
        spec: the specification.
        connector: delivers events; None if it is not configured.
        create: creates another one with the same settings, for checks and tests that run beside
            the deliveries.
    """

    spec: ConnectorSpec
    connector: Connector | None
    create: Callable[[], Connector]

    @property
    def hint(self) -> str:
        """How to configure the connector."""
        required = [each.name for each in self.spec.variables if each.required]
        return f"not configured: set {' and '.join(required)}"


def specs() -> tuple[ConnectorSpec, ...]:
    """Returns the specifications of all connectors."""
    return tuple(import_module(f"pdp.export.siem.{name}").SPEC for name in _MODULES)


def load_connectors(environ: Mapping[str, str]) -> dict[str, RegisteredConnector]:
    """Returns all connectors by id. Creates those that `environ` configures.

    Raises:
        ConfigError: the settings of a connector are incomplete or invalid. The message names the
            variable.
    """
    return {spec.id: _load(spec, environ) for spec in specs()}


def _load(spec: ConnectorSpec, environ: Mapping[str, str]) -> RegisteredConnector:
    environment = Environment(spec.variables, environ)

    def create() -> Connector:
        return spec.create(environment)

    if not environment.is_configured:
        return RegisteredConnector(spec, None, create)
    environment.check_complete()
    return RegisteredConnector(spec, create(), create)
