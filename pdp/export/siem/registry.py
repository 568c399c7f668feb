"""All connectors that there are, and those of them that have settings."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from pdp.export.siem.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.export.siem.base import Connector, Spec

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
"""In the order in which lists show them."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A connector that there is.

    Attributes:
        spec: what it is.
        connector: what delivers; None where it has no settings.
        make: makes another one with the same settings, to ask and to test with: deliveries go on
            meanwhile, and know nothing of it.
    """

    spec: Spec
    connector: Connector | None
    make: Callable[[], Connector]

    @property
    def why_not(self) -> str:
        """What is to be done for it to be configured."""
        needed = [each.name for each in self.spec.variables if each.required]
        return f"not configured: set {' and '.join(needed)}"


def specs() -> tuple[Spec, ...]:
    """Returns all connectors that there are."""
    return tuple(import_module(f"pdp.export.siem.{name}").SPEC for name in _MODULES)


def registered(environ: Mapping[str, str]) -> dict[str, Registered]:
    """Returns all connectors by id, made where `environ` has their settings.

    Raises:
        ConfigError: settings are incomplete or make no sense; it names the variable.
    """
    return {spec.id: _registered(spec, environ) for spec in specs()}


def _registered(spec: Spec, environ: Mapping[str, str]) -> Registered:
    environment = Environment(spec.variables, environ)

    def make() -> Connector:
        return spec.make(environment)

    if not environment.is_configured:
        return Registered(spec, None, make)
    environment.check_complete()
    return Registered(spec, make(), make)
