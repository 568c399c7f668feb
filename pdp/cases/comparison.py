"""Compares a response with the part of it that a case expects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pdp.cases.model import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT: Final = "(absent)"
"""In a difference: the value does not exist."""

_HEX: Final = re.compile("<hex(?::([a-z]+))?>")

OTHERS: Final = "..."
"""In an expected list: any number of entries."""


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[Difference]:
    """Yields the differences between `expected` and `actual`.

    - Objects may have more members than expected.
    - Lists must have the expected entries in order. `...` matches any number of entries.
    - An expected null means that the value does not exist.
    - A text in place of a match or a warning is the id or the name of its policy.
    - In a text, `<hex>` stands for hexadecimal digits, and each `<hex:NAME>` for the same ones.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            yield from differences(value, actual.get(key), f"{path}.{key}" if path else key)
    elif isinstance(expected, list) and isinstance(actual, list):
        yield from _list_differences(expected, actual, path)
    elif isinstance(expected, str) and isinstance(actual, dict):
        if expected not in {actual.get("policy_id"), actual.get("name")}:
            yield Difference(path, expected, _brief(actual))
    elif not _same(expected, actual):
        yield Difference(path, expected, ABSENT if actual is None else actual)


def _list_differences(expected: list[Any], actual: list[Any], path: str) -> Iterator[Difference]:
    if OTHERS in expected:
        if not _list_matches(expected, actual):
            yield Difference(path, expected, [_brief(each) for each in actual])
    elif len(expected) != len(actual):
        yield Difference(path, expected, [_brief(each) for each in actual])
    else:
        for index, (value, entry) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(value, entry, f"{path}[{index}]")


def _list_matches(expected: list[Any], actual: list[Any]) -> bool:
    """Returns whether `actual` matches `expected`, in which `...` matches any entries."""
    if not expected:
        return not actual
    first, rest = expected[0], expected[1:]
    if first == OTHERS:
        return any(_list_matches(rest, actual[skipped:]) for skipped in range(len(actual) + 1))
    if not actual or any(differences(first, actual[0])):
        return False
    return _list_matches(rest, actual[1:])


def _same(expected: Any, actual: Any) -> bool:
    """Returns whether two JSON values are equal. 1 equals 1.0, but not true."""
    if isinstance(expected, str) and isinstance(actual, str) and "<hex" in expected:
        return _pattern_of(expected).fullmatch(actual) is not None
    return isinstance(expected, bool) is isinstance(actual, bool) and bool(expected == actual)


def _pattern_of(expected: str) -> re.Pattern[str]:
    """Returns the pattern of an expected text with `<hex>` and `<hex:NAME>`."""
    names: set[str] = set()
    parts: list[str] = []
    end = 0
    for digits in _HEX.finditer(expected):
        parts.append(re.escape(expected[end : digits.start()]))
        end, name = digits.end(), digits[1]
        if name is None:
            parts.append("[0-9a-f]+")
        elif name in names:
            parts.append(f"(?P={name})")
        else:
            names.add(name)
            parts.append(f"(?P<{name}>[0-9a-f]+)")
    return re.compile("".join((*parts, re.escape(expected[end:]))), re.DOTALL)


def _brief(value: Any) -> Any:
    """Returns the name or id of a match or a warning; other values unchanged."""
    if not isinstance(value, dict):
        return value
    return value.get("name") or value.get("policy_id") or value
