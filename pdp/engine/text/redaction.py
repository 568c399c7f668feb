"""Merges the redactions of all layers into obligations, a redacted text and redacted arguments.

Redactions that overlap are merged into one, with the replacement of the first of them. The order is
that of the layers, and within a layer the order in which it returns them (docs/decide.md, chain).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.domain.decision import Obligation, ObligationType, Redaction

if TYPE_CHECKING:
    from pdp.domain.request import JsonObject, Request


class Redacted(NamedTuple):
    """The result of redactions.

    Attributes:
        obligations: one for each replacement, in the order of the redactions.
        text: the redacted text; None if nothing in it is redacted.
        arguments: the redacted arguments; None if nothing in them is redacted.
    """

    obligations: tuple[Obligation, ...] = ()
    text: str | None = None
    arguments: JsonObject | None = None


NOTHING_REDACTED = Redacted()

_ByPath = Mapping[str | None, Sequence[Redaction]]


def redact(request: Request, redactions: Sequence[Redaction], *, carry: bool = True) -> Redacted:
    """Applies `redactions` to a request.

    Args:
        request: the request.
        redactions: in order; if two overlap, the replacement of the first one is used.
        carry: whether to return the redacted text and arguments too.
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
    text = _redact_text(request.text, in_text) if in_text else None
    arguments = _redact_value(request.arguments, by_path, "") if by_path else None
    return Redacted(obligations, text, arguments)


def merge(redactions: Sequence[Redaction]) -> list[Redaction]:
    """Returns redactions without overlaps, sorted by path (the text first) and position."""
    positions = sorted(
        (each.span.path is not None, each.span.path or "", each.span.start, order)
        for order, each in enumerate(redactions)
        if each.span.start < each.span.end
    )
    merged: list[Redaction] = []
    first = 0  # the order of the redaction whose replacement is used
    for _, _, _, order in positions:
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
    obligations = []
    for replacement in dict.fromkeys(each.replacement for each in redactions):
        spans = tuple(each.span for each in merged if each.replacement == replacement)
        if spans:
            obligations.append(
                Obligation(ObligationType.REDACT, replacement=replacement, spans=spans)
            )
    return tuple(obligations)


def _redact_text(text: str, redactions: Sequence[Redaction]) -> str:
    parts: list[str] = []
    end = 0
    for replacement, span in redactions:
        parts += (text[end : span.start], replacement)
        end = span.end
    parts.append(text[end:])
    return "".join(parts)


def _redact_value(value: Any, by_path: _ByPath, path: str) -> Any:
    """Returns a JSON value with its strings redacted; paths are those of `strings_in`."""
    if isinstance(value, str):
        redactions = by_path.get(path)
        return _redact_text(value, redactions) if redactions else value
    if isinstance(value, Mapping):
        return {
            key: _redact_value(item, by_path, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redact_value(item, by_path, f"{path}/{index}") for index, item in enumerate(value)]
    return value
