"""Puts the warnings of a write into its answer.

They are the field `warnings` of the response. Over HTTP they are a member of the body, beside the
members of the policy. A response without that field, because its body over HTTP is an array or
empty, has them in the header `X-PDP-Warnings`, which is trailing metadata over gRPC.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import write_warning_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    from pdp.domain.write_warning import WriteWarning
    from pdp.transport.call import Call

WARNINGS: Final = "warnings"
WARNINGS_HEADER: Final = "x-pdp-warnings"

MAX_HEADER_LENGTH: Final = 4096
"""Characters of the header. Clients refuse longer ones; warnings that do not fit are left out."""

_PREFIX: Final = "WRITE_WARNING_CODE_"


def has_warnings(response: Descriptor) -> bool:
    """Returns whether a response has a field for warnings."""
    field = response.fields_by_name.get(WARNINGS)
    inner = field.message_type if field is not None else None
    return inner is not None and bool(inner.full_name == pb.WriteWarning.DESCRIPTOR.full_name)


def add_to_message(call: Call, response: Message) -> None:
    """Adds the warnings of a call to the field of its response."""
    target: Any = response
    target.warnings.extend(
        pb.WriteWarning(
            field=each.field,
            code=pb.WriteWarningCode.Value(_PREFIX + each.code),
            message=each.message,
            suggestions=each.suggestions,
        )
        for each in call.warnings
    )


def add_to_header(call: Call, _response: Message) -> None:
    """Adds the warnings of a call to its headers."""
    call.reply[WARNINGS_HEADER] = header_of(call.warnings)


def header_of(warnings: Sequence[WriteWarning]) -> str:
    """Returns warnings as a JSON array in ASCII, as many as fit."""
    items: list[str] = []
    length = 2
    for each in warnings:
        item = json.dumps(each._asdict(), separators=(",", ":"))
        length += len(item) + 1
        if length > MAX_HEADER_LENGTH:
            break
        items.append(item)
    return f"[{','.join(items)}]"
