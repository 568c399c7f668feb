"""What a policy enforcement point does with a decision: `enforce`, and `resume` if it was held.

`enforce` returns what may go out, or raises. It fails closed: an outcome or an obligation that it
does not know, or cannot fulfil, is a denial. docs/enforcement-point.md describes the rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.unknown_fields import UnknownFieldSet

from pdp_client._gen.pdp.v1 import decide_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Struct, Value

APPROVED: Final = "approved"
"""The state of an approval that a person has given."""

MASK: Final = "[MASKED]"
"""What replaces the value of a masked field."""

_ALLOWED: Final = frozenset(
    {
        pb.OUTCOME_ALLOW,
        pb.OUTCOME_WARN,
        pb.OUTCOME_ALLOW_WITH_OVERRIDE,
        pb.OUTCOME_ROUTE_TO,
        pb.OUTCOME_REDACT,
    }
)
_HELD: Final = frozenset({pb.OUTCOME_PROMPT, pb.OUTCOME_ESCALATE})
_STOPPED: Final = frozenset({pb.OUTCOME_CANCEL, pb.OUTCOME_BLOCK})

_MAX_EXACT: Final = 1 << 53
"""Up to here, a double holds every integer."""


class NotPermitted(Exception):
    """The request must not go out as it is.

    Attributes:
        response: the decision.
        reason: why, for the user: the message of the decision, or what is wrong with it.
    """

    def __init__(self, response: pb.DecideResponse, reason: str) -> None:
        super().__init__(reason)
        self.response = response
        self.reason = reason


class Denied(NotPermitted):
    """The request is stopped, or the decision has something that is not understood."""


@dataclass(frozen=True, slots=True)
class RequiredApproval:
    """The approval of a second person that a request waits for.

    Attributes:
        id: the id of the approval, for the approvers.
        message: what they are asked.
        expires_at: until when it can be given and used.
        is_given: whether it is given already, so that the request can be sent again now.
        token: lets the request pass once the approval is given. Keep it out of logs.
    """

    id: str
    message: str
    expires_at: datetime
    is_given: bool
    token: str = field(repr=False)


class Held(NotPermitted):
    """The request waits for a person. Send it again as `resume` returns it.

    Attributes:
        prompts: the messages to show to the user, who must confirm; empty if only an approval is
            missing.
        approval: the approval of a second person that is missing; None for none.
    """

    def __init__(
        self,
        response: pb.DecideResponse,
        prompts: tuple[str, ...],
        approval: RequiredApproval | None = None,
    ) -> None:
        asked = (*prompts, *([approval.message] if approval and approval.message else []))
        super().__init__(response, " ".join(asked) or response.message or _WAITS)
        self.prompts = prompts
        self.approval = approval


_WAITS: Final = "The request waits for the approval of a second person."


@dataclass(frozen=True, slots=True)
class Route:
    """The model that the request must be sent to.

    Attributes:
        model: the name of the model.
        provider: its provider; empty if a server of an older version does not name it.
    """

    model: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Permit:
    """What may go out.

    Attributes:
        text: the text to send in place of the request's text.
        arguments: the arguments to send in place of the request's; None if it has none.
        arguments_json: the same as JSON text, with numbers exactly as they were; empty for none.
        payload: the document to send in place of the request's payload; empty if it has none.
        route: the model to send the request to; None for the model that it names.
        warnings: the messages to show to the user. The request goes out all the same.
        prompts: what the user has confirmed.
        masked_fields: the fields that must be masked in the resource, too; see `mask`.
    """

    text: str = ""
    arguments: Mapping[str, Any] | None = None
    arguments_json: str = ""
    payload: str = ""
    route: Route | None = None
    warnings: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    masked_fields: tuple[str, ...] = ()

    def mask(self, value: Any) -> Any:
        """Returns a JSON value without the values of `masked_fields`, at any depth.

        Use it for what the resource returns: the result of a tool or the rows of a query. `ssn` is
        masked, too, if the field is `user.ssn` or `rows[0].ssn`.
        """
        if not self.masked_fields:
            return value
        names = {part for name in self.masked_fields for part in (name, _last_part(name))}
        return _masked(value, names)


def enforce(
    response: pb.DecideResponse, request: pb.DecideRequest, *, confirmed: bool = False
) -> Permit:
    """Returns what may go out by a decision.

    Args:
        response: the decision.
        request: the request that was decided.
        confirmed: whether the user has confirmed the prompts of this decision. Prefer `resume`:
            then the policies of that moment judge the request, and a confirmation is used once.

    Raises:
        Denied: the request is stopped, or the decision has something that this client does not
            understand or cannot fulfil.
        Held: the user must confirm first, or a second person must approve the request.
    """
    _check(response, request)
    prompts, fields = _prompts(response), _fields(response)
    approval = _approval(response)
    if approval is not None:
        raise Held(response, prompts, approval)
    if (prompts or response.outcome == pb.OUTCOME_PROMPT) and not confirmed:
        raise Held(response, prompts or (response.message or "Please confirm the request.",))
    permit = Permit(
        route=_route(response),
        warnings=tuple(each.message for each in response.warnings),
        prompts=prompts,
        masked_fields=fields,
    )
    if request.HasField("payload"):
        permit = replace(permit, payload=_payload(response, request))
        return _with_masked_resource(response, request, permit, frozenset())
    permit = replace(permit, text=_text(response, request))
    arguments, arguments_json = _arguments(response, request)
    if arguments is None:
        return _with_masked_resource(response, request, permit, frozenset())
    masked = permit.mask(arguments)
    if masked != arguments:
        arguments_json = json.dumps(masked, ensure_ascii=False)
    permit = replace(permit, arguments=masked, arguments_json=arguments_json)
    return _with_masked_resource(response, request, permit, frozenset(_keys(arguments)))


def has_only_text(request: pb.DecideRequest) -> bool:
    """Returns whether a request has neither arguments nor a payload."""
    return not (
        request.arguments_json or request.HasField("arguments") or request.HasField("payload")
    )


def resume(request: pb.DecideRequest, held: Held, *, confirmed: bool = False) -> pb.DecideRequest:
    """Returns a held request as it is to be sent again.

    It has the token of the approval, and the confirmation of the prompts if the user has confirmed
    them. As long as the approval is not given, the request is held again. If another person or
    prompt holds it then, resume the returned request.

    Args:
        request: the request that was held.
        held: what `enforce` has raised.
        confirmed: whether the user has confirmed the prompts.

    Raises:
        ValueError: there is nothing to send it again with: the user has not confirmed, or the
            server gives no confirmations.
    """
    tokens = [held.approval.token] if held.approval else []
    if confirmed:
        prompts = _of_type(held.response, pb.OBLIGATION_TYPE_PROMPT)
        tokens += [each.confirmation for each in prompts if each.confirmation]
    if not tokens:
        reason = "the decision has no confirmation" if confirmed else "the user has not confirmed"
        raise ValueError(f"the request cannot be sent again: {reason}")
    again = pb.DecideRequest()
    again.CopyFrom(request)
    again.tokens.extend(each for each in dict.fromkeys(tokens) if each not in request.tokens)
    return again


def _check(response: pb.DecideResponse, request: pb.DecideRequest) -> None:
    """Raises `Denied` if the decision stops the request, is another's, or contradicts itself."""
    outcome, allowed = response.outcome, response.allowed
    if outcome in _STOPPED and not allowed:
        raise Denied(response, response.message or "The request is not allowed.")
    if outcome not in _ALLOWED | _STOPPED | _HELD:
        raise Denied(response, f"the outcome {_name(pb.Outcome, outcome)} is not known")
    if allowed != (outcome in _ALLOWED):
        raise Denied(response, f"allowed is {allowed} for the outcome {_name(pb.Outcome, outcome)}")
    if request.request_id and request.request_id != response.request_id:
        raise Denied(response, "the decision is for another request")
    for obligation in response.obligations:
        _check_obligation(response, obligation)
    _check_outcome(response)


