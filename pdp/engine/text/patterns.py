"""RE2 patterns: compiled once when a policy is written, then searched in linear time.

RE2 does not backtrack, so no pattern of a tenant can take more than linear time. The cost of a
pattern is also bounded by its length and by the memory of its compiled program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import re2

from pdp.errors import InvalidPattern, Violation

if TYPE_CHECKING:
    from pdp.engine.text.cost_class import PatternCost
    from pdp.engine.text.locations import Reading

MAX_PATTERN_LENGTH: Final = 1000
"""Maximum number of characters (docs/decide.md, Patterns)."""

MAX_PROGRAM_BYTES: Final = 1 << 20
"""Memory of one compiled pattern. Nested counted repetitions exceed it."""

VALUE_GROUP: Final = "value"
"""The named group that holds the value of a match; the rest of the match is its context."""

Validator = Callable[[str], bool]
Validators = Mapping[str, Validator]

_CONTINUATION: Final = 0x80  # the upper two bits of each UTF-8 byte after the first of a character

ByteRange = tuple[int, int]
"""A part of a text: its start and its end, in bytes."""

_Match = Callable[[object, bytes, int, int], Sequence[tuple[int, int]]]
"""Returns the spans of the next match and of its groups, -1 for what is not matched."""

_UNANCHORED: Final = re2._Anchor.UNANCHORED

_NO_REPETITION: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_UNBOUNDED_REPETITION: Final = re.compile(r"[*+]|\{\d*,\}")

_ANCHOR: Final = re.compile(r"[$^]")
_TEXT_END: Final = re.compile(r"\\[AzQ]|\(\?[a-zA-Z]*-[a-zA-Z]*m")
"""The ends of a text, a quoted part, or the end of multi-line mode."""

_SINGLE_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\C")
"""It matches a part of a character, which has no position in a text."""

_UNSUPPORTED = (
    (re.compile(r"\(\?<?[=!]"), "look-around is not supported: {construct}"),
    (re.compile(r"\\[1-9]|\(\?P="), "back-references are not supported: {construct}"),
    (re.compile(r"\(\?>|[*+?}]\+"), "possessive and atomic groups are not supported: {construct}"),
)


class PatternDetector(NamedTuple):
    """An RE2 pattern.

    Attributes:
        pattern: the pattern.
        validator: the name of the validator that must accept a match; empty for none.
        ignores: a reading in which matches do not count; None for no reading.
    """

    pattern: str
    validator: str = ""
    ignores: Reading | None = None


def _options(max_mem: int) -> re2.Options:
    options = re2.Options()
    options.max_mem = max_mem
    options.log_errors = False
    return options


_OPTIONS: Final = _options(MAX_PROGRAM_BYTES)
_SMALL_OPTIONS: Final = _options(MAX_PROGRAM_BYTES // 4)


class CompiledPattern:
    """A compiled pattern.

    Attributes:
        source: the source of the pattern.
        max_bytes: the maximum length of a match in bytes; 0 if it is unknown.
        cost: how often it is found in ordinary texts; None if that is not measured yet. See
            `pdp.engine.text.pattern_cost`.
    """

    __slots__ = ("_match", "_value_group", "cost", "max_bytes", "source")

    def __init__(self, source: str, *, small: bool = False) -> None:
        """Compiles `source`.

        Args:
            source: the source of the pattern.
            small: whether to use a quarter of the memory, if the pattern fits into that. It is for
                patterns of which a tenant may have many.

        Raises:
            InvalidPattern: `source` is not RE2, is longer than `MAX_PATTERN_LENGTH`, or needs more
                memory than `MAX_PROGRAM_BYTES`.
        """
        if len(source) > MAX_PATTERN_LENGTH:
            raise _invalid(f"must be at most {MAX_PATTERN_LENGTH} characters")
        if _SINGLE_BYTE.search(source):
            raise _invalid("single bytes are not supported: \\C; write . for a character")
        try:
            compiled = _compile_small(source) if small else None
            compiled = compiled or re2.compile(source, _OPTIONS)
        except re2.error as error:
            raise _invalid(_reason(source, error)) from None
        except UnicodeEncodeError:
            raise _invalid("must be well-formed Unicode") from None
        self.source = source
        self.cost: PatternCost | None = None
        # The method itself: its wrapper makes an object of each match, and takes a `str`, too.
        self._match: _Match = compiled._regexp.Match
        self._value_group: int = compiled.groupindex.get(VALUE_GROUP, 0)
        # Without an unbounded repetition, a match is not longer than the program.
        self.max_bytes: int = 0 if _is_unbounded(source) else compiled.programsize

    def spans(self, text: str, data: bytes) -> Iterator[tuple[int, int]]:
        """Yields the span of each match, from left to right, in code points.

        Args:
            text: the text.
            data: the same text as UTF-8, which RE2 searches.
        """
        for start, end, _, _ in self.matches(text, data):
            yield start, end

    def matches(
        self, text: str, data: bytes, ranges: Sequence[ByteRange] | None = None
    ) -> Iterator[tuple[int, int, int, int]]:
        """Returns the span of each match and the span of its value, in code points.

        The value is the group `VALUE_GROUP`. If the pattern does not have that group, the value is
        the whole match.

        Args:
            text: the text.
            data: the same text as UTF-8.
            ranges: the parts of `data` in which the pattern occurs; None for the whole text.
        """
        matches = self._search(data, ((0, len(data)),) if ranges is None else ranges)
        return matches if len(text) == len(data) else in_code_points(data, matches)

    def _search(
        self, data: bytes, ranges: Sequence[ByteRange]
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yields the span of each match in some parts of `data` and that of its value, in bytes."""
        find, length = self.find, len(data)
        for begin, stop in ranges:
            while (match := find(data, begin, stop)) is not None:
                end = match[1]
                # A match that touches the end of a range may continue after it: it is not exact.
                if end < stop or stop == length:
                    yield match
                if begin == stop:
                    break
                # After an empty match at the start, the search goes on at the next byte.
                begin = end if end != begin else begin + 1  # noqa: PLW2901

    def find(self, data: bytes, begin: int, stop: int) -> tuple[int, int, int, int] | None:
        """Returns the span of the next match and that of its value, in bytes; None if none is left.

        Args:
            data: the text as UTF-8.
            begin: where to begin.
            stop: where to stop. What is before `begin` and after it is context.
        """
        spans = self._match(_UNANCHORED, data, begin, stop)
        start, end = spans[0]
        if start < 0:
            return None
        group = self._value_group
        if group:
            value_start, value_end = spans[group]
            # A group that did not take part in the match, for example in an alternative, has none.
            if value_start >= 0:
                return start, end, value_start, value_end
        return start, end, start, end


