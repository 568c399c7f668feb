"""All texts of a request that are scanned: each string, number and key, in all its readings.

Most texts hold nothing that a pattern finds. So the small texts of a structure are scanned together
first, as a `TextBatch`, and one by one only if a pattern may occur in the batch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.text.escapes import MIN_BASE64, has_escapes, may_be_base64
from pdp.engine.text.json_text import (
    JsonSource,
    NumberText,
    least_values,
    may_be_json,
    number_text,
    read_value,
)
from pdp.engine.text.locations import (
    LINE_END,
    JoinedPart,
    JoinedParts,
    Reading,
    Segment,
    member_path,
)
from pdp.engine.text.normalization import normalize
from pdp.engine.text.outline import Outline, label_text
from pdp.engine.text.shell_words import may_be_quoted
from pdp.engine.text.variants import encoded
from pdp.engine.work import MAX_VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MAX_NESTED: Final = 4
"""JSON in a string, in the JSON of a string, and so on, is read to this depth."""

MAX_VALUE: Final = 8192
"""Longer strings are documents, which their key does not explain."""

BATCH: Final = 64
"""The most texts of a batch."""

BATCH_TEXT: Final = 1024
"""Longer texts are scanned on their own."""

_SEPARATOR: Final = "\n\x1e\n"
"""Stands between the texts of a batch: each text has lines of its own, and no white space joins
two of them."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$@][A-Za-z_.$-]{0,30}+\d{0,4}+")
"""Most keys. They hold neither a value nor code, and are scanned as labels only."""

_QUOTES: Final = str.maketrans({'"': "!", "'": "!", "`": "!", "\\": "!"})
_DOCUMENT: Final = re.compile(r"\s*+(?:\{\s*+[\"}]|\[\s*+[\[{\"\]])")
"""JSON in a string: its own members are lines, and not the whole of it."""


class TextBatch(NamedTuple):
    """Texts that are scanned together first.

    Attributes:
        data: the texts, each on lines of its own, as UTF-8.
        segments: returns what is scanned if a pattern may occur in `data`.
    """

    data: bytes
    segments: Callable[[], Iterable[Segment]]


def readings(
    text: str, arguments: Mapping[str, Any] | None, count: Callable[[int], None]
) -> Iterable[Segment | TextBatch]:
    """Returns what is scanned of a request.

    Args:
        text: the request's text; empty if it has none.
        arguments: its arguments.
        count: called with the number of values of each structure; raises if there are too many.
    """
    of_text = _string(Segment(None, text, text.encode()), 0, count) if text else ()
    return _with_arguments(of_text, arguments, count) if arguments else of_text


def _with_arguments(
    of_text: Iterable[Segment | TextBatch],
    arguments: Mapping[str, Any],
    count: Callable[[int], None],
) -> Iterator[Segment | TextBatch]:
    yield from of_text
    outline = Outline(arguments)
    count(len(outline.texts))
    yield from _structure(outline, _ArgumentSource(arguments).segment, 0, count)


def _string(
    segment: Segment, depth: int, count: Callable[[int], None]
) -> Iterable[Segment | TextBatch]:
    """Returns the readings of a string: of itself, and of the JSON in it."""
    text = segment.text
    if depth == MAX_NESTED or not may_be_json(text):
        return normalize(segment)
    if (values := least_values(text)) > MAX_VALUES:
        count(values)
    value = read_value(text)
    if value is None:
        return normalize(segment)
    return _with_json(segment, value, depth + 1, count)


def _with_json(
    segment: Segment, value: Any, depth: int, count: Callable[[int], None]
) -> Iterator[Segment | TextBatch]:
    yield from normalize(segment, decodes=False)
    outline = Outline(value)
    count(len(outline.texts))
    yield from _structure(outline, JsonSource(segment).segment, depth, count)


class _ArgumentSource:
    """The scalars and keys of arguments as segments."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._places: list[tuple[str, str, bool]] = []

    def segment(self, index: int) -> Segment:
        """Returns a scalar or a key by its index in the order of the arguments."""
        if not self._places:
            self._places = list(_places(self._arguments, ""))
        path, text, in_key = self._places[index]
        return Segment(path, *encoded(text), in_key=in_key)


def _places(value: Any, path: str) -> Iterator[tuple[str, str, bool]]:
    """Yields the path and the text of each key and scalar, and whether it is a key."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, Mapping):
        for key, item in value.items():
            below = member_path(path, key)
            yield below, key, True
            yield from _places(item, below)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _places(item, f"{path}/{index}")
    else:
        is_literal = value is None or isinstance(value, bool)
        yield path, json.dumps(value) if is_literal else number_text(value), False


