"""Cedar, in this process: the Python bindings of its Rust library."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
from typing import TYPE_CHECKING, Any, Final

from bench.peers.cases import BLOCKED_ACTION, BLOCKED_VERB, SENSITIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.peers.cases import Case, Policy

_POLICIES: Final = f"""
permit (principal, action, resource) when {{ resource.tools.contains(context.tool) }};
forbid (principal, action == Action::"{BLOCKED_ACTION}", resource);
forbid (principal, action, resource) when {{ context.verb == "{BLOCKED_VERB}" }};
forbid (principal, action, resource) when {{
  context.batch_size > resource.batch_limit && context.sensitivity_level >= {SENSITIVE}
}};
"""


class Cedar:
    """The package `cedarpy`."""

    name = "Cedar (cedarpy)"
    settings = (
        "policies and entities parsed once and used again, the customers' values as attributes of "
        "entities; `is_authorized` with one request"
    )

    def __init__(self) -> None:
        """Imports the package, which is no dependency of this project."""
        self._cedarpy: Any = importlib.import_module("cedarpy")
        self.version = importlib.metadata.version("cedarpy")

    @staticmethod
    def installed() -> bool:
        """Whether the package is installed."""
        return importlib.util.find_spec("cedarpy") is not None

    def decider(self, policies: Sequence[Policy]) -> Callable[[Case], bool]:
        """Returns a function that decides one case."""
        entities = [
            {
                "uid": {"type": "Customer", "id": each.customer},
                "attrs": {"tools": list(each.tools), "batch_limit": each.batch_limit},
                "parents": [],
            }
            for each in policies
        ]
        parsed = self._cedarpy.PolicySet.from_str(_POLICIES)
        graph = self._cedarpy.Entities.from_json_str(json.dumps(entities))
        is_authorized = self._cedarpy.is_authorized

        def decide(case: Case) -> bool:
            return bool(is_authorized(_request(case), parsed, graph).allowed)

        return decide


def _request(case: Case) -> dict[str, Any]:
    return {
        "principal": {"type": "User", "id": case.user},
        "action": {"type": "Action", "id": case.action},
        "resource": {"type": "Customer", "id": case.customer},
        "context": {
            "tool": case.tool,
            "verb": case.action.rpartition(":")[2],
            "batch_size": case.batch_size,
            "sensitivity_level": case.sensitivity,
            "region": case.region,
            "team": case.team,
        },
    }
