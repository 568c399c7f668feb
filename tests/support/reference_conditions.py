"""A second implementation of the condition language: simple, slow and independent of the product.

`value_of` evaluates a tree on a request, which is a JSON document. None is both null and unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from fractions import Fraction
from math import floor, isfinite, trunc
from typing import Any, Final

from tests.support.condition_trees import TIMESTAMP, UNITS, Tree

Truth = bool | None

SUBJECT_FIELDS: Final = {"user_id", "agent_id", "groups", "risk_score", "attributes"}
ROOTS: Final = {"action", "tool", "direction", "channel", "subject", "model", "target"}
DOCUMENTS: Final = {"arguments", "context"}


def type_name(value: Any) -> str:
    """Returns the name of the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "list"
    return "object" if isinstance(value, Mapping) else "other"


def conjunction(truths: Iterable[Truth]) -> Truth:
    """AND."""
    values = list(truths)
    return False if False in values else None if None in values else True


def disjunction(truths: Iterable[Truth]) -> Truth:
    """OR."""
    values = list(truths)
    return True if True in values else None if None in values else False


def negation(truth: Truth) -> Truth:
    """NOT."""
    return None if truth is None else not truth


def compare(operator: str, left: Any, right: Any) -> Truth:  # noqa: PLR0911 - one for each operator
    """Compares two values."""
    ordered = {"number", "text"}
    comparable = ordered | {"boolean"} if operator in {"=", "==", "!="} else ordered
    if type_name(left) != type_name(right) or type_name(left) not in comparable:
        return None
    match operator:
        case "=" | "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def is_one_of(value: Any, candidates: Iterable[Any]) -> Truth:
    """Returns whether a value equals any of `candidates`."""
    return disjunction(compare("=", value, each) for each in candidates)


def calculate(operator: str, left: Any, right: Any) -> float | None:
    """Calculates with exact fractions, and rounds the result to a double."""
    if type_name(left) != "number" or type_name(right) != "number":
        return None
    try:
        one, other = Fraction(float(left)), Fraction(float(right))
        if operator in {"/", "%"} and other == 0:
            return None
        exact = {
            "+": lambda: one + other,
            "-": lambda: one - other,
            "*": lambda: one * other,
            "/": lambda: one / other,
            "%": lambda: one - other * trunc(one / other),
        }[operator]()
        return float(exact)
    except OverflowError:
        return None


