"""Compares an answer with the part of it that a case expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.cases.model import Difference

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT: Final = "(absent)"
"""Stands in a difference for a value that is not there."""

OTHERS: Final = "..."
"""Stands in an expected list for any entries, or none."""


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[Difference]:
    """Yields what of `expected` is not so in `actual`.

    Objects may have more than is expected; lists may where `...` stands in them, and their order
    counts. An expected null stands for a value that is not there, and a text in place of a match or
    a warning for the id or the name of its policy.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            yield from differences(value, actual.get(key), f"{path}.{key}" if path else key)
    elif isinstance(expected, list) and isinstance(actual, list):
        yield from _of_lists(expected, actual, path)
    elif isinstance(expected, str) and isinstance(actual, dict):
        if expected not in {actual.get("policy_id"), actual.get("name")}:
            yield Difference(path, expected, _brief(actual))
    elif not _same(expected, actual):
        yield Difference(path, expected, ABSENT if actual is None else actual)


def _of_lists(expected: list[Any], actual: list[Any], path: str) -> Iterator[Difference]:
    if OTHERS in expected:
        if not _fits(expected, actual):
            yield Difference(path, expected, [_brief(each) for each in actual])
    elif len(expected) != len(actual):
        yield Difference(path, expected, [_brief(each) for each in actual])
    else:
        for index, (value, found) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(value, found, f"{path}[{index}]")


def _fits(expected: list[Any], actual: list[Any]) -> bool:
    """Whether `actual` is as `expected`, with any entries where that has `...`."""
    if not expected:
        return not actual
    first, rest = expected[0], expected[1:]
    if first == OTHERS:
        return any(_fits(rest, actual[skipped:]) for skipped in range(len(actual) + 1))
    if not actual or any(differences(first, actual[0])):
        return False
    return _fits(rest, actual[1:])


def _same(expected: Any, actual: Any) -> bool:
    """Whether two JSON values are equal; 1 and 1.0 are, 1 and true are not."""
    return isinstance(expected, bool) is isinstance(actual, bool) and bool(expected == actual)


def _brief(value: Any) -> Any:
    """Returns what tells a match or a warning from others; other values as they are."""
    if not isinstance(value, dict):
        return value
    return value.get("name") or value.get("policy_id") or value
