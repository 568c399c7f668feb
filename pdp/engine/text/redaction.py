"""Merges the redactions of all layers into obligations, a redacted text and redacted arguments.

Redactions that overlap are merged into one. The kind that shows least of the value counts: a fixed
text, then a hash or a placeholder, then a mask. Of equal kinds, the first one counts. The order is
that of the layers, and within a layer the order in which it returns them (docs/decide.md, chain).

A redaction keeps the form of what it is in. An escape is replaced as a whole. In a string that is
JSON, only strings, numbers and literals are replaced, so that it still is JSON afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.domain.decision import Obligation, ObligationType, Redaction
from pdp.domain.redaction_kind import MASK
from pdp.engine.text.json_text import number_text
from pdp.engine.text.locations import Place, member_path
from pdp.engine.text.pseudonyms import NO_PSEUDONYMS
from pdp.engine.text.splices import Splice, apply, fit

if TYPE_CHECKING:
    from pdp.domain.decision import Span
    from pdp.domain.request import JsonObject, Request
    from pdp.engine.text.pseudonyms import Pseudonyms


class Redacted(NamedTuple):
    """The result of redactions.

    Attributes:
        obligations: one for each replacement, in the order of the redactions; those that depend on
            the value come last.
        text: the redacted text; None if nothing in it is redacted.
        arguments: the redacted arguments; None if nothing in them is redacted.
    """

    obligations: tuple[Obligation, ...] = ()
    text: str | None = None
    arguments: JsonObject | None = None


NOTHING_REDACTED = Redacted()

_ByPlace = Mapping[Place, Sequence[Redaction]]


def redact(
    request: Request,
    redactions: Sequence[Redaction],
    *,
    carry: bool = True,
    pseudonyms: Pseudonyms = NO_PSEUDONYMS,
) -> Redacted:
    """Applies `redactions` to a request.

    Args:
        request: the request.
        redactions: in order; see `merge` for redactions that overlap.
        carry: whether to return the redacted text and arguments too.
        pseudonyms: computes the replacements that depend on the value.
    """
    by_place: dict[Place, list[Redaction]] = {}
    for each in merge(redactions):
        by_place.setdefault(Place(each.span.path, each.span.in_key), []).append(each)
    if not by_place:
        return NOTHING_REDACTED
    editor = _Editor(by_place, pseudonyms)
    text = editor.redacted_text(request.text)
    arguments = editor.redacted(request.arguments, "")
    obligations = _obligations(redactions, sorted(editor.fitted, key=_order))
    if not carry:
        return Redacted(obligations)
    return Redacted(
        obligations,
        text if Place(None) in by_place else None,
        arguments if by_place.keys() - {Place(None)} else None,
    )


def merge(redactions: Sequence[Redaction]) -> list[Redaction]:
    """Returns redactions without overlaps, sorted by place (the text first) and position.

    Redactions that overlap become one. The one that shows least of the value counts; of several
    that show the same, the first.
    """
    positions = sorted(
        (*_order(each), order)
        for order, each in enumerate(redactions)
        if each.span.start < each.span.end
    )
    merged: list[Redaction] = []
    first = 0  # the order of the redaction that counts
    for *_, order in positions:
        each = redactions[order]
        last = merged[-1] if merged else None
        if last is None or not _overlap(last.span, each.span):
            merged.append(each)
            first = order
            continue
        leading = last
        if (_shown(each), order) < (_shown(last), first):
            leading, first = each, order
        start, end = last.span.start, max(last.span.end, each.span.end)
        merged[-1] = leading._replace(
            span=leading.span._replace(start=start, end=end),
            is_secret=last.is_secret or each.is_secret,
        )
    return merged


def _shown(redaction: Redaction) -> int:
    """Returns a number that rises with what a redaction shows of the value."""
    if not redaction.kind:
        return 0
    return 2 if redaction.kind == MASK else 1


def _order(redaction: Redaction) -> tuple[bool, str, bool, int]:
    span = redaction.span
    return (span.path is not None, span.path or "", span.in_key, span.start)


def _overlap(last: Span, following: Span) -> bool:
    return (last.path, last.in_key) == (following.path, following.in_key) and (
        following.start < last.end
    )


def _obligations(
    redactions: Sequence[Redaction], fitted: Sequence[Redaction]
) -> tuple[Obligation, ...]:
    spans: dict[tuple[str, str], list[Span]] = {
        (each.replacement, ""): [] for each in redactions if not each.kind
    }
    for each in fitted:
        spans.setdefault((each.replacement, each.kind), []).append(each.span)
    return tuple(
        Obligation(ObligationType.REDACT, replacement, tuple(own), kind=kind)
        for (replacement, kind), own in spans.items()
        if own
    )


class _Editor:
    """Applies redactions to a text and to arguments.

    Attributes:
        fitted: the redactions as they were applied, in the order of the text and the arguments.
    """

    def __init__(self, by_place: _ByPlace, pseudonyms: Pseudonyms) -> None:
        """Takes redactions without overlaps, from left to right in each place."""
        self._by_place = by_place
        self._pseudonyms = pseudonyms
        self.fitted: list[Redaction] = []

    def redacted_text(self, text: str) -> str:
        """Returns the text of the request, redacted."""
        return self._string(text, Place(None))

    def _string(self, text: str, place: Place) -> str:
        redactions = self._by_place.get(place)
        if not redactions:
            return text
        redactions = [self._written(each, text) for each in redactions]
        splices = fit(
            text,
            [
                Splice(each.span.start, min(each.span.end, len(text)), each.replacement, index)
                for index, each in enumerate(redactions)
            ],
        )
        for start, end, _, index in splices:
            each = redactions[index]
            span = each.span
            if (span.start, span.end) != (start, end):
                each = each._replace(span=span._replace(start=start, end=end))
            self.fitted.append(each)
        return apply(text, splices)

    def _written(self, redaction: Redaction, text: str) -> Redaction:
        """Returns a redaction of a part of `text` with its replacement."""
        kind, span = redaction.kind, redaction.span
        if not kind:
            return redaction
        replacement = self._pseudonyms.replacement(
            kind, text[span.start : span.end], span.entity_type, is_secret=redaction.is_secret
        )
        return redaction._replace(replacement=replacement)

    def redacted(self, value: Any, path: str) -> Any:
        """Returns a JSON value, redacted; `path` is its JSON Pointer."""
        if isinstance(value, str):
            return self._string(value, Place(path))
        if isinstance(value, Mapping):
            return self._object(value, path)
        if isinstance(value, (list, tuple)):
            return [self.redacted(item, f"{path}/{index}") for index, item in enumerate(value)]
        redactions = self._by_place.get(Place(path))
        if not redactions or value is None or isinstance(value, bool):
            return value
        text = number_text(value)
        strictest = min(redactions, key=_shown)
        whole = strictest.span._replace(start=0, end=len(text))
        written = self._written(strictest._replace(span=whole), text)
        self.fitted.append(written)
        return written.replacement

    def _object(self, value: Mapping[str, Any], path: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            below = member_path(path, key)
            new_key = self._string(key, Place(below, in_key=True))
            new_item = self.redacted(item, below)
            result[new_key if new_key == key else _free(new_key, value, result)] = new_item
        return result


def _free(key: str, *objects: Mapping[str, Any]) -> str:
    """Returns a key that none of the objects has: the key, or with `_2`, `_3` and so on."""
    candidate, number = key, 1
    while any(candidate in each for each in objects):
        number += 1
        candidate = f"{key}_{number}"
    return candidate