def _check_obligation(response: pb.DecideResponse, obligation: pb.Obligation) -> None:
    kind = obligation.type
    needed = _NEEDED.get(kind)
    if needed is None:
        raise Denied(response, f"the obligation {_name(pb.ObligationType, kind)} is not known")
    present = {each.name for each, value in obligation.ListFields() if value}
    for name in needed:
        if name not in present:
            kind_name = _name(pb.ObligationType, kind)
            raise Denied(response, f"the obligation {kind_name} has no {name}")
    if _has_unknown_fields(obligation) or any(map(_has_unknown_fields, obligation.spans)):
        name = _name(pb.ObligationType, kind)
        raise Denied(response, f"the obligation {name} has a field that is not known")


_NEEDED: Final[Mapping[int, tuple[str, ...]]] = {
    pb.OBLIGATION_TYPE_REDACT: ("spans",),
    pb.OBLIGATION_TYPE_ROUTE_TO: ("model",),
    pb.OBLIGATION_TYPE_PROMPT: ("message",),
    pb.OBLIGATION_TYPE_MASK_FIELDS: ("fields",),
    pb.OBLIGATION_TYPE_APPROVAL: ("approval_id", "token", "expires_at"),
}
"""The known obligations, each with the fields without which it cannot be fulfilled."""

_FULFILLED_BY: Final[Mapping[int, frozenset[int]]] = {
    pb.OUTCOME_REDACT: frozenset({pb.OBLIGATION_TYPE_REDACT, pb.OBLIGATION_TYPE_MASK_FIELDS}),
    pb.OUTCOME_ROUTE_TO: frozenset({pb.OBLIGATION_TYPE_ROUTE_TO}),
    pb.OUTCOME_ESCALATE: frozenset({pb.OBLIGATION_TYPE_APPROVAL}),
}
"""Which obligations say how to comply with an outcome."""


