"""Converts a SimulatePolicyRequest to a DecideRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Value

    from pdp._gen.pdp.v1 import simulate_pb2 as pb

_MODEL_FIELDS: Final = ("provider", "model")
_MODEL_TYPE: Final = "must be a string, or an object with the strings provider and model"


def decide_request(request: pb.SimulatePolicyRequest) -> decide_pb2.DecideRequest:
    """Returns the DecideRequest that `request` simulates.

    Some values can be set in two fields: in one of a DecideRequest, and in a short form.

    Raises:
        InvalidArgument: the two fields of a value differ, or the model has a wrong type.
    """
    decide = decide_pb2.DecideRequest()
    for field, value in request.ListFields():
        if field.name == "model" or field.name not in decide.DESCRIPTOR.fields_by_name:
            continue
        if field.is_repeated:
            getattr(decide, field.name).extend(value)
        elif field.message_type is not None:
            getattr(decide, field.name).CopyFrom(value)
        else:
            setattr(decide, field.name, value)
    if request.HasField("model"):
        _set_model(decide.model, request.model)
    violations = [
        *_set_field(decide.model, "provider", request.provider, "provider", "model.provider"),
        *_set_field(decide.content, "text", request.prompt, "prompt", "content.text"),
        *_set_field(decide.subject, "user_id", request.user_id, "user_id", "subject.user_id"),
    ]
    groups, subject_groups = list(request.user_groups), list(decide.subject.groups)
    if groups and subject_groups and groups != subject_groups:
        violations.append(Violation("user_groups", "differs from subject.groups"))
    elif groups and not subject_groups:
        decide.subject.groups.extend(groups)
    if request.HasField("user_risk_score"):
        subject = decide.subject
        if subject.HasField("risk_score") and subject.risk_score != request.user_risk_score:
            violations.append(Violation("user_risk_score", "differs from subject.risk_score"))
        subject.risk_score = request.user_risk_score
    if violations:
        raise InvalidArgument.of(*violations)
    return decide


def _set_field(message: Any, field: str, value: str, name: str, path: str) -> list[Violation]:
    """Sets a field to the value of its short form; returns the violation if the two differ."""
    current: str = getattr(message, field)
    if not value:
        return []
    if current and current != value:
        return [Violation(name, f"differs from {path}")]
    setattr(message, field, value)
    return []


def _set_model(model: decide_pb2.Model, value: Value) -> None:
    match value.WhichOneof("kind"):
        case "string_value":
            model.model = value.string_value
        case "struct_value":
            for name, member in value.struct_value.fields.items():
                if name not in _MODEL_FIELDS:
                    raise InvalidArgument.of(Violation(f"model.{name}", "unknown field"))
                if member.WhichOneof("kind") != "string_value":
                    raise InvalidArgument.of(Violation(f"model.{name}", "must be a string"))
                setattr(model, name, member.string_value)
        case "null_value":
            return
        case _:
            raise InvalidArgument.of(Violation("model", _MODEL_TYPE))
