"""A quick test that most requests pass.

Holding a DecideRequest against its contract takes 7 µs, more than deciding on it does. What is
plainly within all bounds is recognised here for a tenth of that; everything else, and all that
this test is not sure of, goes to protovalidate, which alone refuses. A property test holds the two
together: what is plain here never breaks a rule there.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Final

from pdp.domain.request import NO_TARGET, NO_USAGE, NOBODY
from pdp.domain.tenant import is_tenant_id

if TYPE_CHECKING:
    from pdp.domain.request import Request, Subject, Usage

_MAX_ID: Final = 256
_MAX_ITEMS: Final = 1000
_MAX_TEXT: Final = 1_048_576 // 4  # characters that are within the bound whatever they are
_MAX_TOKENS: Final = 2**53 - 1
_DIRECTIONS: Final = frozenset({"input", "output"})
_CHANNELS: Final = frozenset({"interactive", "api"})
_COMPLEXITIES: Final = frozenset({"", "simple", "medium", "complex"})
_is_action: Final = re.compile(
    r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*:[a-z][a-z0-9_]*(\.[a-z0-9_]+)*"
).fullmatch


def is_plain(request: Request) -> bool:
    """Whether `request` is certainly within the bounds of DecideRequest.

    Says nothing of its documents (arguments, context, attributes), which have no other bound than
    their depth.
    """
    action = request.action
    return (
        len(request.text) <= _MAX_TEXT
        and len(request.request_id) <= _MAX_ID
        and len(request.customer_id) <= _MAX_ID
        and len(request.tool) <= _MAX_ID
        and len(request.provider) <= _MAX_ID
        and len(request.model) <= _MAX_ID
        and request.direction in _DIRECTIONS
        and request.channel in _CHANNELS
        and request.intent_complexity in _COMPLEXITIES
        and request.target is NO_TARGET
        and (request.usage is NO_USAGE or _is_plain_usage(request.usage))
        and not request.entities
        and is_tenant_id(request.tenant_id)
        and (not action or (len(action) <= _MAX_ID and _is_action(action) is not None))
        and (request.subject is NOBODY or _is_plain_subject(request.subject))
    )


def _is_plain_usage(usage: Usage) -> bool:
    return 0 <= usage.tokens <= _MAX_TOKENS and usage.cost_usd >= 0 and isfinite(usage.cost_usd)


def _is_plain_subject(subject: Subject) -> bool:
    groups, risk = subject.groups, subject.risk_score
    return (
        len(subject.user_id) <= _MAX_ID
        and len(subject.agent_id) <= _MAX_ID
        and (risk is None or isfinite(risk))
        and len(groups) <= _MAX_ITEMS
        and (not groups or max(map(len, groups)) <= _MAX_ID)
    )