def _structure(
    outline: Outline,
    segment_of: Callable[[int], Segment],
    depth: int,
    count: Callable[[int], None],
) -> Iterator[Segment | TextBatch]:
    """Yields the readings of a JSON value.

    Args:
        outline: the outline of the value.
        segment_of: returns the segment of a scalar or a key, by its index in the outline.
        depth: how many strings the value is nested in.
        count: see `readings`.
    """
    texts = outline.texts
    alone: list[int] = []
    together: list[int] = []
    for index in outline.values:
        (together if _is_simple(texts[index]) else alone).append(index)
    for index in outline.keys:
        if _PLAIN_KEY.fullmatch(key := texts[index]) is None and key:
            (together if _is_simple(key) else alone).append(index)
    for start in range(0, len(together), BATCH):
        indexes = together[start : start + BATCH]
        data = _SEPARATOR.join([texts[each] for each in indexes]).encode()
        yield TextBatch(data, partial(map, segment_of, indexes))
    for index in alone:
        yield from _string(segment_of(index), depth, count)
    if outline.lines:
        yield from _joined(_labelled_text(outline), partial(_labelled, outline, segment_of))
    for pieces in outline.commands:
        yield from _pieces(Reading.COMMAND, pieces, outline, segment_of)
    for block in outline.blocks:
        yield from _pieces(
            Reading.LINES, [piece for each in block for piece in (each, "\n")], outline, segment_of
        )


def is_plain(text: str) -> bool:
    """Returns whether a text has only one reading: itself. Fast: most texts are plain."""
    return (
        text.isascii()
        and not has_escapes(text)
        and not ("*" in text and "/*" in text)
        and not may_be_json(text)
        and not may_be_base64(text)
        and not may_be_quoted(text)
    )


def _is_simple(text: str) -> bool:
    """Returns whether a text has only one reading, and is short."""
    if len(text) < MIN_BASE64 and text.isalnum() and text.isascii():
        return True
    return len(text) <= BATCH_TEXT and is_plain(text)


def _joined(
    text: str, segment: Callable[[], Segment], *, is_quoted: bool = False
) -> Iterator[Segment | TextBatch]:
    """Yields the readings of a joined text, which `segment` returns as a segment.

    Args:
        text: the text.
        segment: returns the text as a segment.
        is_quoted: whether it is a command line that may have quoting tricks.
    """
    if text.isascii() and not has_escapes(text) and "/*" not in text and not is_quoted:
        yield TextBatch(text.encode(), lambda: (segment(),))
    else:
        yield from normalize(segment())


def _labelled_text(outline: Outline) -> str:
    """Returns the lines of an outline, such as `date_of_birth: "1990-02-01"`."""
    lines: list[str] = []
    for labels, value in outline.lines:
        label, quote, text = _line(outline, labels, value)
        lines.append(f"{label}: {quote}{text}{quote}{LINE_END}")
    return "".join(lines)


def _line(outline: Outline, labels: Sequence[int], value: int) -> tuple[str, str, str]:
    """Returns the label of a line, the quote around its value, and the value."""
    texts = outline.texts
    label = label_text(texts[labels[-1]])
    if len(labels) > 1:
        label = f"{label_text(texts[labels[0]])}_{label}"
    text = "" if value < 0 else texts[value]
    if type(text) is NumberText:
        return label, "", text
    if len(text) > MAX_VALUE or (may_be_json(text) and _DOCUMENT.match(text) is not None):
        return label, '"', ""
    # A quote in a value would look like the end of the value.
    if '"' in text or "'" in text or "\\" in text or "`" in text:
        text = text.translate(_QUOTES)
    return label, '"', text


def _labelled(outline: Outline, segment_of: Callable[[int], Segment]) -> Segment:
    """Returns `_labelled_text` as a segment."""
    parts: list[JoinedPart] = []
    begin = 0
    for labels, value in outline.lines:
        label, quote, text = _line(outline, labels, value)
        end = begin + len(label)
        parts.append(JoinedPart(begin, end, labels[-1], is_label=True))
        begin = end + len(": ") + len(quote)
        if text:
            parts.append(JoinedPart(begin, begin + len(text), value))
        begin += len(text) + len(quote) + len(LINE_END)
    text = _labelled_text(outline)
    return Segment("", *encoded(text), JoinedParts(Reading.LABELLED, parts, segment_of))


def _pieces(
    reading: Reading,
    pieces: Sequence[int | str],
    outline: Outline,
    segment_of: Callable[[int], Segment],
) -> Iterator[Segment | TextBatch]:
    """Yields the readings of a text that is joined from pieces, as `Outline.commands` has them."""
    texts = [each if isinstance(each, str) else outline.texts[each] for each in pieces]
    text = "".join(texts)

    def segment() -> Segment:
        parts: list[JoinedPart] = []
        end = 0
        for piece, part in zip(pieces, texts, strict=True):
            start, end = end, end + len(part)
            if isinstance(piece, int):
                parts.append(JoinedPart(start, end, piece))
        return Segment("", *encoded(text), JoinedParts(reading, parts, segment_of))

    yield from _joined(text, segment, is_quoted=may_be_quoted(text))
