"""One RE2 pattern: compiled once when it is written, searched linearly ever after.

RE2 has no back-tracking, so nothing that a tenant writes can take super-linear time. What a
pattern may cost is bounded all the same: by its length, and by the memory of its program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import re2

from pdp.errors import InvalidPattern, Violation

MAX_PATTERN_LENGTH: Final = 1000
"""Characters (decide.md, Patterns)."""

MAX_PROGRAM_BYTES: Final = 1 << 20
"""Memory for one compiled pattern. A counted repetition of a counted repetition is refused."""

VALUE_GROUP: Final = "value"
"""Names the part of a detector's pattern that is the value; the rest is what it is known by."""

Validator = Callable[[str], bool]
Validators = Mapping[str, Validator]

_CONTINUATION: Final = 0x80  # the upper two bits of every UTF-8 byte but a character's first

Window = tuple[int, int]
"""A part of a text: where it begins and ends, in bytes."""

_NO_REPETITION: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_ENDLESS: Final = re.compile(r"[*+]|\{\d*,\}")

_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\C")
"""It matches a part of a character, which has no place in a text."""

_UNSUPPORTED = (
    (re.compile(r"\(\?<?[=!]"), "look-around is not supported: {found}"),
    (re.compile(r"\\[1-9]|\(\?P="), "back-references are not supported: {found}"),
    (re.compile(r"\(\?>|[*+?}]\+"), "possessive and atomic groups are not supported: {found}"),
)


class Detector(NamedTuple):
    """What is looked for: an RE2 pattern, and the name of the check that a value must pass."""

    pattern: str
    validator: str = ""


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MAX_PROGRAM_BYTES
    options.log_errors = False
    return options


_OPTIONS: Final = _options()


class CompiledPattern:
    """A pattern that is ready to be searched for.

    Attributes:
        source: what was compiled.
        reach: bytes that a match has at most; 0 where that is not known.
    """

    __slots__ = ("_search", "_value", "reach", "source")

    def __init__(self, source: str) -> None:
        """Compiles `source`.

        Raises:
            InvalidPattern: it is not RE2, is longer than `MAX_PATTERN_LENGTH`, or is too large.
        """
        if len(source) > MAX_PATTERN_LENGTH:
            raise _refused(f"must be at most {MAX_PATTERN_LENGTH} characters")
        if _BYTE.search(source):
            raise _refused("single bytes are not supported: \\C; write . for a character")
        try:
            compiled = re2.compile(source, _OPTIONS)
        except re2.error as error:
            raise _refused(_explain(source, error)) from None
        except UnicodeEncodeError:
            raise _refused("must be well-formed Unicode") from None
        self.source = source
        self._search = compiled.finditer
        self._value: int = compiled.groupindex.get(VALUE_GROUP, 0)
        # Without a repetition that has no end, a match is no longer than its program.
        self.reach: int = 0 if _has_no_end(source) else compiled.programsize

    def spans(self, text: str, data: bytes) -> Iterator[tuple[int, int]]:
        """Yields where the pattern is found, from left to right, in code points.

        Args:
            text: the text.
            data: the same text as UTF-8, which RE2 works on.
        """
        for start, end, _, _ in self.places(text, data):
            yield start, end

    def places(
        self, text: str, data: bytes, windows: Sequence[Window] | None = None
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yields the same, and where the value is in each: the group `VALUE_GROUP`, else all.

        Args:
            text: the text.
            data: the same text as UTF-8.
            windows: parts of `data` outside which the pattern does not occur; None for anywhere.
        """
        group = self._value
        matches = self._search(data) if windows is None else self._within(data, windows)
        if len(text) == len(data):
            for match in matches:
                yield *match.span(), *_value_span(match, group)
            return
        chars = seen = 0
        for match in matches:
            start, end = match.span()
            if start < len(data) and data[start] & 0xC0 == _CONTINUATION:
                continue  # an empty match inside a character
            start_chars = chars + len(data[seen:start].decode())
            chars = start_chars + len(data[start:end].decode())
            seen = end
            value_start, value_end = _value_span(match, group)
            before = len(data[start:value_start].decode())
            after = len(data[value_end:end].decode())
            yield start_chars, chars, start_chars + before, chars - after

    def _within(self, data: bytes, windows: Sequence[Window]) -> Iterator[re2.Match]:
        length = len(data)
        for begin, end in windows:
            for match in self._search(data, begin, end):
                # What touches the end of a window may go on behind it, and is not of it.
                if match.end() < end or end == length:
                    yield match


def _has_no_end(source: str) -> bool:
    return "\\Q" in source or _ENDLESS.search(_NO_REPETITION.sub("", source)) is not None


def _value_span(match: re2.Match, group: int) -> tuple[int, int]:
    span: tuple[int, int] = match.span(group)
    # A group that took no part, in an alternative for instance, is nowhere.
    return span if span[0] >= 0 else match.span()


def _refused(reason: str) -> InvalidPattern:
    return InvalidPattern(f"pattern: {reason}", Violation("pattern", reason))


def _explain(source: str, error: re2.error) -> str:
    for construct, reason in _UNSUPPORTED:
        found = construct.search(source)
        if found:
            return reason.format(found=found.group())
    cause = error.args[0] if error.args else "not a pattern"
    text = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
    if "too large" in text:
        return "is too large once compiled; use smaller repetition counts"
    return text
