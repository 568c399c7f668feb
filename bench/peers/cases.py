"""The policies and requests that all decision points get, and the answers that they must give.

A customer's policy has three rules:

1. Deletions and `database:table:drop` are denied.
2. Only the tools on the customer's list may be called.
3. A batch above the customer's limit is denied, if the target is sensitive.

There is one policy a customer, made from one template with a number in its name, as the load test
of Cerbos makes its policies. A request names one customer; requests go through all in turn.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKED_ACTION: Final = "database:table:drop"
BLOCKED_VERB: Final = "delete"
SENSITIVE: Final = 3
"""From this sensitivity on, a target is sensitive."""

SHARED_TOOLS: Final = ("read_file", "search_code", "send_message", "run_report")
_ACTIONS: Final = (
    *("github:pull_request:create", "github:issue:comment", "jira:issue:create"),
    *("slack:message:send", "database:table:read", "storage:report:read"),
)
_BAD_ACTIONS: Final = ("database:table:drop", "storage:report:delete", "github:branch:delete")
_REGIONS: Final = ("eu-west-1", "us-east-1", "ap-south-1")


class Policy(NamedTuple):
    """The policy of one customer."""

    customer: str
    tools: tuple[str, ...]
    batch_limit: int


class Case(NamedTuple):
    """One request, in no product's form, and the answer that it must get."""

    number: int
    customer: str
    user: str
    team: str
    action: str
    tool: str
    batch_size: int
    sensitivity: int
    region: str
    allowed: bool

    @property
    def request_id(self) -> str:
        """The caller's id of the request."""
        return f"req-{self.number:06d}"


def policies(count: int) -> list[Policy]:
    """Returns the policies of `count` customers; no two are equal."""
    return [
        Policy(f"customer_{i:05d}", (*SHARED_TOOLS, f"tool_{i:05d}"), 100 + i % 900)
        for i in range(count)
    ]


def cases(policies: Sequence[Policy], count: int) -> list[Case]:
    """Returns `count` requests, spread evenly over the policies; about four of ten are denied."""
    chance = random.Random(count)  # noqa: S311 - reproducible test data
    step = max(1, len(policies) // count)
    return [_case(chance, i, policies[i * step % len(policies)]) for i in range(count)]


def _case(chance: random.Random, number: int, policy: Policy) -> Case:
    bad_action, bad_tool = chance.random() < 0.15, chance.random() < 0.15
    action = chance.choice(_BAD_ACTIONS if bad_action else _ACTIONS)
    tool = chance.choice(("shell", "tool_99999") if bad_tool else policy.tools)
    batch_size = policy.batch_limit + chance.choice((-50, -1, 0, 1, 50))
    sensitivity = chance.randrange(6)
    return Case(
        number=number,
        customer=policy.customer,
        user=f"user-{chance.randrange(1000):04d}",
        team=chance.choice(("payments", "support", "research")),
        action=action,
        tool=tool,
        batch_size=batch_size,
        sensitivity=sensitivity,
        region=chance.choice(_REGIONS),
        allowed=_is_allowed(policy, action, tool, batch_size, sensitivity),
    )


def _is_allowed(policy: Policy, action: str, tool: str, batch_size: int, sensitivity: int) -> bool:
    """Decides by the three rules, as a reference that is independent of every product."""
    if action == BLOCKED_ACTION or action.endswith(f":{BLOCKED_VERB}"):
        return False
    if tool not in policy.tools:
        return False
    return not (batch_size > policy.batch_limit and sensitivity >= SENSITIVE)
