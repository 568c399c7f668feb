"""The redactions of all layers made one: obligations, and the text and arguments without them.

Where redactions overlap they are one, with the replacement of the one that came first: layers in
their order, and within a layer the order that it gives them in (decide.md, chain).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.domain.decision import Obligation, ObligationType, Redaction

if TYPE_CHECKING:
    from pdp.domain.request import JsonObject, Request


class Redacted(NamedTuple):
    """What redactions come to.

    Attributes:
        obligations: one for each replacement, in the order in which they came.
        text: the text without what is redacted; None where nothing in it is.
        arguments: the same of the arguments.
    """

    obligations: tuple[Obligation, ...] = ()
    text: str | None = None
    arguments: JsonObject | None = None


NOTHING_REDACTED = Redacted()

_ByPath = Mapping[str | None, Sequence[Redaction]]


def redact(request: Request, redactions: Sequence[Redaction], *, carry: bool = True) -> Redacted:
    """Returns what `redactions` come to.

    Args:
        request: what they are taken out of.
        redactions: in order; of two that overlap, the first one's replacement counts.
        carry: whether the redacted text and arguments are wanted.
    """
    merged = merge(redactions)
    if not merged:
        return NOTHING_REDACTED
    by_path: dict[str | None, list[Redaction]] = {}
    for each in merged:
        by_path.setdefault(each.span.path, []).append(each)
    obligations = _obligations(redactions, merged)
    if not carry:
        return Redacted(obligations)
    in_text = by_path.pop(None, None)
    text = _replaced(request.text, in_text) if in_text else None
    arguments = _rebuilt(request.arguments, by_path, "") if by_path else None
    return Redacted(obligations, text, arguments)


def merge(redactions: Sequence[Redaction]) -> list[Redaction]:
    """Returns redactions that do not overlap, by path (the text first) and place."""
    places = sorted(
        (each.span.path is not None, each.span.path or "", each.span.start, order)
        for order, each in enumerate(redactions)
        if each.span.start < each.span.end
    )
    merged: list[Redaction] = []
    first = 0  # the order of the redaction whose replacement counts
    for _, _, _, order in places:
        each = redactions[order]
        last = merged[-1].span if merged else None
        if last is None or last.path != each.span.path or each.span.start >= last.end:
            merged.append(each)
            first = order
            continue
        leading = each if order < first else merged[-1]
        first = min(first, order)
        span = leading.span._replace(start=last.start, end=max(last.end, each.span.end))
        merged[-1] = Redaction(leading.replacement, span)
    return merged


def _obligations(
    redactions: Sequence[Redaction], merged: Sequence[Redaction]
) -> tuple[Obligation, ...]:
    found = []
    for replacement in dict.fromkeys(each.replacement for each in redactions):
        spans = tuple(each.span for each in merged if each.replacement == replacement)
        if spans:
            found.append(Obligation(ObligationType.REDACT, replacement=replacement, spans=spans))
    return tuple(found)


def _replaced(text: str, redactions: Sequence[Redaction]) -> str:
    parts: list[str] = []
    end = 0
    for replacement, span in redactions:
        parts += (text[end : span.start], replacement)
        end = span.end
    parts.append(text[end:])
    return "".join(parts)


def _rebuilt(value: Any, by_path: _ByPath, path: str) -> Any:
    """Returns a JSON value with its strings redacted; paths are those of `scan.strings_in`."""
    if isinstance(value, str):
        redactions = by_path.get(path)
        return _replaced(value, redactions) if redactions else value
    if isinstance(value, Mapping):
        return {
            key: _rebuilt(item, by_path, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_rebuilt(item, by_path, f"{path}/{index}") for index, item in enumerate(value)]
    return value
