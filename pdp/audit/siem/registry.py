"""All connectors that there are, and those of them that have settings."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from pdp.audit.siem.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.audit.siem.base import Connector, Spec

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
    """A connector that there is; `connector` is None where it has no settings."""

    spec: Spec
    connector: Connector | None

    @property
    def why_not(self) -> str:
        """What is to be done for it to be configured."""
        needed = [each.name for each in self.spec.variables if each.required]
        return f"not configured: set {' and '.join(needed)}"


def specs() -> tuple[Spec, ...]:
    """Returns all connectors that there are."""
    return tuple(import_module(f"pdp.audit.siem.{name}").SPEC for name in _MODULES)


def registered(environ: Mapping[str, str]) -> dict[str, Registered]:
    """Returns all connectors by id, made where `environ` has their settings.

    Raises:
        ConfigError: settings are incomplete or make no sense; it names the variable.
    """
    return {spec.id: Registered(spec, _made(spec, environ)) for spec in specs()}


def _made(spec: Spec, environ: Mapping[str, str]) -> Connector | None:
    environment = Environment(spec.variables, environ)
    if not environment.is_configured:
        return None
    environment.check_complete()
    return spec.make(environment)