def in_code_points(
    data: bytes, matches: Iterable[tuple[int, int, int, int]]
) -> Iterator[tuple[int, int, int, int]]:
    """Yields the spans of `matches`, which are in bytes, in code points."""
    chars = done = 0
    for start, end, value_start, value_end in matches:
        if start < len(data) and data[start] & 0xC0 == _CONTINUATION:
            continue  # an empty match inside a character
        start_chars = chars + len(data[done:start].decode())
        chars = start_chars + len(data[start:end].decode())
        done = end
        before = len(data[start:value_start].decode())
        after = len(data[value_end:end].decode())
        yield start_chars, chars, start_chars + before, chars - after


def _compile_small(source: str) -> Any:
    """Returns a pattern that uses little memory; None if it does not compile into that."""
    try:
        return re2.compile(source, _SMALL_OPTIONS)
    except re2.error:
        return None


def has_anchors(source: str) -> bool:
    """Returns whether a pattern may have `^` or `$` as the ends of a text."""
    return "\\Q" in source or _ANCHOR.search(_NO_REPETITION.sub("", source)) is not None


def needs_whole_text(source: str) -> bool:
    """Returns whether a pattern may mean the ends of a text, even if `^` and `$` mean lines."""
    return _TEXT_END.search(source) is not None


def _is_unbounded(source: str) -> bool:
    """Whether a pattern has a repetition without an upper bound; True if that is not certain."""
    return (
        "\\Q" in source or _UNBOUNDED_REPETITION.search(_NO_REPETITION.sub("", source)) is not None
    )


def _invalid(reason: str) -> InvalidPattern:
    return InvalidPattern(f"pattern: {reason}", Violation("pattern", reason))


def _reason(source: str, error: re2.error) -> str:
    for construct, reason in _UNSUPPORTED:
        match = construct.search(source)
        if match:
            return reason.format(construct=match.group())
    cause = error.args[0] if error.args else "is not a valid RE2 pattern"
    text = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
    if "too large" in text:
        return "is too large once compiled; use smaller repetition counts"
    return text
