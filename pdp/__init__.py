"""The policy decision point.

`Engine` decides in this process:

    from pdp import Engine

    with Engine.open("sqlite:///var/pdp.db") as engine:
        decision = engine.decide(text="…", tenant_id="acme")
        print(decision.outcome.name, decision.allowed)

Names are imported when they are first used, so that `import pdp` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pdp.domain.decision import (
        Decision,
        Match,
        Obligation,
        ObligationType,
        Outcome,
        Risk,
        RiskFactor,
        Span,
        TraceRow,
    )
    from pdp.domain.request import Entity, Request, Subject, Target, Usage
    from pdp.embedded import Engine
    from pdp.errors import (
        ConfigError,
        InvalidArgument,
        PdpError,
        RevisionUnavailable,
        StoreUnavailable,
    )

__all__ = [
    "ConfigError",
    "Decision",
    "Engine",
    "Entity",
    "InvalidArgument",
    "Match",
    "Obligation",
    "ObligationType",
    "Outcome",
    "PdpError",
    "Request",
    "RevisionUnavailable",
    "Risk",
    "RiskFactor",
    "Span",
    "StoreUnavailable",
    "Subject",
    "Target",
    "TraceRow",
    "Usage",
    "__version__",
]

__version__: str

_MODULES: Final = ("pdp.domain.decision", "pdp.domain.request", "pdp.errors", "pdp.embedded")
"""The modules with the names; the slowest to import is last."""


if not TYPE_CHECKING:  # with __getattr__, a type checker would accept unknown names

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = _version() if name == "__version__" else _find(name)
        return value


def _version() -> str:
    return str(import_module("importlib.metadata").version("pdp"))


def _find(name: str) -> Any:
    for module in _MODULES:
        value = getattr(import_module(module), name, None)
        if value is not None:
            return value
    raise AttributeError(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
