"""Fills a DecideRequest with the facts that a mapping file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pdp.adapters.mapping.sources import first_of
from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.problems import LONE_SURROGATE
from pdp.transport.http.fact_headers import GROUPS, MAX_GROUPS, set_fact

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.adapters.mapping.sources import Source, SourceView

MAX_TEXT: Final = 262_144
"""Characters of the longest value: as many as a list of the largest groups has."""

_LISTED: Final = frozenset({"header", "path_variable"})
"""Sources whose text may be several values joined by commas, if somebody sent it twice."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where the facts about a request come from.

    Attributes:
        sources: the sources of each fact, by its name in the mapping file.
        required: the facts without which a request is refused.
        separator: the text between two groups; empty if a text is one group.
    """

    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    separator: str = ""


def fill_context(request: pb.DecideRequest, context: Context, view: SourceView) -> None:
    """Sets the facts of a request. Those that the mapping does not name stay unset.

    Args:
        request: the request to fill.
        context: the sources of the facts.
        view: what is known of the request.

    Raises:
        InvalidArgument: a required fact is not there, or a value cannot be read.
    """
    violations: list[Violation] = []
    for name, sources in context.sources.items():
        try:
            value, source = first_of(sources, view, name)
            if source is not None:
                _set(request, context, name, value, source)
            elif name in context.required:
                violations.append(Violation(f"context.{name}", "is required, and is not there"))
        except InvalidArgument as error:
            violations += error.violations
    if violations:
        raise InvalidArgument.of(*violations)


def _set(
    request: pb.DecideRequest, context: Context, name: str, value: Any, source: Source
) -> None:
    if name == GROUPS:
        request.subject.groups.extend(_groups(value, context.separator))
        return
    text = _text(value, name)
    if source.kind in _LISTED and "," in text:
        # A client may have sent its own header beside the one that the gateway has set.
        reason = "was sent more than once, or has a comma; the gateway must remove its clients' own"
        raise InvalidArgument.of(Violation(f"context.{name}", reason))
    set_fact(request, name, text)


def _text(value: Any, name: str) -> str:
    if isinstance(value, str):
        _check_text(value, name)
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a Struct holds all numbers as doubles
    if type(value) is int:
        return str(value)
    raise InvalidArgument.of(Violation(f"context.{name}", "must be one text"))


def _check_text(text: str, name: str) -> None:
    """Refuses a text that is too long, or that no message can hold."""
    problem = f"has more than {MAX_TEXT} characters" if len(text) > MAX_TEXT else ""
    if not problem and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            problem = LONE_SURROGATE
    if problem:
        raise InvalidArgument.of(Violation(f"context.{name}", problem))


def _groups(value: Any, separator: str) -> list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        listed = list(islice(value, MAX_GROUPS + 1))
        if not all(isinstance(each, str) for each in listed):
            raise InvalidArgument.of(Violation("context.groups", "must be texts"))
        items = [_text(each, GROUPS) for each in listed]
    else:
        text = _text(value, GROUPS)
        items = text.split(separator, MAX_GROUPS + 1) if separator else [text]
    if len(items) > MAX_GROUPS:
        raise InvalidArgument.of(Violation("context.groups", f"are more than {MAX_GROUPS}"))
    return [group for group in (each.strip() for each in items) if group]
