"""Puts redactions back into a payload: only what is redacted changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.payloads.edits import Edit, differences, locate, write, written_span
from pdp.payloads.pointers import value_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pdp.payloads.payload import Payload, PayloadPart

BLOCKED: Final = "[BLOCKED]"
"""Replaces an earlier part that would stop the request."""

_BLOCKED_OBJECT: Final = {"blocked": BLOCKED}


class PartChange(NamedTuple):
    """What a redaction makes of a part.

    Attributes:
        part: the part.
        text: its new text; None if the text stays.
        values: its new values; None if they stay. They have the keys and items of the old ones, in
            the same order.
        is_blocked: whether `BLOCKED` replaces the part as a whole.
    """

    part: PayloadPart
    text: str | None = None
    values: Mapping[str, Any] | None = None
    is_blocked: bool = False


def redacted_body(payload: Payload, changes: Sequence[PartChange]) -> str:
    """Returns the body of a payload with changes; all else is as it was sent, byte by byte.

    What repeats texts token by token becomes null, because it may repeat what is redacted.

    Raises:
        KeyError: a part is none of the payload's.
    """
    if isinstance(payload.document, str):
        return _whole_text(payload.document, changes)
    edits = [edit for each in changes for edit in _edits(payload, each)]
    if payload.repetitions and edits:
        edits = [each for each in edits if not _is_below(each.pointer, payload.repetitions)]
        edits += (Edit(pointer, None) for pointer in payload.repetitions)
    return write(payload.body, edits)


def _is_below(pointer: str, places: Iterable[str]) -> bool:
    return any(pointer == place or pointer.startswith(f"{place}/") for place in places)


def _whole_text(text: str, changes: Iterable[PartChange]) -> str:
    for each in changes:
        text = BLOCKED if each.is_blocked else text if each.text is None else each.text
    return text


def _edits(payload: Payload, change: PartChange) -> Iterator[Edit]:
    part = change.part
    if change.is_blocked:
        yield Edit(part.pointer, _blocked(part))
    elif change.text is not None:
        yield Edit(part.pointer, change.text)
    elif change.values is not None and part.values is not None:
        if part.as_text:
            inner: str = value_at(payload.document, part.pointer)
            yield Edit(part.pointer, write(inner, differences(part.values, change.values)))
        elif part.is_wrapped:
            yield from differences(part.values[""], change.values[""], part.pointer)
        else:
            yield from differences(part.values, change.values, part.pointer)


def _blocked(part: PayloadPart) -> Any:
    """Returns what stands for a part: of the kind of value that its place needs."""
    if part.as_text:
        return '{"blocked":"[BLOCKED]"}'
    if part.text or part.values is None or part.is_wrapped:
        return BLOCKED
    return _BLOCKED_OBJECT


class PayloadPlace(NamedTuple):
    """A span in a payload.

    Attributes:
        pointer: the JSON Pointer of a string or a number, or of the member whose key has the span.
        start: the first code point.
        end: the code point after the span.
        in_key: whether the span is in the key.
    """

    pointer: str
    start: int
    end: int
    in_key: bool = False


def places_in(
    payload: Payload, part: PayloadPart, places: Sequence[tuple[str | None, int, int, bool]]
) -> list[PayloadPlace]:
    """Returns where spans in a part are in the payload.

    In JSON that stands in a string, a span covers the escaped form.

    Args:
        payload: the payload.
        part: one of its parts.
        places: for each span its JSON Pointer in the part's values (None for the text), its begin,
            its end, and whether it is in a key.
    """
    if part.as_text:
        return _places_in_text(payload, part, places)
    skipped = 1 if part.is_wrapped else 0  # the name of the only member is empty
    return [
        PayloadPlace(part.pointer + (pointer or "")[skipped:], start, end, in_key)
        for pointer, start, end, in_key in places
    ]


def _places_in_text(
    payload: Payload, part: PayloadPart, places: Sequence[tuple[str | None, int, int, bool]]
) -> list[PayloadPlace]:
    text: str = value_at(payload.document, part.pointer)
    tokens = locate(text, {(pointer or "", in_key) for pointer, _, _, in_key in places})
    found: list[PayloadPlace] = []
    for pointer, start, end, in_key in places:
        token = tokens[pointer or "", in_key]
        if text[token.start] == '"':
            start, end = written_span(text, token, start, end)  # noqa: PLW2901
        else:
            start, end = token  # noqa: PLW2901
        found.append(PayloadPlace(part.pointer, start, end))
    return found
