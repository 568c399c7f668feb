"""Customer policies: what the customers of a tenant may do.

The store keeps the document as it was posted, and reads return it unchanged. `find_violations`
checks a document, except its conditions, which the engine compiles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import available_timezones

from pdp.errors import Violation

KIND: Final = "customer_policy"

MAX_BYTES: Final = 1 << 20
"""Size of a document as JSON."""

MAX_ITEMS: Final = 1000
"""Items of each list, and rules in `custom_rules`."""

MAX_NAME: Final = 256
"""Characters of the name of a field, tool, action, classification or rule, as in DecideRequest."""

MAX_DESCRIPTION: Final = 4096
MAX_IMPACT: Final = 100

DEFAULT_TIMEZONE: Final = "UTC"

BLOCKED_ACTIONS: Final = "blocked_actions"
BLOCKED_ACTION_PATTERNS: Final = "blocked_action_patterns"
ESCALATE_ACTIONS: Final = "escalate_actions"
ESCALATE_ACTION_PATTERNS: Final = "escalate_action_patterns"
ESCALATE_TOOLS: Final = "escalate_tools"
ESCALATIONS: Final = (ESCALATE_ACTIONS, ESCALATE_ACTION_PATTERNS, ESCALATE_TOOLS)
ALLOWED_ACTION_PATTERNS: Final = "allowed_action_patterns"
ALLOWED_TOOLS: Final = "allowed_tools"
SENSITIVE_FIELDS: Final = "sensitive_fields"
SENSITIVE_CLASSIFICATIONS: Final = "sensitive_classifications"
CUSTOM_RULES: Final = "custom_rules"
TIMEZONE: Final = "timezone"

_RULE_KEYS: Final = ("condition", "score_impact", "description")
_MAX_SHOWN: Final = 64

_SEGMENT: Final = r"[a-z][a-z0-9_]*"
_VERB: Final = rf"{_SEGMENT}(?:\.[a-z0-9_]+)*"
_is_action: Final = re.compile(f"{_SEGMENT}:{_SEGMENT}:{_VERB}").fullmatch
ACTION_PATTERN: Final = rf"(?:{_SEGMENT}|\*):(?:{_SEGMENT}|\*):(?:{_VERB}|\*)"
"""The regular expression of a pattern of actions."""
is_action_pattern: Final = re.compile(ACTION_PATTERN).fullmatch
_is_plain: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch


class CustomRule(NamedTuple):
    """A condition, and the points that it adds to the risk of requests that meet it."""

    name: str
    condition: str
    score_impact: int


@dataclass(frozen=True, slots=True)
class CustomerPolicy:
    """A customer's policy.

    Attributes:
        customer_id: unique within the tenant, compared exactly.
        document: the document as it was posted.
        version: starts at 1 and rises with every change. If a deleted policy is created again, its
            versions continue.
        created_at, updated_at: seconds since the epoch.
        mode: one of `pdp.domain.placement.MODES`; empty means `ENFORCE`.
    """

    customer_id: str
    document: Mapping[str, Any]
    version: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0
    mode: str = ""

    def texts(self, key: str) -> list[str]:
        """Returns one of the document's lists; empty if the document does not have it."""
        texts: list[str] = self.document.get(key, [])
        return texts

    @property
    def timezone(self) -> str:
        """The time zone of `hour()` and similar functions."""
        name: str = self.document.get(TIMEZONE, DEFAULT_TIMEZONE)
        return name

    def rules(self) -> Iterator[CustomRule]:
        """Yields the custom rules, sorted by name: the store does not keep their order."""
        rules: Mapping[str, Mapping[str, Any]] = self.document.get(CUSTOM_RULES, {})
        for name, rule in sorted(rules.items()):
            yield CustomRule(name, rule["condition"], int(rule["score_impact"]))


def body_of(policy: CustomerPolicy) -> dict[str, Any]:
    """Returns the fields of `policy` as the store keeps them."""
    return {name: getattr(policy, name) for name in CustomerPolicy.__slots__}


Check = Callable[[Any, str], Iterator[Violation]]
"""Yields the violations of the value at a path."""


def find_violations(document: Mapping[str, Any]) -> Iterator[Violation]:
    """Yields the violations of a document, each with the path of the value in it.

    An absent member means the same as an empty list, but reads return an empty list as posted. null
    is refused: as an allow-list it could mean either that everything is allowed or that nothing is.
    """
    for key, value in document.items():
        check = _CHECKS.get(key)
        if check is None:
            yield Violation(abbreviate(key), _unknown_field(key, tuple(_CHECKS)))
        else:
            yield from check(value, key)


