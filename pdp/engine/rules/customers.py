"""The policy of one customer, compiled: it returns what applies to a request.

A policy is compiled when it is written, and the result is used until the next write: see `build` in
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
from pdp.engine.conditions import Condition, compile_condition, refuse_unclear_names
from pdp.engine.conditions.facts import NO_FACTS
from pdp.engine.rules.action_patterns import ActionPatterns
from pdp.engine.rules.field_names import is_one_of, spellings_of
from pdp.errors import InvalidCondition, Violation

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.conditions.codegen import Evaluate
    from pdp.engine.conditions.facts import ConditionFacts

MAX_INVALID_CONDITIONS: Final = 32
"""The number of conditions that one error reports."""

MAX_PATTERNS: Final = 500
"""The number of patterns of MATCHES and LIKE in the conditions of one policy. Each of them searches
the text of its operand again."""

_LEAF_TYPES: Final = frozenset({str, float, int, bool, NoneType})


class CompiledCustomRule(NamedTuple):
    """A custom rule.

    Attributes:
        condition: the condition.
        impact: what the rule adds to the risk if the condition is true.
    """

    condition: Condition
    impact: RiskFactor


class Hits(NamedTuple):
    """The parts of a customer policy that apply to a request.

    Attributes:
        blocked: the list that blocks the action, and the entry of it; None if no list does.
        action_refused: whether the policy has allowed actions and the action is not one of them.
        tool_refused: whether the policy has allowed tools and the tool is not one of them.
        fields: the sensitive fields in the request, spelled as in the request.
        classifications: the sensitive classifications of the target.
        rules: the custom rules whose condition is true.
        escalated: the lists that demand an approval, each with the entry that does.
    """

    blocked: tuple[str, str] | None = None
    action_refused: bool = False
    tool_refused: bool = False
    fields: tuple[str, ...] = ()
    classifications: tuple[str, ...] = ()
    rules: tuple[CompiledCustomRule, ...] = ()
    escalated: tuple[tuple[str, str], ...] = ()


NO_HITS: Final = Hits()


@dataclass(frozen=True, slots=True)
class Customer:
    """The compiled policy of a customer. An empty allow-list allows everything.

    Attributes:
        policy: the source of the compilation.
        blocked_actions: the actions that are blocked by name.
        blocked_patterns: the patterns of blocked actions.
        escalated_actions: the actions that need an approval, by name.
        escalated_patterns: the patterns of actions that need an approval.
        escalated_tools: the names of the tools that need an approval.
        allowed_patterns: the patterns of allowed actions.
        allowed_tools: the names of the allowed tools.
        sensitive_fields: the names of the sensitive fields, by `spellings_of`.
        classifications: the sensitive classifications, by `spellings_of`.
        rules: the custom rules, each after the function that evaluates its condition.
        patterns: the number of patterns that the conditions search for.
        escalates: whether any list demands approvals.
    """

    policy: CustomerPolicy
    blocked_actions: frozenset[str]
    blocked_patterns: ActionPatterns
    escalated_actions: frozenset[str]
    escalated_patterns: ActionPatterns
    escalated_tools: frozenset[str]
    allowed_patterns: ActionPatterns
    allowed_tools: frozenset[str]
    sensitive_fields: frozenset[str]
    classifications: frozenset[str]
    rules: tuple[tuple[Evaluate, CompiledCustomRule], ...]
    patterns: int
    escalates: bool

    def hits(self, request: Request, facts: ConditionFacts = NO_FACTS) -> Hits:
        """Returns the parts that apply to `request`; `NO_HITS` if none do."""
        action, tool, target = request.action, request.tool, request.target
        blocked = self._blocked(action) if action else None
        escalations = self._escalations(action, tool, blocked) if self.escalates else ()
        # A blocked action is reported as blocked only, not as missing from the allowed actions too.
        # An escalated action or tool is allowed if a person approves it.
        action_refused = (
            bool(action and self.allowed_patterns)
            and blocked is None
            and not any(key != names.ESCALATE_TOOLS for key, _ in escalations)
            and self.allowed_patterns.find(action) is None
        )
        tool_refused = (
            bool(tool and self.allowed_tools)
            and tool not in self.allowed_tools
            and tool not in self.escalated_tools
        )
        fields = self._fields(target.fields, request.arguments) if self.sensitive_fields else ()
        classifications = target.classifications
        if classifications:
            sensitive = self.classifications
            classifications = tuple(
                [each for each in classifications if is_one_of(each, sensitive)]
            )
        rules = tuple([rule for evaluate, rule in self.rules if evaluate(request, facts)])
        hits = (blocked, action_refused, tool_refused, fields, classifications, rules, escalations)
        return Hits._make(hits) if any(hits) else NO_HITS

    def _blocked(self, action: str) -> tuple[str, str] | None:
        if action in self.blocked_actions:
            return names.BLOCKED_ACTIONS, action
        return _found(names.BLOCKED_ACTION_PATTERNS, self.blocked_patterns, action)

    def _escalations(
        self, action: str, tool: str, blocked: tuple[str, str] | None
    ) -> tuple[tuple[str, str], ...]:
        """Returns what demands an approval: an entry for the action, and one for the tool."""
        of_action = None
        if action and blocked is None:
            if action in self.escalated_actions:
                of_action = names.ESCALATE_ACTIONS, action
            else:
                patterns = self.escalated_patterns
                of_action = _found(names.ESCALATE_ACTION_PATTERNS, patterns, action)
        of_tool = (names.ESCALATE_TOOLS, tool) if tool in self.escalated_tools else None
        return tuple(each for each in (of_action, of_tool) if each is not None)

    def _fields(self, target_fields: tuple[str, ...], arguments: Any) -> tuple[str, ...]:
        sensitive = self.sensitive_fields
        fields = [name for name in target_fields if is_one_of(name, sensitive)]
        if arguments:
            keys: set[str] = set()
            _add_keys(arguments, sensitive, keys)
            # The wire format does not keep the order of keys. Sorting makes the result repeatable.
            fields += sorted(keys)
        return tuple(dict.fromkeys(fields)) if fields else ()


def _found(key: str, patterns: ActionPatterns, action: str) -> tuple[str, str] | None:
    pattern = patterns.find(action) if patterns else None
    return None if pattern is None else (key, pattern)


def _add_keys(value: Any, names_to_find: frozenset[str], keys: set[str]) -> None:
    """Adds to `keys` all keys anywhere in a JSON value that are one of `names_to_find`."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if is_one_of(key, names_to_find):
                keys.add(key)
            if type(member) not in _LEAF_TYPES:
                _add_keys(member, names_to_find, keys)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if type(item) not in _LEAF_TYPES:
                _add_keys(item, names_to_find, keys)


