"""Requests for decisions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.access import NO_CALLER, Caller

if TYPE_CHECKING:
    from pdp.domain.ner import NerFindings
    from pdp.domain.usage import UsageSnapshot

JsonObject = Mapping[str, Any]

MCP_SERVER: Final = "mcp_server"
"""The type of a target that is an MCP server: messages of MCP do not name the server."""

MAX_DEPTH: Final = 32
"""The maximum nesting of arguments, context and attributes (docs/decide.md)."""

MAX_VALUES: Final = 100_000
"""How many JSON values a request may hold (docs/decide.md)."""


class Subject(NamedTuple):
    """The user and the agent that the request is for."""

    user_id: str = ""
    groups: tuple[str, ...] = ()
    agent_id: str = ""
    risk_score: float | None = None
    attributes: JsonObject | None = None


class Target(NamedTuple):
    """The resource of an action."""

    resource_type: str = ""
    resource_id: str = ""
    sensitivity_level: int | None = None
    classifications: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class Entity(NamedTuple):
    """A finding that the caller sends; offsets count code points."""

    entity_type: str
    confidence: float = 1.0
    start: int = 0
    end: int = 0


class Usage(NamedTuple):
    """The usage of a request that limits count."""

    tokens: int = 0
    cost_usd: float = 0.0


NO_SUBJECT = Subject()
NO_TARGET = Target()
NO_USAGE = Usage()

NONE_PASSED: Final[Mapping[str, str]] = MappingProxyType({})


class Request(NamedTuple):
    """One request for a decision (docs/decide.md, DecideRequest).

    It is a named tuple because every decision builds one: it costs a tenth of a frozen dataclass
    with as many fields.

    Attributes:
        timestamp: seconds since the epoch.
        usage_snapshot: the previous usage of the subjects of limits; set if limits apply.
        ner: the findings of models; None if no model was used.
        session_id: the conversation or agent run that the request belongs to.
        place: the place of `pdp.domain.placement.SCOPES` of the text, and of arguments that are no
            tool call; empty if the direction and the arguments tell.
        payload_format: the format of the payload that the request is, whose document stands in
            `arguments`, or in `text` for plain text; only in requests of records.
        server_time: the time of the server's clock, in seconds since the epoch, if a policy depends
            on it. None in simulations and replays, in which the `timestamp` takes its place.
        caller: who asks.
        tokens: the approval and confirmation tokens of earlier decisions on this request.
        want_input_hash: whether the decision must have its `input_hash`.
        without_approval: whether a decision that holds the request opens no approval.
        passed: the rules that hold requests and that an approval or a confirmation lets pass, by
            `Hold.key`, each with the ID of the approval or confirmation.
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
    subject: Subject = NO_SUBJECT
    target: Target = NO_TARGET
    context: JsonObject | None = None
    timestamp: float = 0.0
    entities: tuple[Entity, ...] = ()
    usage: Usage = NO_USAGE
    explain: bool = False
    usage_snapshot: UsageSnapshot | None = None
    ner: NerFindings | None = None
    caller: Caller = NO_CALLER
    session_id: str = ""
    server_time: float | None = None
    place: str = ""
    payload_format: str = ""
    tokens: tuple[str, ...] = ()
    want_input_hash: bool = False
    without_approval: bool = False
    passed: Mapping[str, str] = NONE_PASSED
