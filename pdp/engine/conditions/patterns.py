"""Compiles the patterns of LIKE and MATCHES to tests that take linear time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from string import punctuation
from typing import TYPE_CHECKING, Any, Final

from pdp.engine.conditions.diagnostics import Diagnostic
from pdp.engine.conditions.nodes import TextMatch, walk
from pdp.engine.conditions.truth import Truth
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from pdp.engine.conditions.nodes import Node

MAX_LIKE_LENGTH: Final = 480
"""The length of a LIKE pattern in characters. Escaped for RE2, it must stay below RE2's bound."""

_PUNCTUATION: Final = frozenset(punctuation) - {"_"}  # RE2 has no escaped underscore

MAX_PATTERNS: Final = 16
"""The number of patterns in one condition. A compiled pattern can take a megabyte."""

TextTest = Callable[[Any], Truth]
TextTests = Mapping[tuple[str, str], TextTest]
"""The tests of a condition, by operator and pattern."""


def compile_tests(root: Node) -> tuple[TextTests, list[Diagnostic]]:
    """Returns the tests of a condition, and the faults of its patterns."""
    tests: dict[tuple[str, str], TextTest] = {}
    faults: list[Diagnostic] = []
    matches_in_tree = [node for node, _ in walk(root) if isinstance(node, TextMatch)]
    if len(matches_in_tree) > MAX_PATTERNS:
        reason = f"a condition may have at most {MAX_PATTERNS} LIKE and MATCHES"
        start = sorted(node.pattern.place for node in matches_in_tree)[MAX_PATTERNS].start
        return tests, [Diagnostic(start, reason)]
    for node in matches_in_tree:
        compile_test = like if node.operator == "LIKE" else matches
        try:
            tests[node.operator, node.pattern.value] = compile_test(node.pattern.value)
        except InvalidPattern as error:
            faults.append(Diagnostic(node.pattern.place.start, error.violations[0].reason))
    return tests, faults


def matches(pattern: str) -> TextTest:
    """Returns a test for an RE2 pattern that can match anywhere in a text.

    Raises:
        InvalidPattern: the pattern is not valid RE2, too long or too large; see
            `pdp.engine.text.patterns`.
    """
    spans = CompiledPattern(pattern, small=True).spans

    def test(value: Any) -> Truth:
        if not isinstance(value, str):
            return None
        try:
            return next(spans(value, value.encode()), None) is not None
        except UnicodeEncodeError:  # half of a surrogate pair: RE2 needs valid Unicode
            return None

    return test


def like(pattern: str) -> TextTest:
    r"""Returns a test for a LIKE pattern, which must match a whole text.

    `%` matches any number of characters, also none. `_` matches exactly one. `\%`, `\_` and `\\`
    match a literal `%`, `_` and `\`.

    Raises:
        InvalidPattern: the pattern is longer than `MAX_LIKE_LENGTH`.
    """
    if len(pattern) > MAX_LIKE_LENGTH:
        reason = f"a pattern of LIKE must be at most {MAX_LIKE_LENGTH} characters"
        raise InvalidPattern(f"pattern: {reason}", Violation("pattern", reason))
    parts = _parts(pattern)
    return _simple_test(parts) or matches(_re2_of(parts))


def like_source(pattern: str) -> str:
    """Returns a LIKE pattern as RE2."""
    return _re2_of(_parts(pattern))


class _Wildcard(Enum):
    ANY = "%"
    ONE = "_"


_WILDCARDS: Final = {"%": _Wildcard.ANY, "_": _Wildcard.ONE}
_ESCAPED: Final = frozenset({"%", "_", "\\"})


def _parts(pattern: str) -> list[str | _Wildcard]:
    """Splits a pattern into wildcards and the texts between them. Two adjacent `%` become one."""
    parts: list[str | _Wildcard] = []
    literal = ""
    escaped = False
    for char in pattern:
        if escaped:
            literal += char if char in _ESCAPED else f"\\{char}"
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in _WILDCARDS:
            if literal:
                parts.append(literal)
                literal = ""
            if char == "_" or parts[-1:] != [_Wildcard.ANY]:
                parts.append(_WILDCARDS[char])
        else:
            literal += char
    literal += "\\" if escaped else ""
    return [*parts, literal] if literal else parts


def _simple_test(parts: list[str | _Wildcard]) -> TextTest | None:
    """Returns a test that needs one string operation; None if the pattern needs RE2."""
    match parts:
        case []:
            return lambda value: not value if isinstance(value, str) else None
        case [str(text)]:
            return lambda value: value == text if isinstance(value, str) else None
        case [str(text), _Wildcard.ANY]:
            return lambda value: value.startswith(text) if isinstance(value, str) else None
        case [_Wildcard.ANY, str(text)]:
            return lambda value: value.endswith(text) if isinstance(value, str) else None
        case [_Wildcard.ANY, str(text), _Wildcard.ANY]:
            return lambda value: text in value if isinstance(value, str) else None
        case _:
            return None


def _re2_of(parts: list[str | _Wildcard]) -> str:
    return rf"(?s)\A{''.join(map(_as_re2, parts))}\z"


def _as_re2(part: str | _Wildcard) -> str:
    if isinstance(part, _Wildcard):
        return ".*" if part is _Wildcard.ANY else "."
    return "".join(f"\\{char}" if char in _PUNCTUATION else char for char in part)
