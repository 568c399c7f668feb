"""Replaces spans of a text without breaking what the text is written in: escapes, and JSON."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from pdp.engine.text.escapes import BACKSLASH_ESCAPE
from pdp.engine.text.json_text import SCALARS, STRING, Token, read_tokens, string_in
from pdp.engine.text.locations import Segment, SourceMap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Splice(NamedTuple):
    """A span of a text and what replaces it.

    Attributes:
        start: the first code point of the span.
        end: the code point after the span.
        replacement: the text in its place.
        redaction: the index of the redaction that it belongs to.
    """

    start: int
    end: int
    replacement: str
    redaction: int


def apply(text: str, splices: Sequence[Splice]) -> str:
    """Returns the text with each span replaced; the spans are in order and do not overlap."""
    parts: list[str] = []
    end = 0
    for splice in splices:
        parts += (text[end : splice.start], splice.replacement)
        end = splice.end
    parts.append(text[end:])
    return "".join(parts)


def fit(text: str, splices: Sequence[Splice]) -> list[Splice]:
    """Returns splices that keep the form of a text, for splices that may break it.

    * A span that covers the whole text stays.
    * In JSON text, even if it is cut off, a span is cut to the strings, numbers and literals in
      it, and to keys only if there is nothing else in it. A number or literal is replaced by a
      string, as a whole. The replacement is written with the escapes that its place needs.
    * In any other text, a span that begins or ends inside an escape covers the whole escape.

    Args:
        text: the text.
        splices: in order, without overlaps. Those that this function has returned stay as they are.
    """
    if len(splices) == 1 and splices[0].start <= 0 and splices[0].end >= len(text):
        return list(splices)
    tokens = read_tokens(text, may_be_cut=True)
    if tokens is None:
        return _around_escapes(text, splices) if "\\" in text else list(splices)
    return list(_in_json(text, tokens, splices))


def _around_escapes(text: str, splices: Sequence[Splice]) -> list[Splice]:
    """Returns the splices, each extended to the whole of the escapes at its ends."""
    extended: list[Splice] = []
    for splice in splices:
        start, end = _escape_start(text, splice.start), _escape_end(text, splice.end)
        if extended and start < extended[-1].end:
            extended[-1] = extended[-1]._replace(end=max(end, extended[-1].end))
        else:
            extended.append(splice._replace(start=start, end=end))
    return extended


_LONGEST_ESCAPE = 6


def _escape_around(text: str, position: int) -> tuple[int, int] | None:
    """Returns the span of the escape that has `position` inside it; None if there is none."""
    begin = text.rfind("\\", max(0, position - _LONGEST_ESCAPE), position)
    if begin < 0:
        return None
    # Of a run of backslashes, each second one is escaped itself.
    first = begin
    while first and text[first - 1] == "\\":
        first -= 1
    if (begin - first) % 2:
        begin -= 1
    escape = BACKSLASH_ESCAPE.match(text, begin)
    if escape is None or not begin < position < escape.end():
        return None
    return escape.span()


def _escape_start(text: str, position: int) -> int:
    escape = _escape_around(text, position)
    return position if escape is None else escape[0]


def _escape_end(text: str, position: int) -> int:
    escape = _escape_around(text, position)
    return position if escape is None else escape[1]


def _in_json(text: str, tokens: Sequence[Token], splices: Sequence[Splice]) -> Iterator[Splice]:
    scalars = [each for each in tokens if each.kind in SCALARS]
    by_token: dict[Token, list[Splice]] = {}
    ends = [each.end for each in scalars]
    for splice in splices:
        index = bisect_right(ends, splice.start)
        overlapping: list[Token] = []
        while index < len(scalars) and scalars[index].start < splice.end:
            overlapping.append(scalars[index])
            index += 1
        for token in [each for each in overlapping if not each.in_key] or overlapping:
            by_token.setdefault(token, []).append(splice)
    segment = Segment(None, text, b"")
    for token, inside in by_token.items():
        if token.kind == STRING:
            yield from _in_string(segment, token, inside)
        else:
            first = inside[0]
            yield Splice(token.start, token.end, _json_string(first.replacement), first.redaction)


def _in_string(segment: Segment, token: Token, splices: Sequence[Splice]) -> Iterator[Splice]:
    """Yields the splices of one string of JSON text."""
    string = string_in(segment, token)
    source = string.source
    assert isinstance(source, SourceMap)  # noqa: S101 - a string of JSON text is a variant of it
    inner: list[Splice] = []
    for splice in splices:
        start, end = _after_escape(source, splice.start), _before_escape(source, splice.end)
        if start < end:
            inner.append(splice._replace(start=start, end=end))
    for start, end, replacement, redaction in fit(string.text, inner):
        begin, stop = source.source_span(start, end)
        yield Splice(begin, stop, _json_string(replacement)[1:-1], redaction)


def _after_escape(source: SourceMap, position: int) -> int:
    """Returns the position in a string for one in the JSON text; after an escape if inside it."""
    piece = max(0, bisect_right(source.source_starts, position) - 1)
    offset = max(0, position - source.source_starts[piece])
    if source.widths[piece]:
        return source.starts[piece + 1] if offset else source.starts[piece]
    return min(source.starts[piece] + offset, source.starts[-1])


def _before_escape(source: SourceMap, position: int) -> int:
    """Returns the position in a string for one in the JSON text; before an escape if inside it."""
    piece = max(0, bisect_right(source.source_starts, position) - 1)
    if source.widths[piece]:
        return source.starts[piece]
    return _after_escape(source, position)


def _json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
