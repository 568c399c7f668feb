"""Replaces spans of texts and of JSON values. Offsets count code points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdp_client.results import RedactedSpan, Redaction

    _Places = Mapping[tuple[str | None, bool], Sequence[tuple[RedactedSpan, str]]]


def redact_text(text: str, redactions: Iterable[Redaction]) -> str:
    """Returns a text with its spans replaced. Spans with a path are not in the text.

    The server's `redacted_text` is the same; this function is for a text that the program holds in
    another form, or elsewhere.
    """
    return _text(text, _by_place(redactions).get((None, False), ()))


def redact_json(value: Any, redactions: Iterable[Redaction]) -> Any:
    """Returns a JSON value with the spans at their paths replaced.

    A number that has a span becomes the replacement. If a redacted key is in use already, it gets
    a number: `[REDACTED]_2`.
    """
    return _json(value, "", _by_place(redactions))


def _by_place(redactions: Iterable[Redaction]) -> _Places:
    places: dict[tuple[str | None, bool], list[tuple[RedactedSpan, str]]] = {}
    for redaction in redactions:
        for span in redaction.spans:
            places.setdefault((span.path, span.in_key), []).append((span, redaction.replacement))
    return places


def _text(text: str, spans: Sequence[tuple[RedactedSpan, str]]) -> str:
    parts: list[str] = []
    position = 0
    for span, replacement in sorted(spans, key=lambda each: each[0].start):
        start, end = max(span.start, position), min(span.end, len(text))
        if start < end:
            # Of two spans that overlap, the first one has the replacement of both.
            parts.append(text[position:start])
            if span.start >= position:
                parts.append(replacement)
            position = end
    return "".join((*parts, text[position:]))


def _json(value: Any, path: str, places: _Places) -> Any:
    if isinstance(value, str):
        return _text(value, places.get((path, False), ()))
    if isinstance(value, Mapping):
        return _object(value, path, places)
    if isinstance(value, list | tuple):
        return [_json(item, f"{path}/{index}", places) for index, item in enumerate(value)]
    spans = places.get((path, False), ())
    return spans[0][1] if spans and value is not None and not isinstance(value, bool) else value


def _object(value: Mapping[str, Any], path: str, places: _Places) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        new_key = _text(key, places.get((below, True), ()))
        if new_key != key:
            new_key = _free(new_key, value, result)
        result[new_key] = _json(item, below, places)
    return result


def _free(key: str, *objects: Mapping[str, Any]) -> str:
    candidate, number = key, 1
    while any(candidate in each for each in objects):
        number += 1
        candidate = f"{key}_{number}"
    return candidate


def redact_json_text(text: str, redactions: Iterable[Redaction]) -> str:
    """Returns the text of a JSON value with the spans at their paths replaced.

    Raises:
        ValueError: the text is not JSON.
    """
    return json.dumps(redact_json(json.loads(text), redactions), ensure_ascii=False)
