"""The parts of a text that Markdown marks as code: fenced blocks, and words in backticks."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MARKS: Final = 1000
"""How many runs of backticks of a text are read; what follows them is no code."""

MAX_AHEAD: Final = 50
"""How many runs are looked at for the end of words in backticks."""

MAX_INLINE: Final = 2000
"""The most characters of words in backticks."""

_MARK: Final = re.compile(r"`+|^[ \t]{0,3}~{3,}", re.MULTILINE)
FENCE: Final = 3
"""The least number of marks of a fenced block."""
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")


class CodeRegion(NamedTuple):
    """A part of a text that is marked as code.

    Attributes:
        start: its start, with the mark.
        end: its end, with the mark.
        inner_start: the start of what is between the marks.
        inner_end: its end.
    """

    start: int
    end: int
    inner_start: int
    inner_end: int


def code_regions(text: str, *, may_be_cut: bool) -> Sequence[CodeRegion]:
    """Returns the parts of a text that are marked as code, in order.

    A fenced block without an end goes on to the end of the text, as in Markdown.

    Args:
        text: the text.
        may_be_cut: whether words in backticks without an end count, if the paragraph has none. The
            text of an answer may be a part of it.
    """
    marks: list[tuple[int, int]] = []
    for match in _MARK.finditer(text):
        if len(marks) == MAX_MARKS:
            break
        marks.append(match.span())
    regions: list[CodeRegion] = []
    index = 0
    while index < len(marks):
        start, inner_start = marks[index]
        closing = _closing(text, marks, index)
        if closing is not None:
            inner_end, end = marks[closing]
            regions.append(CodeRegion(start, end, inner_start, inner_end))
            index = closing
        elif _width(text, marks[index]) >= FENCE or (
            may_be_cut and _paragraph_end(text, inner_start) > len(text)
        ):
            regions.append(CodeRegion(start, len(text), inner_start, len(text)))
            break
        index += 1
    return regions


def region_around(regions: Sequence[CodeRegion], start: int, end: int) -> CodeRegion | None:
    """Returns the region that a span is in as a whole; None if it is in none."""
    index = bisect_right(regions, start, key=_start) - 1
    if index < 0 or regions[index].inner_end < end or regions[index].inner_start > start:
        return None
    return regions[index]


def _start(region: CodeRegion) -> int:
    return region.start


def _width(text: str, mark: tuple[int, int]) -> int:
    return len(text[slice(*mark)].strip())


def _closing(text: str, marks: Sequence[tuple[int, int]], index: int) -> int | None:
    """Returns the index of the run that ends the code which another one begins."""
    _, begin = marks[index]
    kind, width = text[begin - 1], _width(text, marks[index])
    is_fence = width >= FENCE
    last = len(marks) if is_fence else min(len(marks), index + 1 + MAX_AHEAD)
    limit = len(text) if is_fence else _paragraph_end(text, begin)
    for other in range(index + 1, last):
        start, end = marks[other]
        if start > limit:
            return None
        own_width = _width(text, (start, end))
        if text[end - 1] == kind and (own_width >= width if is_fence else own_width == width):
            return other
    return None


def _paragraph_end(text: str, begin: int) -> int:
    """Returns where words in backticks that begin at `begin` must end."""
    limit = begin + MAX_INLINE
    paragraph = _PARAGRAPH.search(text, begin, limit)
    return limit if paragraph is None else paragraph.start()
