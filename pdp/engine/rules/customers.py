"""One customer's policy, compiled: what of it applies to a request.

Compiled when the policy is written, and used again for as long as it is not: see `build` in
`pdp.engine.layers.customer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain import customer_policy as names
from pdp.domain.customer_policy import CustomerPolicy, rule_path
from pdp.domain.decision import RiskFactor
from pdp.domain.layers import CUSTOMER
from pdp.engine.conditions import Condition, compile_condition
from pdp.engine.rules.action_patterns import ActionPatterns
from pdp.errors import InvalidCondition, Violation

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.conditions.codegen import Evaluate

MAX_REFUSED: Final = 32
"""Conditions that one error names."""

_LEAVES: Final = frozenset({str, float, int, bool, NoneType})


class CompiledCustomRule(NamedTuple):
    """A custom rule: its condition, and what it adds to the risk where that is true."""

    condition: Condition
    impact: RiskFactor


class Hits(NamedTuple):
    """What of a policy applies to a request.

    Attributes:
        blocked: the list that blocks the action, and its entry; None where none does.
        action_refused: the action is not among those that alone are allowed.
        tool_refused: the tool is not among those that alone are allowed.
        fields: the sensitive fields that the request names, as it names them.
        classifications: the sensitive classifications that the target has.
        rules: the custom rules whose condition is true.
    """

    blocked: tuple[str, str] | None = None
    action_refused: bool = False
    tool_refused: bool = False
    fields: tuple[str, ...] = ()
    classifications: tuple[str, ...] = ()
    rules: tuple[CompiledCustomRule, ...] = ()


NO_HITS: Final = Hits()


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's policy, ready to be asked. Allow-lists that are empty allow everything.

    Attributes:
        policy: what it was compiled from.
        rules: the custom rules, each behind the function that evaluates its condition.
    """

    policy: CustomerPolicy
    blocked_actions: frozenset[str]
    blocked_patterns: ActionPatterns
    allowed_patterns: ActionPatterns
    allowed_tools: frozenset[str]
    sensitive_fields: frozenset[str]
    classifications: frozenset[str]
    rules: tuple[tuple[Evaluate, CompiledCustomRule], ...]

    def hits(self, request: Request) -> Hits:
        """Returns what applies to `request`; `NO_HITS` where nothing does."""
        action, tool, target = request.action, request.tool, request.target
        blocked = self._blocked(action) if action else None
        # What is blocked is blocked: whether it would be allowed is not asked any more.
        action_refused = (
            bool(action and self.allowed_patterns)
            and blocked is None
            and self.allowed_patterns.find(action) is None
        )
        tool_refused = bool(tool and self.allowed_tools) and tool not in self.allowed_tools
        fields = self._fields(target.fields, request.arguments) if self.sensitive_fields else ()
        classifications = target.classifications
        if classifications:
            known = self.classifications
            classifications = tuple([each for each in classifications if each in known])
        rules = [rule for evaluate, rule in self.rules if evaluate(request)]
        if not (blocked or action_refused or tool_refused or fields or classifications or rules):
            return NO_HITS
        return Hits(blocked, action_refused, tool_refused, fields, classifications, tuple(rules))

    def _blocked(self, action: str) -> tuple[str, str] | None:
        if action in self.blocked_actions:
            return names.BLOCKED_ACTIONS, action
        if self.blocked_patterns:
            pattern = self.blocked_patterns.find(action)
            if pattern is not None:
                return names.BLOCKED_ACTION_PATTERNS, pattern
        return None

    def _fields(self, named: tuple[str, ...], arguments: Any) -> tuple[str, ...]:
        sensitive = self.sensitive_fields
        found = [name for name in named if name in sensitive] if named else []
        if arguments:
            keys: set[str] = set()
            _add_keys(arguments, sensitive, keys)
            # The wire keeps no order of keys, and the same request gets the same answer.
            found += sorted(keys)
        return tuple(dict.fromkeys(found)) if found else ()


def _add_keys(value: Any, wanted: frozenset[str], found: set[str]) -> None:
    """Adds the keys anywhere in a JSON value that are wanted."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if key in wanted:
                found.add(key)
            if type(member) not in _LEAVES:
                _add_keys(member, wanted, found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if type(item) not in _LEAVES:
                _add_keys(item, wanted, found)


def compile_customer(policy: CustomerPolicy, prefix: str = "") -> Customer:
    """Compiles a policy in whose document `faults` finds nothing.

    Args:
        policy: the policy.
        prefix: put before the fields' paths in errors, for a document that lies in another.

    Raises:
        InvalidCondition: some conditions do not compile; it names them all.
    """
    return Customer(
        policy=policy,
        blocked_actions=frozenset(policy.texts(names.BLOCKED_ACTIONS)),
        blocked_patterns=ActionPatterns(policy.texts(names.BLOCKED_ACTION_PATTERNS)),
        allowed_patterns=ActionPatterns(policy.texts(names.ALLOWED_ACTION_PATTERNS)),
        allowed_tools=frozenset(policy.texts(names.ALLOWED_TOOLS)),
        sensitive_fields=frozenset(policy.texts(names.SENSITIVE_FIELDS)),
        classifications=frozenset(policy.texts(names.SENSITIVE_CLASSIFICATIONS)),
        rules=_compile_rules(policy, prefix),
    )


def _compile_rules(
    policy: CustomerPolicy, prefix: str
) -> tuple[tuple[Evaluate, CompiledCustomRule], ...]:
    rules: list[tuple[Evaluate, CompiledCustomRule]] = []
    refused: list[tuple[str, InvalidCondition]] = []
    for rule in policy.rules():
        try:
            condition = compile_condition(rule.condition, policy.timezone)
        except InvalidCondition as error:
            refused.append((prefix + rule_path(rule.name, "condition"), error))
            if len(refused) >= MAX_REFUSED:
                break
        else:
            impact = RiskFactor(CUSTOMER, rule.name, rule.score_impact)
            rules.append((condition.evaluate, CompiledCustomRule(condition, impact)))
    if refused:
        raise _invalid(refused)
    return tuple(rules)


def _invalid(refused: list[tuple[str, InvalidCondition]]) -> InvalidCondition:
    """Returns one error for many: each path with its message, in which a caret shows the place."""
    first = refused[0][1]
    return InvalidCondition(
        "\n".join(f"{path}: {error.message}" for path, error in refused),
        *(Violation(path, each.reason) for path, error in refused for each in error.violations),
        line=first.line,
        column=first.column,
    )
