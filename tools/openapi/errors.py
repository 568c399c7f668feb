"""Generates the error responses of each operation, from the table of statuses."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import error_reason_pb2, options_pb2
from pdp.errors import InvalidArgument
from pdp.jsonpb.fields import enum_names
from pdp.transport.status import STATUSES
from tools.openapi.comments import first_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import Descriptor

    from pdp.transport.http.binding import Binding
    from tools.openapi.schemas import SchemaRegistry

_INVALID: Final = frozenset(
    {InvalidArgument.reason, *(kind.reason for kind in InvalidArgument.__subclasses__())}
)
_REASONS: Final = enum_names(error_reason_pb2.ErrorReason.DESCRIPTOR)
_PREFIX: Final = "ERROR_REASON_"
_SCHEMA: Final = "Error"
_Applies = Callable[["Binding"], bool]


def _always(_binding: Binding) -> bool:
    return True


def _never(_binding: Binding) -> bool:
    return False


def _writes(binding: Binding) -> bool:
    return binding.method.writes


def _has_body(binding: Binding) -> bool:
    return bool(binding.body)


def _has_path_parameter(binding: Binding) -> bool:
    return bool(binding.path)


def _path_parameter(name: str) -> _Applies:
    """Returns a test for routes that have this parameter in the path."""
    return lambda binding: any(variable.name == name for variable in binding.path)


def _method(*names: str) -> _Applies:
    """Returns a test for the routes of these RPCs."""
    return lambda binding: binding.method.name in names


def _names_rule(binding: Binding) -> bool:
    return _has_path_parameter(binding) or binding.method.name == "TestAlertRules"


def _names_model(binding: Binding) -> bool:
    by_name = binding.method.name in {"DisableModelByName", "EnableModelByName"}
    return by_name or any(variable.name == "model_config_id" for variable in binding.path)


def is_conditional(binding: Binding) -> bool:
    """Whether a route changes an existing entity, so that it supports `If-Match`."""
    return binding.method.writes and binding.http_method in {"PUT", "PATCH", "DELETE"}


def _can_fail_a_precondition(binding: Binding) -> bool:
    has_base = "base_revision" in binding.method.request.DESCRIPTOR.fields_by_name
    return has_base or is_conditional(binding)


_APPLIES: Final[Mapping[str, _Applies]] = {
    "ROUTE_NOT_FOUND": _never,  # no operation sends it
    "METHOD_NOT_ALLOWED": _never,
    "POLICY_NOT_FOUND": _has_path_parameter,
    "OVERRIDE_NOT_FOUND": _has_path_parameter,
    "CUSTOMER_NOT_FOUND": _path_parameter("customer_id"),
    "PACK_NOT_FOUND": _has_path_parameter,
    "RULE_NOT_FOUND": _names_rule,
    "CHAIN_NOT_FOUND": _has_path_parameter,
    "MODEL_NOT_FOUND": _names_model,
    "PROVIDER_NOT_FOUND": _path_parameter("provider"),
    "MODEL_EXISTS": _method("CreateModelConfig"),
    "MODEL_DISABLED": _method("DeleteModelConfig"),
    "LIMIT_NOT_FOUND": _path_parameter("limit_id"),
    "RECORD_NOT_FOUND": _path_parameter("decision_id"),
    "CONNECTOR_NOT_FOUND": _method("TestSiemConnector"),
    "LIMIT_EXISTS": _method("CreateLimit"),
    "KEY_NOT_FOUND": _path_parameter("key_id"),
    "BUNDLE_NOT_FOUND": _path_parameter("bundle_id"),
    "GROUP_NOT_FOUND": _path_parameter("group_id"),
    "EXCEPTION_NOT_FOUND": _method(
        "GetException", "UpdateException", "ApproveException", "DeleteException"
    ),
    "APPROVAL_REFUSED": _method("ApproveException", "ApproveApproval", "DenyApproval"),
    "APPROVAL_NOT_FOUND": _method(
        "GetApproval", "ApproveApproval", "DenyApproval", "CancelApproval"
    ),
    "APPROVAL_CLOSED": _method("ApproveApproval", "DenyApproval", "CancelApproval"),
    "NO_UPGRADE": _method("UpgradeComplianceBundle"),
    "NAME_EXISTS": _method(
        *(
            f"{verb}{noun}"
            for verb in ("Create", "Update")
            for noun in ("ComplianceBundle", "UserGroup", "DlpRule", "Exception")
        )
    ),
    "PLATFORM_READONLY": _method("DeleteComplianceBundle", "UpdateDlpRule", "DeleteDlpRule"),
    "BUNDLE_READONLY": _writes,
    "PACK_IN_USE": is_conditional,
    "SYSTEM_POLICY_READONLY": _writes,
    "POLICY_NAME_EXISTS": _writes,
    "PRECONDITION_FAILED": _can_fail_a_precondition,
    "REQUEST_TOO_LARGE": _has_body,
    "UNSUPPORTED_MEDIA_TYPE": _has_body,
}
"""The operations that can respond with a reason. A reason that is not listed applies to all."""


def add_error_schema(registry: SchemaRegistry) -> None:
    """Adds the schema of the envelope of all errors."""
    text = {"type": "string"}
    detail = {
        "type": "object",
        "properties": {
            "field": {"description": "The invalid field.", **text},
            "reason": {"description": "Why the field is invalid.", **text},
        },
        "additionalProperties": False,
        "required": ["field", "reason"],
    }
    error = {
        "type": "object",
        "properties": {
            "code": {
                "description": "The machine-readable reason.",
                **text,
                "enum": sorted(STATUSES),
            },
            "message": {"description": "The human-readable reason.", **text},
            "details": {"description": "The reasons by field.", "type": "array", "items": detail},
        },
        "additionalProperties": False,
        "required": ["code", "message", "details"],
    }
    registry.add(
        _SCHEMA,
        {
            "type": "object",
            "description": registry.describe("pdp.v1.ErrorReason"),
            "properties": {"error": error},
            "additionalProperties": False,
            "required": ["error"],
        },
    )


def error_responses(
    binding: Binding, registry: SchemaRegistry, responses: dict[str, Any]
) -> dict[str, Any]:
    """Returns references to the error responses of a route, by status.

    Args:
        binding: the route.
        registry: the comments of the reasons.
        responses: each response is added to this dictionary once, under the names of its reasons.
    """
    declared = _declared_reasons(binding.method.descriptor.input_type, set())
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for reason, (_, status) in STATUSES.items():
        if reason in _INVALID:
            if reason == InvalidArgument.reason or reason in declared:
                by_status[binding.method.invalid_status].append(reason)
        elif _APPLIES.get(reason, _always)(binding):
            by_status[status].append(reason)
    references: dict[str, Any] = {}
    for status, reasons in sorted(by_status.items()):
        name = "Or".join(reason.title().replace("_", "") for reason in reasons)
        responses[name] = _response(reasons, registry)
        references[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return references


def error_examples(registry: SchemaRegistry) -> dict[str, Any]:
    """Returns an example of each error, from the comment of its reason."""
    return {
        reason: {"value": _sample(registry.describe(_full_name(reason)))}
        for reason in sorted(STATUSES)
    }


def _response(reasons: list[str], registry: SchemaRegistry) -> dict[str, Any]:
    described = {reason: registry.describe(_full_name(reason)) for reason in reasons}
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
        raise KeyError(f"error_reason.proto does not define {reason}")
    return f"pdp.v1.ErrorReason.{_PREFIX}{reason}"


def _sample(comment: str) -> Any:
    """Returns the sample payload at the end of the comment of a reason."""
    return json.loads(comment[comment.index("{") :])


def _declared_reasons(message: Descriptor, visited: set[str]) -> set[str]:
    """Returns the reasons that the fields of a message, and of the messages in it, declare."""
    if message.full_name in visited:
        return set()
    visited.add(message.full_name)
    reasons: set[str] = set()
    for field in message.fields:
        rules = field.GetOptions().Extensions[options_pb2.field]
        reasons |= {_REASONS[number] for number in (rules.invalid, *rules.inside)}
        if field.message_type is not None:
            reasons |= _declared_reasons(field.message_type, visited)
    return reasons