def compile_customer(policy: CustomerPolicy, prefix: str = "") -> Customer:
    """Compiles a policy. Its document must have passed `pdp.domain.customer_policy.faults`.

    Args:
        policy: the policy.
        prefix: a prefix for the field paths in errors, if the document is part of another message.

    Raises:
        InvalidCondition: some conditions do not compile. The error lists them.
    """
    rules = _compile_rules(policy, prefix)
    return Customer(
        policy=policy,
        blocked_actions=frozenset(policy.texts(names.BLOCKED_ACTIONS)),
        blocked_patterns=ActionPatterns(policy.texts(names.BLOCKED_ACTION_PATTERNS)),
        escalated_actions=frozenset(policy.texts(names.ESCALATE_ACTIONS)),
        escalated_patterns=ActionPatterns(policy.texts(names.ESCALATE_ACTION_PATTERNS)),
        escalated_tools=frozenset(policy.texts(names.ESCALATE_TOOLS)),
        allowed_patterns=ActionPatterns(policy.texts(names.ALLOWED_ACTION_PATTERNS)),
        allowed_tools=frozenset(policy.texts(names.ALLOWED_TOOLS)),
        sensitive_fields=spellings_of(policy.texts(names.SENSITIVE_FIELDS)),
        classifications=spellings_of(policy.texts(names.SENSITIVE_CLASSIFICATIONS)),
        rules=rules,
        patterns=sum(rule.condition.patterns for _, rule in rules),
        escalates=any(map(policy.texts, names.ESCALATIONS)),
    )


def _compile_rules(
    policy: CustomerPolicy, prefix: str
) -> tuple[tuple[Evaluate, CompiledCustomRule], ...]:
    rules: list[tuple[Evaluate, CompiledCustomRule]] = []
    errors: list[tuple[str, InvalidCondition]] = []
    for rule in policy.rules():
        try:
            condition = compile_condition(rule.condition, policy.timezone)
        except InvalidCondition as error:
            errors.append((prefix + rule_path(rule.name, "condition"), error))
            if len(errors) >= MAX_INVALID_CONDITIONS:
                break
        else:
            impact = RiskFactor(CUSTOMER, rule.name, rule.score_impact)
            rules.append((condition.evaluate, CompiledCustomRule(condition, impact)))
    if errors:
        raise _joined(errors)
    return tuple(rules)


def refuse_hyphenated_names(policy: CustomerPolicy, prefix: str = "") -> None:
    """Refuses a policy in whose conditions a name has a hyphen.

    Args:
        policy: a policy that compiles.
        prefix: put before the paths of fields, if the document is part of another one.

    Raises:
        InvalidCondition: a name has a hyphen.
    """
    errors: list[tuple[str, InvalidCondition]] = []
    for rule in policy.rules():
        try:
            refuse_unclear_names(rule.condition)
        except InvalidCondition as error:
            errors.append((prefix + rule_path(rule.name, "condition"), error))
            if len(errors) >= MAX_INVALID_CONDITIONS:
                break
    if errors:
        raise _joined(errors)


def _joined(errors: list[tuple[str, InvalidCondition]]) -> InvalidCondition:
    """Returns one error for many. Each message follows its path; a caret marks the position."""
    first = errors[0][1]
    return InvalidCondition(
        "\n".join(f"{path}: {error.message}" for path, error in errors),
        *(Violation(path, each.reason) for path, error in errors for each in error.violations),
        line=first.line,
        column=first.column,
    )