def rule_path(name: str, member: str = "") -> str:
    """Returns the path of a custom rule in its document, or of a member of the rule."""
    rule = f".{name}" if _is_plain(name) and len(name) <= _MAX_SHOWN else f"[{abbreviate(name)!r}]"
    return f"{CUSTOM_RULES}{rule}{f'.{member}' if member else ''}"


def abbreviate(word: str) -> str:
    """Returns text of the author, shortened so that an error may repeat it."""
    return word if len(word) <= _MAX_SHOWN else f"{word[: _MAX_SHOWN - 1]}…"


def _unknown_field(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key[:_MAX_SHOWN], known, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else "unknown field"


def _texts(is_valid: Callable[[str], object], requirement: str) -> Check:
    """Returns the check of a list of texts.

    Args:
        is_valid: checks one text.
        requirement: completes the message if a text is not valid.
    """

    def check(value: Any, path: str) -> Iterator[Violation]:
        if type(value) is not list:
            yield Violation(path, "must be an array")
            return
        if len(value) > MAX_ITEMS:
            yield Violation(path, f"must have at most {MAX_ITEMS} items, not {len(value)}")
            return
        for index, item in enumerate(value):
            if type(item) is not str:
                yield Violation(f"{path}[{index}]", "must be a string")
            elif not item or len(item) > MAX_NAME:
                yield Violation(f"{path}[{index}]", f"must have 1 to {MAX_NAME} characters")
            elif not is_valid(item):
                yield Violation(f"{path}[{index}]", f"{abbreviate(item)!r} {requirement}")

    return check


def _rules(value: Any, path: str) -> Iterator[Violation]:
    if type(value) is not dict:
        yield Violation(path, "must be an object of rules by their names")
        return
    if len(value) > MAX_ITEMS:
        yield Violation(path, f"must have at most {MAX_ITEMS} rules, not {len(value)}")
        return
    for name, rule in value.items():
        if not name or len(name) > MAX_NAME:
            yield Violation(rule_path(name), f"the name must have 1 to {MAX_NAME} characters")
        elif type(rule) is not dict:
            yield Violation(rule_path(name), "must be an object")
        else:
            yield from _rule(name, rule)


def _rule(name: str, rule: Mapping[str, Any]) -> Iterator[Violation]:
    for key in rule:
        if key not in _RULE_KEYS:
            yield Violation(rule_path(name, abbreviate(key)), _unknown_field(key, _RULE_KEYS))
    for key in ("condition", "score_impact"):
        if key not in rule:
            yield Violation(rule_path(name, key), "is required")
    if type(rule.get("condition", "")) is not str:
        yield Violation(rule_path(name, "condition"), "must be a string")
    if not _is_impact(rule.get("score_impact", 0)):
        requirement = f"must be a whole number from 0 to {MAX_IMPACT}"
        yield Violation(rule_path(name, "score_impact"), requirement)
    description = rule.get("description", "")
    if type(description) is not str or len(description) > MAX_DESCRIPTION:
        requirement = f"must be a string of at most {MAX_DESCRIPTION} characters"
        yield Violation(rule_path(name, "description"), requirement)


def _is_impact(value: Any) -> bool:
    # The order matters: int() fails for infinity.
    return type(value) in {int, float} and 0 <= value <= MAX_IMPACT and value == int(value)


def _timezone(value: Any, path: str) -> Iterator[Violation]:
    if type(value) is not str:
        yield Violation(path, "must be a string")
    elif value not in _timezones():
        near = get_close_matches(value[:_MAX_SHOWN], _timezones(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ", such as Europe/Berlin"
        yield Violation(path, f"must be an IANA time zone{hint}")


@cache
def _timezones() -> frozenset[str]:
    # The meaning of these two differs from machine to machine.
    return frozenset(available_timezones() - {"localtime", "Factory"})


_ANY: Final = _texts(lambda _: True, "")
_ACTIONS: Final = _texts(
    _is_action,
    "is no action: it must be domain:scope:verb in lower case, as database:table:drop is",
)
_PATTERNS: Final = _texts(
    is_action_pattern,
    "is no action pattern: it must be domain:scope:verb in lower case, where * stands for one "
    "whole segment, as in cloud:iam:*",
)
_CHECKS: Final[Mapping[str, Check]] = {
    SENSITIVE_FIELDS: _ANY,
    ALLOWED_TOOLS: _ANY,
    ESCALATE_TOOLS: _ANY,
    BLOCKED_ACTIONS: _ACTIONS,
    ESCALATE_ACTIONS: _ACTIONS,
    CUSTOM_RULES: _rules,
    ALLOWED_ACTION_PATTERNS: _PATTERNS,
    BLOCKED_ACTION_PATTERNS: _PATTERNS,
    ESCALATE_ACTION_PATTERNS: _PATTERNS,
    SENSITIVE_CLASSIFICATIONS: _ANY,
    TIMEZONE: _timezone,
}
