"""From a SimulatePolicyRequest to the DecideRequest that it asks about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Value

    from pdp._gen.pdp.v1 import simulate_pb2 as pb

_MODEL: Final = ("provider", "model")
_NO_MODEL: Final = "must be a string, or an object of the strings provider and model"


def decide_request(asked: pb.SimulatePolicyRequest) -> decide_pb2.DecideRequest:
    """Returns what `asked` is about, as a DecideRequest.

    Raises:
        InvalidArgument: something is said in both ways, and differs; or the model is none.
    """
    wanted = decide_pb2.DecideRequest()
    for field, value in asked.ListFields():
        if field.name == "model" or field.name not in wanted.DESCRIPTOR.fields_by_name:
            continue
        if field.is_repeated:
            getattr(wanted, field.name).extend(value)
        elif field.message_type is not None:
            getattr(wanted, field.name).CopyFrom(value)
        else:
            setattr(wanted, field.name, value)
    if asked.HasField("model"):
        _set_model(wanted.model, asked.model)
    violations = [
        *_same(wanted.model, "provider", asked.provider, "provider", "model.provider"),
        *_same(wanted.content, "text", asked.prompt, "prompt", "content.text"),
        *_same(wanted.subject, "user_id", asked.user_id, "user_id", "subject.user_id"),
    ]
    groups, named = list(asked.user_groups), list(wanted.subject.groups)
    if groups and named and groups != named:
        violations.append(Violation("user_groups", "differs from subject.groups"))
    elif groups and not named:
        wanted.subject.groups.extend(groups)
    if asked.HasField("user_risk_score"):
        subject = wanted.subject
        if subject.HasField("risk_score") and subject.risk_score != asked.user_risk_score:
            violations.append(Violation("user_risk_score", "differs from subject.risk_score"))
        subject.risk_score = asked.user_risk_score
    if violations:
        raise InvalidArgument.of(*violations)
    return wanted


def _same(message: Any, field: str, value: str, name: str, path: str) -> list[Violation]:
    """Sets a field that was said in another way, and returns why it cannot be."""
    present: str = getattr(message, field)
    if not value:
        return []
    if present and present != value:
        return [Violation(name, f"differs from {path}")]
    setattr(message, field, value)
    return []


def _set_model(model: decide_pb2.Model, value: Value) -> None:
    match value.WhichOneof("kind"):
        case "string_value":
            model.model = value.string_value
        case "struct_value":
            for name, member in value.struct_value.fields.items():
                if name not in _MODEL:
                    raise InvalidArgument.of(Violation(f"model.{name}", "unknown field"))
                if member.WhichOneof("kind") != "string_value":
                    raise InvalidArgument.of(Violation(f"model.{name}", "must be a string"))
                setattr(model, name, member.string_value)
        case "null_value":
            return
        case _:
            raise InvalidArgument.of(Violation("model", _NO_MODEL))