def is_like(text: str, pattern: str) -> bool:
    """LIKE, by trying every split of the text."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "%":
        return any(is_like(text[cut:], rest) for cut in range(len(text) + 1))
    if head == "_":
        return bool(text) and is_like(text[1:], rest)
    if head == "\\" and rest[:1] in {"%", "_", "\\"}:
        head, rest = rest[0], rest[1:]
    return text[:1] == head and is_like(text[1:], rest)


def seconds_of(value: Any, zone: tzinfo) -> float | None:
    """Parses a text as a time; returns None if it is invalid."""
    match = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)?)?",
        value if isinstance(value, str) else "",
        re.ASCII,
    )
    if not match:
        return None
    text = value.upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.timestamp()


class Reference:
    """Evaluates trees on one request in one time zone."""

    def __init__(self, request: Mapping[str, Any], zone: tzinfo) -> None:
        self.request = request
        self.zone = zone

    def truth_of(self, tree: Tree) -> Truth:
        """Returns the result of a condition."""
        value = self.value_of(tree)
        return value if isinstance(value, bool) else None

    def value_of(self, tree: Tree) -> Any:  # noqa: PLR0911, PLR0912 - a case for each construct
        """Returns the value of a tree."""
        match tree:
            case ("null",):
                return None
            case ("boolean" | "number" | "text", value):
                return value
            case ("list", *items):
                return [self.value_of(item) for item in items]
            case ("name", path):
                return None if tree == TIMESTAMP else self.lookup(path)
            case ("call", function, *arguments):
                return self.call(function, arguments)
            case ("negative", value):
                return calculate("-", 0, self.value_of(value))
            case ("+" | "-" | "*" | "/" | "%" as operator, left, right):
                return calculate(operator, self.value_of(left), self.value_of(right))
            case ("not", value):
                return negation(self.truth_of(value))
            case ("and", *operands):
                return conjunction(map(self.truth_of, operands))
            case ("or", *operands):
                return disjunction(map(self.truth_of, operands))
            case (str(operator), *operands) if operator.startswith("not "):
                return negation(self.truth_of((operator.removeprefix("not "), *operands)))
            case ("is null", value):
                return value != TIMESTAMP and self.value_of(value) is None
            case ("is not null", value):
                return not self.truth_of(("is null", value))
            case _:
                return self.predicate(tree)

    def predicate(self, tree: Tree) -> Truth:  # noqa: PLR0911 - a case for each construct
        """Returns the result of a comparison."""
        match tree:
            case ("between", value, low, high):
                return conjunction(
                    [self.predicate((">=", value, low)), self.predicate(("<=", value, high))]
                )
            case ("in", value, *items):
                if TIMESTAMP in (value, *items):
                    return None
                values = map(self.value_of, items)
                flat = [
                    each
                    for item in values
                    for each in (item if type_name(item) == "list" else [item])
                ]
                return is_one_of(self.value_of(value), flat)
            case ("like" | "matches" as operator, value, pattern):
                text = self.value_of(value)
                if type_name(text) != "text":
                    return None
                if operator == "like":
                    return is_like(text, pattern)
                return bool(re.search(pattern, text))
            case (operator, left, right):
                side = self.moment_of if TIMESTAMP in (left, right) else self.value_of
                return compare(operator, side(left), side(right))
            case _:
                raise AssertionError(tree)

    def lookup(self, path: str) -> Any:
        """Returns the value of a name."""
        keys = path.split(".")
        if path == "risk_score":
            keys = ["subject", "risk_score"]
        if keys[0] == "action" and keys[1:]:
            parts = (self.request.get("action") or "").split(":", 2)
            return parts[["domain", "scope", "verb"].index(keys[1])] if len(parts) == 3 else None
        if keys[0] == "subject" and keys[1] not in SUBJECT_FIELDS:
            keys.insert(1, "attributes")
        if keys[0] not in ROOTS | DOCUMENTS:
            keys.insert(0, "context")
        value: Any = self.request
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def moment_of(self, tree: Tree) -> float | None:
        """Returns the value of a tree as a time in seconds."""
        if tree == TIMESTAMP:
            return float(self.request["timestamp"])
        return seconds_of(self.value_of(tree), self.zone)

    def local(self, tree: Tree) -> datetime | None:
        """Returns the value of a tree as a local date and time."""
        seconds = self.moment_of(tree)
        if seconds is None:
            return None
        try:
            return datetime.fromtimestamp(floor(seconds), self.zone)
        except (ValueError, OverflowError):
            return None

    def call(self, function: str, arguments: list[Tree]) -> Any:
        """Returns the result of a function."""
        if function == "has":
            return not self.truth_of(("is null", arguments[0]))
        if function in {"hour", "minute", "day_of_week", "date"}:
            local = self.local(arguments[0])
            if local is None:
                return None
            return {
                "hour": local.hour,
                "minute": local.minute,
                "day_of_week": local.date().isoweekday(),
                "date": local.date().isoformat(),
            }[function]
        if function == "timestamp_diff":
            later, earlier = map(self.moment_of, arguments[:2])
            if later is None or earlier is None:
                return None
            unit = arguments[2][1] if arguments[2:] else "seconds"
            return (later - earlier) / UNITS[unit]
        return apply(function, *map(self.value_of, arguments))


def apply(function: str, value: Any, *others: Any) -> Any:  # noqa: PLR0911 - one for each function
    """Returns the result of a function that depends on its arguments only."""
    match function, type_name(value), *map(type_name, others):
        case "length", "text" | "list":
            return len(value)
        case "lower", "text":
            return value.lower()
        case "upper", "text":
            return value.upper()
        case "contains", "text", "text":
            return others[0] in value
        case "contains", "list", "text" | "number" | "boolean":
            return is_one_of(others[0], value)
        case "starts_with", "text", "text":
            return value.startswith(others[0])
        case "ends_with", "text", "text":
            return value.endswith(others[0])
        case (("any" | "all" | "count"), "list", *rest) if not rest or rest[0] in {
            "text",
            "number",
            "boolean",
            "list",
        }:
            return quantify(function, value, *others)
        case _:
            return None


def quantify(function: str, values: list[Any], *items: Any) -> Any:
    """Returns the result of `any`, `all` or `count` for a list."""
    truths: list[Truth] = [each if isinstance(each, bool) else None for each in values]
    if items:
        candidates = items[0] if type_name(items[0]) == "list" else [items[0]]
        truths = [is_one_of(each, candidates) for each in values]
    if function == "any":
        return disjunction(truths)
    if function == "all":
        return conjunction(truths)
    return truths.count(True) if items else len(values)
