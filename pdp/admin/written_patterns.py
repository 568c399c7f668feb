"""The patterns of policies that are written, each with the path of its field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain import customer_policy, dlp_rule, policy_pack, static_policy
from pdp.domain.customer_policy import CustomerPolicy, rule_path
from pdp.engine.layers.customer import CustomerLayer
from pdp.engine.rules.customers import compile_customer
from pdp.engine.rules.expressions import known_expression

if TYPE_CHECKING:
    from pdp.engine.rules.customers import Customer
    from pdp.engine.snapshot import Snapshot


class WrittenPattern(NamedTuple):
    """A pattern of a policy.

    Attributes:
        field: its path in the policy.
        source: the pattern, as RE2.
        shown: the pattern as it is written, if it is not RE2.
    """

    field: str
    source: str
    shown: str = ""


ANY_ACTION: Final = "*:*:*"

Body = Mapping[str, Any]
"""The fields of a policy as the store keeps them."""


def patterns_of(snapshot: Snapshot, kind: str, body: Body) -> Iterator[WrittenPattern]:
    """Yields the patterns of a policy; none for most kinds.

    Args:
        snapshot: the tenant's policies, with the policy if it is in force.
        kind: the kind of the policy.
        body: a policy that is valid.
    """
    if kind == customer_policy.KIND:
        yield from _of_customer_policy(snapshot, CustomerPolicy(**body))
        return
    read = _READERS.get(kind)
    if read is not None:
        yield from read(body)


def _of_static_policy(body: Body) -> Iterator[WrittenPattern]:
    yield WrittenPattern("pattern", body["pattern"])


def _of_dlp_rule(body: Body) -> Iterator[WrittenPattern]:
    config = body["config_json"]
    pattern = config.get("pattern")
    if pattern and body["detector_type"] == dlp_rule.REGEX and config.get("detector") is None:
        yield WrittenPattern("config_json.pattern", pattern)


def _of_policy_rule(body: Body) -> Iterator[WrittenPattern]:
    pattern = body["conditions"].get("content_regex")
    if pattern:
        yield WrittenPattern("conditions.content_regex", pattern)
    expression = body["conditions"].get("expression")
    if expression:
        for source in known_expression(expression).condition.pattern_sources():
            yield WrittenPattern("conditions.expression", source)


def _of_customer_policy(snapshot: Snapshot, policy: CustomerPolicy) -> Iterator[WrittenPattern]:
    for name in (
        customer_policy.BLOCKED_ACTION_PATTERNS,
        customer_policy.ALLOWED_ACTION_PATTERNS,
    ):
        for index, pattern in enumerate(policy.texts(name)):
            if pattern == ANY_ACTION:
                yield WrittenPattern(f"{name}[{index}]", "", pattern)
    for _, rule in _compiled(snapshot, policy).rules:
        for source in rule.condition.pattern_sources():
            yield WrittenPattern(rule_path(rule.impact.id, "condition"), source)


def _compiled(snapshot: Snapshot, policy: CustomerPolicy) -> Customer:
    """Returns the compiled policy, which the snapshot has if the policy is in force."""
    for layer in snapshot.layers:
        if isinstance(layer, CustomerLayer):
            customer = layer.customers.get(policy.customer_id)
            if customer is not None and customer.policy.document == policy.document:
                return customer
    return compile_customer(policy)


_READERS: Final[Mapping[str, Callable[[Body], Iterator[WrittenPattern]]]] = {
    static_policy.KIND: _of_static_policy,
    dlp_rule.KIND: _of_dlp_rule,
    policy_pack.RULE_KIND: _of_policy_rule,
}

PATTERN_KINDS: Final = frozenset({*_READERS, customer_policy.KIND})
"""The kinds whose policies can have patterns."""
