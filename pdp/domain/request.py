"""What is to be judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from pdp.domain.ner import NerFindings
    from pdp.domain.usage import UsageSnapshot

JsonObject = Mapping[str, Any]

MAX_DEPTH: Final = 32
"""The deepest nesting of arguments, context and attributes (docs/decide.md)."""


class Subject(NamedTuple):
    """Who asks."""

    user_id: str = ""
    groups: tuple[str, ...] = ()
    agent_id: str = ""
    risk_score: float | None = None
    attributes: JsonObject | None = None


class Target(NamedTuple):
    """The resource that an action is on."""

    resource_type: str = ""
    resource_id: str = ""
    sensitivity_level: int | None = None
    classifications: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class Entity(NamedTuple):
    """A finding that the caller has made itself; offsets count code points."""

    entity_type: str
    confidence: float = 1.0
    start: int = 0
    end: int = 0


class Usage(NamedTuple):
    """What a request uses of the limits."""

    tokens: int = 0
    cost_usd: float = 0.0


NOBODY = Subject()
NO_TARGET = Target()
NO_USAGE = Usage()


class Request(NamedTuple):
    """One request to be judged (decide.md, DecideRequest).

    A named tuple, since one is built for every decision: it is immutable and costs a tenth of
    what a frozen dataclass of this many fields does. `timestamp` is in seconds since the epoch.
    `spent` is what the limits that apply have been used for already; where there are any, it is
    filled in by whoever has the counters. `ner` is what models have found, where they were asked.
    """

    text: str = ""
    action: str = ""
    tool: str = ""
    arguments: JsonObject | None = None
    direction: str = "input"
    channel: str = "interactive"
    intent_complexity: str = ""
    provider: str = ""
    model: str = ""
    request_id: str = ""
    tenant_id: str = "default"
    customer_id: str = ""
    subject: Subject = NOBODY
    target: Target = NO_TARGET
    context: JsonObject | None = None
    timestamp: float = 0.0
    entities: tuple[Entity, ...] = ()
    usage: Usage = NO_USAGE
    explain: bool = False
    usage_snapshot: UsageSnapshot | None = None
    ner: NerFindings | None = None
