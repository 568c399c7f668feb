"""The errors that each operation may answer with, from the one table of statuses."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import error_reason_pb2, options_pb2
from pdp.errors import InvalidArgument
from pdp.jsonpb.fields import enum_names
from pdp.transport.status import STATUSES
from tools.openapi.comments import first_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import Descriptor

    from pdp.transport.http.binding import Binding
    from tools.openapi.bounds import JsonSchema
    from tools.openapi.schemas import Schemas

_INVALID: Final = frozenset(
    {InvalidArgument.reason, *(kind.reason for kind in InvalidArgument.__subclasses__())}
)
_REASONS: Final = enum_names(error_reason_pb2.ErrorReason.DESCRIPTOR)
_PREFIX: Final = "ERROR_REASON_"
_SCHEMA: Final = "Error"


def _always(_binding: Binding) -> bool:
    return True


def _never(_binding: Binding) -> bool:
    return False


def _writes(binding: Binding) -> bool:
    return binding.method.writes


def _names_something(binding: Binding) -> bool:
    return bool(binding.path)


def _names_customer(binding: Binding) -> bool:
    return any(variable.name == "customer_id" for variable in binding.path)


def _names_model(binding: Binding) -> bool:
    return any(variable.name == "model_config_id" for variable in binding.path)


def _names_provider(binding: Binding) -> bool:
    return any(variable.name == "provider" for variable in binding.path)


def _creates_model(binding: Binding) -> bool:
    return binding.method.name == "CreateModelConfig"


def _deletes_model(binding: Binding) -> bool:
    return binding.method.name == "DeleteModelConfig"


def _names_limit(binding: Binding) -> bool:
    return any(variable.name == "limit_id" for variable in binding.path)


def _names_connector(binding: Binding) -> bool:
    return binding.method.name == "TestSiemConnector"


def _names_decision(binding: Binding) -> bool:
    return any(variable.name == "decision_id" for variable in binding.path)


def _names_rule(binding: Binding) -> bool:
    return _names_something(binding) or binding.method.name == "TestAlertRules"


def _names_key(binding: Binding) -> bool:
    return any(variable.name == "key_id" for variable in binding.path)


def _creates_limit(binding: Binding) -> bool:
    return binding.method.name == "CreateLimit"


def _names_bundle(binding: Binding) -> bool:
    return any(variable.name == "bundle_id" for variable in binding.path)


def _names_group(binding: Binding) -> bool:
    return any(variable.name == "group_id" for variable in binding.path)


def _upgrades(binding: Binding) -> bool:
    return binding.method.name == "UpgradeComplianceBundle"


def _names_uniquely(binding: Binding) -> bool:
    return binding.method.name in {
        f"{verb}{noun}"
        for verb in ("Create", "Update")
        for noun in ("ComplianceBundle", "UserGroup", "DlpRule")
    }


def _changes_the_platforms(binding: Binding) -> bool:
    return binding.method.name in {"DeleteComplianceBundle", "UpdateDlpRule", "DeleteDlpRule"}


def _takes_body(binding: Binding) -> bool:
    return bool(binding.body)


def is_conditional(binding: Binding) -> bool:
    """Whether a route changes an entity that is there, so that `If-Match` may be asked of it."""
    return binding.method.writes and binding.http_method in {"PUT", "PATCH", "DELETE"}


_APPLIES: Final[Mapping[str, Callable[[Binding], bool]]] = {
    "ROUTE_NOT_FOUND": _never,  # no operation's
    "METHOD_NOT_ALLOWED": _never,
    "POLICY_NOT_FOUND": _names_something,
    "OVERRIDE_NOT_FOUND": _names_something,
    "CUSTOMER_NOT_FOUND": _names_customer,
    "PACK_NOT_FOUND": _names_something,
    "RULE_NOT_FOUND": _names_rule,
    "CHAIN_NOT_FOUND": _names_something,
    "MODEL_NOT_FOUND": _names_model,
    "PROVIDER_NOT_FOUND": _names_provider,
    "MODEL_EXISTS": _creates_model,
    "MODEL_DISABLED": _deletes_model,
    "LIMIT_NOT_FOUND": _names_limit,
    "RECORD_NOT_FOUND": _names_decision,
    "CONNECTOR_NOT_FOUND": _names_connector,
    "LIMIT_EXISTS": _creates_limit,
    "KEY_NOT_FOUND": _names_key,
    "BUNDLE_NOT_FOUND": _names_bundle,
    "GROUP_NOT_FOUND": _names_group,
    "NO_UPGRADE": _upgrades,
    "NAME_EXISTS": _names_uniquely,
    "PLATFORM_READONLY": _changes_the_platforms,
    "BUNDLE_READONLY": _writes,
    "PACK_IN_USE": is_conditional,
    "SYSTEM_POLICY_READONLY": _writes,
    "POLICY_NAME_EXISTS": _writes,
    "PRECONDITION_FAILED": is_conditional,
    "REQUEST_TOO_LARGE": _takes_body,
    "UNSUPPORTED_MEDIA_TYPE": _takes_body,
}
"""Which operations may answer with a reason; those not named here, all."""


def error_schema(schemas: Schemas) -> JsonSchema:
    """Returns the reference to the envelope that every error is sent in."""
    text = {"type": "string"}
    detail = {
        "type": "object",
        "properties": {
            "field": {"description": "The field at fault.", **text},
            "reason": {"description": "Why it is refused.", **text},
        },
        "additionalProperties": False,
        "required": ["field", "reason"],
    }
    error = {
        "type": "object",
        "properties": {
            "code": {"description": "Why, for programs.", **text, "enum": sorted(STATUSES)},
            "message": {"description": "Why, for people.", **text},
            "details": {"description": "Field by field.", "type": "array", "items": detail},
        },
        "additionalProperties": False,
        "required": ["code", "message", "details"],
    }
    return schemas.add(
        _SCHEMA,
        {
            "type": "object",
            "description": schemas.describe("pdp.v1.ErrorReason"),
            "properties": {"error": error},
            "additionalProperties": False,
            "required": ["error"],
        },
    )


def error_responses(
    binding: Binding, schemas: Schemas, responses: dict[str, Any]
) -> dict[str, Any]:
    """Returns references to the error responses of a route, by status.

    Args:
        binding: the route.
        schemas: they know the comments.
        responses: where each response is added, once, named for its reasons.

    """
    asked = _asked_for(binding.method.descriptor.input_type, set())
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for reason, (_, status) in STATUSES.items():
        if reason in _INVALID:
            if reason == InvalidArgument.reason or reason in asked:
                by_status[binding.method.invalid_status].append(reason)
        elif _APPLIES.get(reason, _always)(binding):
            by_status[status].append(reason)
    references: dict[str, Any] = {}
    for status, reasons in sorted(by_status.items()):
        name = "Or".join(reason.title().replace("_", "") for reason in reasons)
        responses[name] = _response(reasons, schemas)
        references[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return references


def error_examples(schemas: Schemas) -> dict[str, Any]:
    """Returns a sample of each error, from the comment of its reason."""
    return {
        reason: {"value": _sample(schemas.describe(_full_name(reason)))}
        for reason in sorted(STATUSES)
    }


def _response(reasons: list[str], schemas: Schemas) -> dict[str, Any]:
    described = {reason: schemas.describe(_full_name(reason)) for reason in reasons}
    lines = [
        f"- `{reason}`{first_sentence(text).removeprefix(_PREFIX + reason)}."
        for reason, text in described.items()
    ]
    codes = {"properties": {"error": {"properties": {"code": {"enum": reasons}}}}}
    return {
        "description": "\n".join(lines),
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": f"#/components/schemas/{_SCHEMA}"}, codes]},
                "examples": {name: {"$ref": f"#/components/examples/{name}"} for name in reasons},
            }
        },
    }


def _full_name(reason: str) -> str:
    if reason not in _REASONS.values():
        raise KeyError(f"error_reason.proto does not know {reason}")
    return f"pdp.v1.ErrorReason.{_PREFIX}{reason}"


def _sample(comment: str) -> Any:
    """Returns the sample payload that a reason's comment ends with."""
    return json.loads(comment[comment.index("{") :])


def _asked_for(message: Descriptor, seen: set[str]) -> set[str]:
    """Returns the reasons that the fields of a message, and of those in it, ask for."""
    if message.full_name in seen:
        return set()
    seen.add(message.full_name)
    reasons: set[str] = set()
    for field in message.fields:
        reasons.add(_REASONS[field.GetOptions().Extensions[options_pb2.field].invalid])
        if field.message_type is not None:
            reasons |= _asked_for(field.message_type, seen)
    return reasons
