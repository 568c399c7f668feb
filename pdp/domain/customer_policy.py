"""Customer policies: what the customers of a tenant may do (seeds 001, 004).

A policy is kept as the document that was posted, and comes back as that. `faults` says what is
wrong with one, but for its conditions, which the engine compiles.
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
"""Of a document, as JSON."""

MAX_ITEMS: Final = 1000
"""Of each list, and rules in `custom_rules`."""

MAX_NAME: Final = 256
"""Characters of a field, tool, action, classification or rule's name, as in DecideRequest."""

MAX_DESCRIPTION: Final = 4096
MAX_IMPACT: Final = 100

DEFAULT_TIMEZONE: Final = "UTC"

BLOCKED_ACTIONS: Final = "blocked_actions"
BLOCKED_ACTION_PATTERNS: Final = "blocked_action_patterns"
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
_is_pattern: Final = re.compile(rf"(?:{_SEGMENT}|\*):(?:{_SEGMENT}|\*):(?:{_VERB}|\*)").fullmatch
_is_plain: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch


class CustomRule(NamedTuple):
    """A condition, and what it adds to the risk of the requests that it is true of."""

    name: str
    condition: str
    score_impact: int


@dataclass(frozen=True, slots=True)
class CustomerPolicy:
    """A customer's policy.

    Attributes:
        customer_id: unique within the tenant, compared exactly.
        document: what was posted.
        version: rises with every change, from 1, and goes on where a deleted policy is made again.
        created_at, updated_at: seconds since the epoch.
    """

    customer_id: str
    document: Mapping[str, Any]
    version: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0

    def texts(self, key: str) -> list[str]:
        """Returns one of the document's lists, empty where it is absent."""
        found: list[str] = self.document.get(key, [])
        return found

    @property
    def timezone(self) -> str:
        """Whose clock `hour()` and the like read."""
        name: str = self.document.get(TIMEZONE, DEFAULT_TIMEZONE)
        return name

    def rules(self) -> Iterator[CustomRule]:
        """Yields the custom rules, by name: the order that they were written in is not kept."""
        rules: Mapping[str, Mapping[str, Any]] = self.document.get(CUSTOM_RULES, {})
        for name, rule in sorted(rules.items()):
            yield CustomRule(name, rule["condition"], int(rule["score_impact"]))


def body_of(policy: CustomerPolicy) -> dict[str, Any]:
    """Returns the fields of `policy` as the store keeps them."""
    return {name: getattr(policy, name) for name in CustomerPolicy.__slots__}


Check = Callable[[Any, str], Iterator[Violation]]
"""Yields what is wrong with the value at a path."""


def faults(document: Mapping[str, Any]) -> Iterator[Violation]:
    """Yields what is wrong with a document, each with the path of the value within it.

    Absent members are as good as empty lists, but an empty list comes back as one. null is refused:
    of an allow-list it could as well mean that everything is allowed as that nothing is.
    """
    for key, value in document.items():
        check = _CHECKS.get(key)
        if check is None:
            yield Violation(shown(key), _unknown(key, tuple(_CHECKS)))
        else:
            yield from check(value, key)


def rule_path(name: str, member: str = "") -> str:
    """Returns the path of a custom rule within its document, or of a member of it."""
    rule = f".{name}" if _is_plain(name) and len(name) <= _MAX_SHOWN else f"[{shown(name)!r}]"
    return f"{CUSTOM_RULES}{rule}{f'.{member}' if member else ''}"


def shown(word: str) -> str:
    """Returns an author's own word as an error may repeat it."""
    return word if len(word) <= _MAX_SHOWN else f"{word[: _MAX_SHOWN - 1]}…"


def _unknown(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key[:_MAX_SHOWN], known, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else "unknown field"


def _texts(fits: Callable[[str], object], wanted: str) -> Check:
    """Returns the check of a list of texts, each of which `fits`."""

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
            elif not fits(item):
                yield Violation(f"{path}[{index}]", f"{shown(item)!r} {wanted}")

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
            yield Violation(rule_path(name, shown(key)), _unknown(key, _RULE_KEYS))
    for key in ("condition", "score_impact"):
        if key not in rule:
            yield Violation(rule_path(name, key), "is required")
    if type(rule.get("condition", "")) is not str:
        yield Violation(rule_path(name, "condition"), "must be a string")
    if not _is_impact(rule.get("score_impact", 0)):
        wanted = f"must be a whole number from 0 to {MAX_IMPACT}"
        yield Violation(rule_path(name, "score_impact"), wanted)
    description = rule.get("description", "")
    if type(description) is not str or len(description) > MAX_DESCRIPTION:
        wanted = f"must be a string of at most {MAX_DESCRIPTION} characters"
        yield Violation(rule_path(name, "description"), wanted)


def _is_impact(value: Any) -> bool:
    # In this order: what is infinite has no int.
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
    # What these two mean differs from one machine to the next.
    return frozenset(available_timezones() - {"localtime", "Factory"})


_ANY: Final = _texts(lambda _: True, "")
_ACTIONS: Final = _texts(
    _is_action,
    "is no action: it must be domain:scope:verb in lower case, as database:table:drop is",
)
_PATTERNS: Final = _texts(
    _is_pattern,
    "is no action pattern: it must be domain:scope:verb in lower case, where * stands for one "
    "whole segment, as in cloud:iam:*",
)
_CHECKS: Final[Mapping[str, Check]] = {
    SENSITIVE_FIELDS: _ANY,
    ALLOWED_TOOLS: _ANY,
    BLOCKED_ACTIONS: _ACTIONS,
    CUSTOM_RULES: _rules,
    ALLOWED_ACTION_PATTERNS: _PATTERNS,
    BLOCKED_ACTION_PATTERNS: _PATTERNS,
    SENSITIVE_CLASSIFICATIONS: _ANY,
    TIMEZONE: _timezone,
}
