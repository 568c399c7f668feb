"""The patterns of LIKE and MATCHES: compiled once, matched in linear time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from string import punctuation
from typing import TYPE_CHECKING, Any, Final

from pdp.engine.conditions.nodes import TextMatch, walk
from pdp.engine.conditions.problems import Problem
from pdp.engine.conditions.truth import Truth
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from pdp.engine.conditions.nodes import Node

MAX_LIKE_LENGTH: Final = 480
"""Characters; escaped for RE2 they must stay below its own bound."""

_PUNCTUATION: Final = frozenset(punctuation) - {"_"}  # RE2 knows no escaped underscore


MAX_PATTERNS: Final = 16
"""In one condition: each may take a megabyte once it is compiled."""

TextTest = Callable[[Any], Truth]
Tests = Mapping[tuple[str, str], TextTest]
"""The tests of a condition, by operator and pattern."""


def tests_in(root: Node) -> tuple[Tests, list[Problem]]:
    """Returns the tests that a condition asks for, and what is wrong with its patterns."""
    tests: dict[tuple[str, str], TextTest] = {}
    problems: list[Problem] = []
    found = [node for node, _ in walk(root) if isinstance(node, TextMatch)]
    if len(found) > MAX_PATTERNS:
        reason = f"a condition may have at most {MAX_PATTERNS} LIKE and MATCHES"
        start = sorted(node.pattern.place for node in found)[MAX_PATTERNS].start
        return tests, [Problem(start, reason)]
    for node in found:
        compiled = like if node.operator == "LIKE" else matches
        try:
            tests[node.operator, node.pattern.value] = compiled(node.pattern.value)
        except InvalidPattern as error:
            problems.append(Problem(node.pattern.place.start, error.violations[0].reason))
    return tests, problems


def matches(pattern: str) -> TextTest:
    """Returns the test whether an RE2 pattern is found somewhere in a text.

    Raises:
        InvalidPattern: it is not RE2, or too long or too large (pdp.engine.text.patterns).
    """
    spans = CompiledPattern(pattern).spans

    def test(value: Any) -> Truth:
        if not isinstance(value, str):
            return None
        try:
            return next(spans(value, value.encode()), None) is not None
        except UnicodeEncodeError:  # half of a surrogate pair: no text that RE2 knows
            return None

    return test


def like(pattern: str) -> TextTest:
    r"""Returns the test whether a text as a whole is what a LIKE pattern says.

    `%` stands for any characters or none, `_` for exactly one; `\%`, `\_` and `\\` for themselves.

    Raises:
        InvalidPattern: it is longer than `MAX_LIKE_LENGTH`.
    """
    if len(pattern) > MAX_LIKE_LENGTH:
        reason = f"a pattern of LIKE must be at most {MAX_LIKE_LENGTH} characters"
        raise InvalidPattern(f"pattern: {reason}", Violation("pattern", reason))
    parts = _parts(pattern)
    return _simple(parts) or matches(rf"(?s)\A{''.join(map(_as_re2, parts))}\z")


class _Wild(Enum):
    ANY = "%"
    ONE = "_"


_WILD: Final = {"%": _Wild.ANY, "_": _Wild.ONE}
_ESCAPED: Final = frozenset({"%", "_", "\\"})


def _parts(pattern: str) -> list[str | _Wild]:
    """Splits a pattern into wildcards and the texts between them; two `%` in a row are one."""
    parts: list[str | _Wild] = []
    literal = ""
    escaped = False
    for char in pattern:
        if escaped:
            literal += char if char in _ESCAPED else f"\\{char}"
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in _WILD:
            if literal:
                parts.append(literal)
                literal = ""
            if char == "_" or parts[-1:] != [_Wild.ANY]:
                parts.append(_WILD[char])
        else:
            literal += char
    literal += "\\" if escaped else ""
    return [*parts, literal] if literal else parts


def _simple(parts: list[str | _Wild]) -> TextTest | None:
    """Returns the test for a pattern that needs no more than one look at the text."""
    match parts:
        case []:
            return lambda value: not value if isinstance(value, str) else None
        case [str(text)]:
            return lambda value: value == text if isinstance(value, str) else None
        case [str(text), _Wild.ANY]:
            return lambda value: value.startswith(text) if isinstance(value, str) else None
        case [_Wild.ANY, str(text)]:
            return lambda value: value.endswith(text) if isinstance(value, str) else None
        case [_Wild.ANY, str(text), _Wild.ANY]:
            return lambda value: text in value if isinstance(value, str) else None
        case _:
            return None


def _as_re2(part: str | _Wild) -> str:
    if isinstance(part, _Wild):
        return ".*" if part is _Wild.ANY else "."
    return "".join(f"\\{char}" if char in _PUNCTUATION else char for char in part)