def _check_outcome(response: pb.DecideResponse) -> None:
    needed = _FULFILLED_BY.get(response.outcome)
    if needed and needed.isdisjoint(each.type for each in response.obligations):
        outcome = _name(pb.Outcome, response.outcome)
        raise Denied(response, f"the outcome {outcome} has no obligation that says what to do")


def _has_unknown_fields(message: Message) -> bool:
    return len(UnknownFieldSet(message)) > 0


def _name(enum: Any, number: int) -> str:
    return enum.Name(number) if number in enum.values() else str(number)


def _of_type(response: pb.DecideResponse, kind: int) -> Iterator[pb.Obligation]:
    return (each for each in response.obligations if each.type == kind)


def _prompts(response: pb.DecideResponse) -> tuple[str, ...]:
    return tuple(each.message for each in _of_type(response, pb.OBLIGATION_TYPE_PROMPT))


def _approval(response: pb.DecideResponse) -> RequiredApproval | None:
    approvals = list(_of_type(response, pb.OBLIGATION_TYPE_APPROVAL))
    if len(approvals) > 1:
        raise Denied(response, "the decision names several approvals")
    if not approvals:
        return None
    (obligation,) = approvals
    try:
        expires_at = obligation.expires_at.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise Denied(response, "the approval expires at a time that does not exist") from None
    return RequiredApproval(
        id=obligation.approval_id,
        message=obligation.message,
        expires_at=expires_at,
        is_given=obligation.approval_state == APPROVED,
        token=obligation.token,
    )


def _fields(response: pb.DecideResponse) -> tuple[str, ...]:
    masks = _of_type(response, pb.OBLIGATION_TYPE_MASK_FIELDS)
    return tuple(dict.fromkeys(name for each in masks for name in each.fields))


def _route(response: pb.DecideResponse) -> Route | None:
    routes = {
        Route(each.model, each.provider) for each in _of_type(response, pb.OBLIGATION_TYPE_ROUTE_TO)
    }
    if len(routes) > 1:
        raise Denied(response, "the decision names several models to route to")
    return routes.pop() if routes else None


def _payload(response: pb.DecideResponse, request: pb.DecideRequest) -> str:
    if not response.payload_format:
        raise Denied(response, "the server does not know payloads, and has not judged this one")
    if response.HasField("redacted_payload"):
        return response.redacted_payload
    if any(True for _ in _spans(response)):
        reason = "the payload must be redacted, and the decision has no redacted payload"
        raise Denied(response, reason)
    return request.payload.body


def _text(response: pb.DecideResponse, request: pb.DecideRequest) -> str:
    if response.HasField("redacted_text"):
        return response.redacted_text
    if any(not span.HasField("path") for span in _spans(response)):
        raise Denied(response, "the text must be redacted, and the decision has no redacted text")
    return request.content.text


def _spans(response: pb.DecideResponse) -> Iterator[pb.Span]:
    redactions = _of_type(response, pb.OBLIGATION_TYPE_REDACT)
    return (span for each in redactions for span in each.spans)


def _arguments(
    response: pb.DecideResponse, request: pb.DecideRequest
) -> tuple[dict[str, Any] | None, str]:
    """Returns the arguments after redaction, and their JSON text."""
    if response.HasField("redacted_arguments_json"):
        return _parsed(response, response.redacted_arguments_json)
    if response.HasField("redacted_arguments"):
        return _converted(response.redacted_arguments)
    if any(span.HasField("path") for span in _spans(response)):
        reason = "the arguments must be redacted, and the decision has no redacted arguments"
        raise Denied(response, reason)
    if request.arguments_json:
        return _parsed(response, request.arguments_json)
    return _converted(request.arguments) if request.HasField("arguments") else (None, "")


def _parsed(response: pb.DecideResponse, text: str) -> tuple[dict[str, Any], str]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Denied(response, "the arguments are not a JSON object")
    return value, text


def _converted(struct: Struct) -> tuple[dict[str, Any], str]:
    value = {name: _json(each) for name, each in struct.fields.items()}
    return value, json.dumps(value, ensure_ascii=False)


def _json(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return {name: _json(each) for name, each in value.struct_value.fields.items()}
        case "list_value":
            return [_json(each) for each in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _MAX_EXACT else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
    return None


def _with_masked_resource(
    response: pb.DecideResponse, request: pb.DecideRequest, permit: Permit, keys: frozenset[str]
) -> Permit:
    """Returns the permit; raises `Denied` if the request does not have a field to mask."""
    places = keys | frozenset(request.target.fields)
    missing = [name for name in permit.masked_fields if name not in places]
    if missing:
        raise Denied(
            response, f"the field {missing[0]} must be masked, and the request has no such field"
        )
    return permit


def _last_part(name: str) -> str:
    """Returns `ssn` for `user.ssn`, `/user/ssn` and `rows[0].ssn`."""
    parts = [part for part in re.split(r"[./\[\]]", name) if part]
    return parts[-1] if parts else name


def _masked(value: Any, fields: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            name: MASK if name in fields else _masked(item, fields) for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked(item, fields) for item in value]
    return value


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _keys(item)
