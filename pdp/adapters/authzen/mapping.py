"""AuthZEN evaluations as DecideRequests (docs/integrations/authzen.md, How requests are mapped)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.request import MCP_SERVER
from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.objects import object_text
from pdp.strictjson.problems import InvalidValue, Problems, type_mismatch

if TYPE_CHECKING:
    from pdp.adapters.authzen.documents import Evaluation

MODEL: Final = "model"
TOOL: Final = "tool"
AGENT: Final = "agent"

AUTHZEN: Final = "authzen"
"""The key of the context under which conditions read the entities as they were sent, and the domain
of actions that are made from names."""

SUPPORTED_OBLIGATIONS: Final = "supported_obligations"
TOKENS: Final = "tokens"
APPROVAL: Final = "approval"

TEXT_POINTERS: Final = {"text": "/context/text", "prompt": "/context/prompt"}
"""Where the text to evaluate may stand in an evaluation."""

PAYLOAD_POINTER: Final = "/context/payload/body"
ARGUMENTS_POINTER: Final = "/context/arguments"
PROPERTIES_POINTER: Final = "/resource/properties"

CONTENT_KEYS: Final = ("text", "prompt", "arguments", "payload")
"""What the context has of the traffic itself. Conditions read it by its own names."""

_MAX_WORD: Final = 80
"""Characters of a type or a name in an action, so that an action has at most 256."""

_is_action: Final = re.compile(
    r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*"
).fullmatch
_FOREIGN: Final = re.compile(r"[^a-z0-9_]")

ToolAction = Callable[[str, str], str]
"""Returns the action of a tool; takes the names of the tool and of its server (empty for none)."""


class Mapped(NamedTuple):
    """An evaluation as a request for a decision.

    Attributes:
        message: the request.
        supported: the types of obligations that the enforcement point supports.
        text_pointer: the JSON Pointer of the text in the evaluation; empty for none.
        arguments_pointer: the JSON Pointer of the arguments; empty for none.
        approval_id: the approval that the evaluation refers to; empty for none.
    """

    message: pb.DecideRequest
    supported: frozenset[str]
    text_pointer: str = ""
    arguments_pointer: str = ""
    approval_id: str = ""


def action_of(name: str, resource_type: str) -> str:
    """Returns the action that policies know.

    Args:
        name: the name of the AuthZEN action. If it is an action, `domain:scope:verb`, it stays.
        resource_type: the type of the resource; it is the scope of an action that is made.
    """
    if is_action(name):
        return name
    return f"{AUTHZEN}:{word(resource_type)}:{word(name)}"


def is_action(name: str) -> bool:
    """Whether a name is an action as it is, `domain:scope:verb` in lower case."""
    return len(name) <= 256 and _is_action(name) is not None  # noqa: PLR2004 - as in the contract


def is_of_type(name: str, *types: str) -> bool:
    """Whether a type is one of those that have a meaning here.

    Case makes no difference: a `Tool` that is not judged as a tool would pass unjudged.
    """
    return name.lower() in types


def word(name: str) -> str:
    """Returns a name as a part of an action: lower case, `_` for other characters."""
    text = _FOREIGN.sub("_", name.lower())[:_MAX_WORD]
    return text if text[:1].isalpha() else f"t{text}"


def to_message(
    evaluation: Evaluation, tool_action: ToolAction, *, takes_approval: bool = False
) -> Mapped:
    """Returns the request for a decision on an evaluation.

    Args:
        evaluation: the evaluation.
        tool_action: returns the actions of tools.
        takes_approval: whether `context.approval` refers to an approval. Otherwise it is a value
            for conditions.

    Raises:
        InvalidArgument: a value that the mapping reads has a wrong type, or two values contradict
            each other. It names all of them.
    """
    mapping = _Mapping(evaluation, tool_action, takes_approval=takes_approval)
    mapped = mapping.run()
    mapping.problems.raise_if_any()
    return mapped


class _Mapping:
    """Maps one evaluation, and collects what is wrong with it."""

    def __init__(
        self, evaluation: Evaluation, tool_action: ToolAction, *, takes_approval: bool
    ) -> None:
        self.evaluation = evaluation
        self.tool_action = tool_action
        self.takes_approval = takes_approval
        self.message = pb.DecideRequest()
        self.problems = Problems()

    def run(self) -> Mapped:
        context = self.evaluation.context
        if AUTHZEN in context:
            self.problems.add(f"context.{AUTHZEN}", "is set by the server; use another name")
        self._subject()
        self._target()
        self._words()
        text, arguments = self._content()
        if "payload" in context:
            self._payload()
        else:
            self._action()
        self._context()
        tokens = context.get(TOKENS)
        self.message.tokens.extend(self._texts(tokens, f"context.{TOKENS}"))
        return Mapped(self.message, self._supported(), text, arguments, self._approval())

    def _subject(self) -> None:
        subject, message = self.evaluation.subject, self.message.subject
        properties = subject.properties
        agent = self._text(self.evaluation.context, "agent", "context.agent")
        if is_of_type(subject.type, AGENT):
            message.agent_id = subject.id
            if agent and agent != subject.id:
                self.problems.add("context.agent", "differs from subject.id, which is an agent")
        else:
            message.user_id = subject.id
            message.agent_id = agent
        groups = properties.get("groups")
        path = "subject.properties.groups"
        message.groups.extend([groups] if type(groups) is str else self._texts(groups, path))
        score = properties.get("risk_score")
        if type(score) in {int, float}:
            message.risk_score = float(score)  # type: ignore[arg-type] # checked
        elif score is not None:
            self.problems.add("subject.properties.risk_score", type_mismatch("a number", score))
        if properties:
            message.attributes_json = self._json(properties, "subject.properties")

    def _target(self) -> None:
        resource, target = self.evaluation.resource, self.message.target
        properties, path = resource.properties, "resource.properties"
        target.resource_type, target.resource_id = resource.type, resource.id
        for name in ("classifications", "fields"):
            getattr(target, name).extend(self._texts(properties.get(name), f"{path}.{name}"))
        level = properties.get("sensitivity_level")
        if type(level) is int and -(1 << 31) <= level < 1 << 31:
            target.sensitivity_level = level
        elif level is not None:
            self.problems.add(f"{path}.sensitivity_level", "must be a whole number of 32 bits")
        if is_of_type(resource.type, MODEL):
            self.message.model.model = resource.id
            self.message.model.provider = self._text(properties, "provider", f"{path}.provider")

    def _words(self) -> None:
        """Sets the fields that are one word of the context."""
        context = self.evaluation.context
        for name in ("customer_id", "session_id", "direction", "channel"):
            setattr(self.message, name, self._text(context, name, f"context.{name}"))

    def _content(self) -> tuple[str, str]:
        """Sets text and arguments; returns their pointers."""
        context, resource = self.evaluation.context, self.evaluation.resource
        found = [name for name in TEXT_POINTERS if name in context]
        if len(found) > 1:
            self.problems.add("context.prompt", "cannot be combined with context.text; set one")
        text_pointer = arguments_pointer = ""
        for name in found:
            self.message.content.text = self._text(context, name, f"context.{name}", bounded=False)
            text_pointer = TEXT_POINTERS[name]
        if "arguments" in context:
            arguments_pointer = ARGUMENTS_POINTER
            self._arguments(context["arguments"], "context.arguments")
        elif is_of_type(resource.type, TOOL) and resource.properties:
            arguments_pointer = PROPERTIES_POINTER
            self._arguments(resource.properties, "resource.properties")
        return text_pointer, arguments_pointer

    def _arguments(self, value: Any, path: str) -> None:
        self.message.arguments_json = self._json(value, path)

    def _action(self) -> None:
        action, resource = self.evaluation.action, self.evaluation.resource
        if is_of_type(resource.type, TOOL):
            self.message.tool = resource.id
            server = self._text(resource.properties, "server", "resource.properties.server")
            own = is_action(action.name)
            self.message.action = action.name if own else self.tool_action(resource.id, server)
        elif not is_of_type(resource.type, MODEL) or is_action(action.name):
            self.message.action = action_of(action.name, resource.type)

    def _payload(self) -> None:
        """Sets the payload. Its own tools and actions are judged, so no other may be asked for."""
        resource, payload = self.evaluation.resource, self.evaluation.context["payload"]
        if not isinstance(payload, dict):
            self.problems.add("context.payload", type_mismatch("an object", payload))
            return
        holds_payload = is_of_type(resource.type, MODEL, MCP_SERVER)
        if not holds_payload or is_action(self.evaluation.action.name):
            reason = (
                "names its own tools and actions: ask with a resource of type "
                f"{MODEL} or {MCP_SERVER}, and an action that is not domain:scope:verb"
            )
            self.problems.add("context.payload", reason)
        for name in ("text", "prompt", "arguments"):
            if name in self.evaluation.context:
                reason = "cannot be combined with context.payload; set one of them"
                self.problems.add(f"context.{name}", reason)
        for name in ("format", "body", "history"):
            text = self._text(payload, name, f"context.payload.{name}", bounded=False)
            setattr(self.message.payload, name, text)
        if "body" not in payload:
            self.problems.add("context.payload.body", "is required")

    def _context(self) -> None:
        """Sets what conditions read as the context."""
        subject, action, resource, context = self.evaluation
        left = {name: value for name, value in context.items() if name not in _NOT_FOR_CONDITIONS}
        if self.takes_approval:
            left.pop(APPROVAL, None)
        left[AUTHZEN] = {
            "subject": {"type": subject.type, "id": subject.id},
            "action": action._asdict(),
            "resource": resource._asdict(),
        }
        self.message.context_json = self._json(left, "context")

    def _supported(self) -> frozenset[str]:
        path = f"context.{SUPPORTED_OBLIGATIONS}"
        return frozenset(self._texts(self.evaluation.context.get(SUPPORTED_OBLIGATIONS), path))

    def _approval(self) -> str:
        approval = self.evaluation.context.get(APPROVAL) if self.takes_approval else None
        if approval is None:
            return ""
        path = f"context.{APPROVAL}"
        if not isinstance(approval, dict):
            self.problems.add(path, type_mismatch("an object", approval))
            return ""
        approval_id = self._text(approval, "id", f"{path}.id")
        if not approval.get("id"):
            self.problems.add(f"{path}.id", "is required")
        return approval_id

    def _text(
        self, document: Mapping[str, Any], name: str, path: str, *, bounded: bool = True
    ) -> str:
        """Returns an optional text; empty if there is none."""
        value = document.get(name)
        if type(value) is str:
            if bounded and len(value) > _MAX_TEXT:
                self.problems.add(path, f"must have at most {_MAX_TEXT} characters")
                return ""
            return value
        if value is not None:
            self.problems.add(path, type_mismatch("a string", value))
        return ""

    def _texts(self, value: Any, path: str) -> list[str]:
        """Returns an optional list of texts; empty if there is none."""
        if value is None:
            return []
        if type(value) is list and all(type(each) is str for each in value):
            return value
        self.problems.add(path, "must be an array of strings")
        return []

    def _json(self, value: Any, path: str) -> str:
        try:
            return object_text(value)
        except InvalidValue as error:
            self.problems.add(path, str(error))
            return ""


_MAX_TEXT: Final = 256
_NOT_FOR_CONDITIONS: Final = frozenset({*CONTENT_KEYS, SUPPORTED_OBLIGATIONS, TOKENS, AUTHZEN})


def renamed(error: InvalidArgument, mapped: Mapped) -> InvalidArgument:
    """Returns an error of a DecideRequest with the names of the AuthZEN request."""
    return InvalidArgument.of(
        *(Violation(rename(field, mapped), reason) for field, reason in error.violations)
    )


def renamed_message(message: str, mapped: Mapped) -> str:
    """Returns the message of an error of a DecideRequest with the names of the AuthZEN request."""
    return _FIELD.sub(lambda found: found[1] + rename(found[2], mapped), message)


def rename(field: str, mapped: Mapped) -> str:
    """Returns a field of a DecideRequest as the AuthZEN request calls it."""
    places = {"content.text": mapped.text_pointer, "arguments_json": mapped.arguments_pointer}
    for own, place in places.items():
        if field.startswith(own) and place:
            return place.removeprefix("/").replace("/", ".") + field.removeprefix(own)
    for own, name in _NAMES:
        if field.startswith(own):
            return name + field.removeprefix(own)
    return field


_FIELD: Final = re.compile(r"(^|; )(?:requests\[\d+\]\.)?([a-z_]+(?:\.[a-z_]+)*)(?=[:.\[])")
"""A field at the begin of a message, or of a part of it; without its place in a batch."""

_NAMES: Final = (
    ("subject.attributes_json", "subject.properties"),
    ("subject.groups", "subject.properties.groups"),
    ("subject.risk_score", "subject.properties.risk_score"),
    ("subject.user_id", "subject.id"),
    ("subject.agent_id", "context.agent"),
    ("target.resource_id", "resource.id"),
    ("target.resource_type", "resource.type"),
    ("target.", "resource.properties."),
    ("model.provider", "resource.properties.provider"),
    ("model.model", "resource.id"),
    ("tool", "resource.id"),
    ("action", "action.name"),
    ("context_json", "context"),
    ("tokens", "context.tokens"),
    ("payload", "context.payload"),
    ("customer_id", "context.customer_id"),
    ("session_id", "context.session_id"),
    ("direction", "context.direction"),
    ("channel", "context.channel"),
)
"""The fields of a DecideRequest, and what they are made from; the first that fits counts."""
