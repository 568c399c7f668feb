"""A quick test that most DecideRequests pass.

Holding a message against its contract takes 7 µs, more than deciding on it does. What is plainly
within all bounds is recognised here for a fifth of that; everything else, and all that this test
is not sure of, goes to protovalidate, which alone refuses. A property test holds the two together:
what is plain here never breaks a rule there.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Final

from pdp.domain.tenant import is_tenant_id

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb

_MAX_ID: Final = 256
_MAX_ITEMS: Final = 1000
_MAX_TEXT: Final = 1_048_576 // 4  # characters that are within the bound whatever they are
_MAX_REVISION: Final = 1 << 53
_DIRECTIONS: Final = frozenset({"", "input", "output"})
_CHANNELS: Final = frozenset({"", "interactive", "api"})
_COMPLEXITIES: Final = frozenset({"", "simple", "medium", "complex"})
_is_action: Final = re.compile(
    r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_]*(\.[a-z0-9_]+)*"
).fullmatch


def is_plain(message: pb.DecideRequest) -> bool:
    """Whether `message` is certainly within the bounds of its contract."""
    tenant_id, action, has = message.tenant_id, message.action, message.HasField
    return (
        len(message.request_id) <= _MAX_ID
        and (not tenant_id or is_tenant_id(tenant_id))
        and len(message.customer_id) <= _MAX_ID
        and message.direction in _DIRECTIONS
        and message.channel in _CHANNELS
        and message.intent_complexity in _COMPLEXITIES
        and len(message.content.text) <= _MAX_TEXT
        and (not action or (len(action) <= _MAX_ID and _is_action(action) is not None))
        and len(message.tool) <= _MAX_ID
        and 0 <= message.min_revision < _MAX_REVISION
        and not has("target")
        and not has("usage")
        and not has("timestamp")
        and not message.entities
        and (not has("model") or _is_plain_model(message.model))
        and (not has("subject") or _is_plain_subject(message.subject))
    )


def _is_plain_model(model: pb.Model) -> bool:
    return len(model.provider) <= _MAX_ID and len(model.model) <= _MAX_ID


def _is_plain_subject(subject: pb.Subject) -> bool:
    groups = subject.groups
    return (
        len(subject.user_id) <= _MAX_ID
        and len(subject.agent_id) <= _MAX_ID
        and isfinite(subject.risk_score)
        and len(groups) <= _MAX_ITEMS
        and max(map(len, groups), default=0) <= _MAX_ID
    )
