"""Decisions as AuthZEN answers; obligations as in the draft `authzen-obligations-profile-1_0`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.adapters.authzen.mapping import PAYLOAD_POINTER, renamed_message
from pdp.transport.status import STATUSES, http_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.adapters.authzen.mapping import Mapped
    from pdp.errors import PdpError

CUSTOM: Final = "custom"
STEP_UP: Final = "step-up"

ADVERTISED: Final = (CUSTOM, STEP_UP)
"""The types of obligations that decisions may have."""

VENDOR: Final = "pdp"
CONFIRMATION: Final = "urn:pdp:user-confirmation"
"""The `acr_value` of a prompt: the user must answer it."""

MAX_POLICIES: Final = 16
"""Policies that a reason for administrators names at most."""

_UNCHANGED: Final = frozenset({pb.OUTCOME_ALLOW, pb.OUTCOME_WARN, pb.OUTCOME_ALLOW_WITH_OVERRIDE})
_CHANGED: Final = frozenset({pb.OUTCOME_ROUTE_TO, pb.OUTCOME_REDACT})

HELD: Final = frozenset({pb.OBLIGATION_TYPE_APPROVAL, pb.OBLIGATION_TYPE_PROMPT})
"""The obligations of a request that waits for a person."""

_FORBIDDEN: Final = 403
_FIRST_ERROR: Final = 400

JsonAnswer = dict[str, Any]


def permits(response: pb.DecideResponse, supported: frozenset[str]) -> bool:
    """Whether a request may pass: unchanged, or with obligations that are all supported.

    Args:
        response: the decision.
        supported: the types of obligations that the enforcement point supports.
    """
    if not response.allowed or approval_of(response) is not None:
        return False
    if response.outcome in _UNCHANGED and not response.obligations:
        return True
    needed = {_type_of(each) for each in response.obligations}
    return (
        response.outcome in _UNCHANGED | _CHANGED
        and bool(needed)
        and needed <= supported.intersection(ADVERTISED)
    )


def carried_out(supported: frozenset[str]) -> frozenset[int]:
    """Returns the types of our obligations that an enforcement point carries out.

    Args:
        supported: the types of AuthZEN's obligations that it supports.
    """
    return frozenset(kind for kind, name in _TYPES.items() if name in supported)


def approval_of(response: pb.DecideResponse) -> pb.Obligation | None:
    """Returns the approval that a request waits for; None for none."""
    approvals = (each for each in response.obligations if each.type == pb.OBLIGATION_TYPE_APPROVAL)
    return next(approvals, None)


def to_answer(response: pb.DecideResponse, mapped: Mapped) -> JsonAnswer:
    """Returns the AuthZEN answer of a decision.

    Args:
        response: the decision.
        mapped: the request that it answers.
    """
    decision = permits(response, mapped.supported)
    context: JsonAnswer = {
        "decision_id": response.decision_id,
        "outcome": pb.Outcome.Name(response.outcome).removeprefix("OUTCOME_"),
    }
    if response.reason_code:
        context["reason_code"] = response.reason_code
    if response.incomplete and response.reason_code in STATUSES:  # the request is at fault
        context["error"] = {
            "status": STATUSES[response.reason_code].http,
            "message": renamed_message(response.message, mapped),
        }
    elif not decision:
        context.update(_reasons(response, mapped.supported))
    if response.HasField("retry_after_s"):
        context["retry_after_s"] = response.retry_after_s
    if response.warnings:
        context["warnings"] = [each.message for each in response.warnings]
    if response.unjudged:
        context["unjudged"] = [f"{PAYLOAD_POINTER}{each}" for each in response.unjudged]
    approval = approval_of(response)
    if approval is not None:
        context.update(_approval(approval))
    approved_by = dict.fromkeys(each.approved_by for each in response.matches if each.approved_by)
    if approved_by:
        context["approved_by"] = list(approved_by)
    obligations = obligations_of(response, mapped)
    if obligations:
        context["obligations"] = obligations
    return {"decision": decision, "context": context}


def _approval(obligation: pb.Obligation) -> JsonAnswer:
    """Returns what the context of an answer says of the approval that is missing."""
    return {
        "approval_id": obligation.approval_id,
        "approval_state": obligation.approval_state,
        "expires_at": obligation.expires_at.ToJsonString(),
    }


def error_answer(error: PdpError) -> JsonAnswer:
    """Returns the answer to one of several evaluations that cannot be evaluated."""
    return {
        "decision": False,
        "context": {"error": {"status": http_status(error), "message": error.message}},
    }


def _reasons(
    response: pb.DecideResponse, supported: frozenset[str]
) -> Mapping[str, Mapping[str, str]]:
    status = str(response.status_hint if response.status_hint >= _FIRST_ERROR else _FORBIDDEN)
    policies = [f"{each.layer}/{each.policy_id}" for each in response.matches if not each.would_be]
    admin = response.reason_code or pb.Outcome.Name(response.outcome)
    if policies:
        admin = f"{admin}: {', '.join(policies[:MAX_POLICIES])}"
    user = response.message
    needed = _needed(response, supported)
    if needed:
        admin = f"{admin}; needs supported_obligations: {', '.join(needed)}"
    if response.allowed:
        user = user or "The request may pass only if it is changed."
    reasons = {"reason_admin": {status: admin}}
    return {**reasons, "reason_user": {status: user}} if user else reasons


def _needed(response: pb.DecideResponse, supported: frozenset[str]) -> list[str]:
    """Returns the types of obligations without which a request does not pass.

    For one that waits for an approval, these are only those that are missing then.
    """
    if response.allowed:
        return sorted({_type_of(each) for each in response.obligations})
    if approval_of(response) is None:
        return []
    done = HELD | carried_out(supported)
    return sorted({_type_of(each) for each in response.obligations if each.type not in done})


def obligations_of(response: pb.DecideResponse, mapped: Mapped) -> list[JsonAnswer]:
    """Returns the obligations of a decision. Their JSON Pointers point into the evaluation."""
    found = [*_redactions(response, mapped), *_others(response)]
    return [
        {"id": f"obl-{number}", "type": kind, "properties": properties}
        for number, (kind, properties) in enumerate(found, 1)
    ]


_TYPES: Final[Mapping[int, str]] = {
    pb.OBLIGATION_TYPE_REDACT: CUSTOM,
    pb.OBLIGATION_TYPE_MASK_FIELDS: CUSTOM,
    pb.OBLIGATION_TYPE_ROUTE_TO: CUSTOM,
    pb.OBLIGATION_TYPE_PROMPT: STEP_UP,
}
"""The AuthZEN types of our obligations."""


def _type_of(obligation: pb.Obligation) -> str:
    """Returns the AuthZEN type of an obligation; one that is unknown has none that is supported."""
    return _TYPES.get(obligation.type, "unknown")


def _redactions(response: pb.DecideResponse, mapped: Mapped) -> Iterator[tuple[str, JsonAnswer]]:
    """Yields the one obligation that has all redactions."""
    redactions = [each for each in response.obligations if each.type == pb.OBLIGATION_TYPE_REDACT]
    if not redactions:
        return
    texts, below = mapped.text_pointer, mapped.arguments_pointer
    if mapped.message.HasField("payload"):
        texts = below = PAYLOAD_POINTER
    spans = []
    for redaction in redactions:
        for span in redaction.spans:
            place: JsonAnswer = {
                "pointer": f"{below}{span.path}" if span.HasField("path") else texts,
                "start": span.start,
                "end": span.end,
                "entity_type": span.entity_type,
            }
            if redaction.HasField("replacement"):
                place["replacement"] = redaction.replacement
            if span.in_key:
                place["in_key"] = True
            spans.append(place)
    yield (
        CUSTOM,
        {
            "vendor": VENDOR,
            "action": "redact",
            "spans": spans,
            "replace": _replacements(response, mapped),
        },
    )


def _replacements(response: pb.DecideResponse, mapped: Mapped) -> JsonAnswer:
    """Returns the redacted values by the JSON Pointers of what they replace."""
    values: JsonAnswer = {}
    if response.HasField("redacted_text"):
        values[mapped.text_pointer] = response.redacted_text
    if response.HasField("redacted_arguments_json"):
        # As it is, because a number may be larger than the encoder can write.
        values[mapped.arguments_pointer] = msgspec.Raw(response.redacted_arguments_json.encode())
    if response.HasField("redacted_payload"):
        values[PAYLOAD_POINTER] = response.redacted_payload
    return values


def _others(response: pb.DecideResponse) -> Iterator[tuple[str, JsonAnswer]]:
    for each in response.obligations:
        if each.type == pb.OBLIGATION_TYPE_PROMPT:
            prompt = {"acr_value": CONFIRMATION, "message": each.message}
            if each.confirmation:
                expires_at = each.expires_at.ToJsonString()
                prompt |= {"confirmation": each.confirmation, "expires_at": expires_at}
            yield STEP_UP, prompt
        elif each.type == pb.OBLIGATION_TYPE_APPROVAL:
            approval = {"message": each.message, "token": each.token, **_approval(each)}
            yield CUSTOM, {"vendor": VENDOR, "action": "approval", **approval}
        elif each.type == pb.OBLIGATION_TYPE_MASK_FIELDS:
            fields = list(each.fields)
            yield CUSTOM, {"vendor": VENDOR, "action": "mask_fields", "fields": fields}
        elif each.type == pb.OBLIGATION_TYPE_ROUTE_TO:
            route = {"model": each.model, "provider": each.provider}
            yield CUSTOM, {"vendor": VENDOR, "action": "route_to", **route}
