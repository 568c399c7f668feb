"""Paths: the templates of `google.api.http`, and the tree that finds the one a path matches.

A path is split first and decoded then, so an encoded slash stays within its segment. It is matched
as it stands, so that no other reading of it can pass a gateway by: an encoded literal, `//` and dot
segments match nothing. One slash at the end makes no difference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_VARIABLE: Final = re.compile(r"\{([a-z][a-z0-9_.]*)(?:=(\*\*?))?\}")
_LITERAL: Final = re.compile(r"[A-Za-z0-9._~-]+")
_DOTS: Final = re.compile(rb"(?:\.|%2[eE]){1,2}")


@dataclass(frozen=True, slots=True)
class PathVariable:
    """A variable of a template.

    Attributes:
        name: the path of the field that it sets.
        rest: it takes all segments that are left, not just one.

    """

    name: str
    rest: bool = False


Segment = str | PathVariable


def parse(template: str) -> tuple[Segment, ...]:
    """Returns the segments of `template`: literals and variables.

    Raises:
        ValueError: it is not a template that this server routes.

    """
    if not template.startswith("/"):
        raise ValueError(f"{template}: a path begins with /")
    if template == "/":
        return ()
    segments = tuple(_segment(part, template) for part in template[1:].split("/"))
    for segment in segments[:-1]:
        if isinstance(segment, PathVariable) and segment.rest:
            raise ValueError(f"{template}: ** stands last")
    return segments


def _segment(part: str, template: str) -> Segment:
    variable = _VARIABLE.fullmatch(part)
    if variable:
        return PathVariable(variable[1], rest=variable[2] == "**")
    if _LITERAL.fullmatch(part):
        return part
    raise ValueError(f'{template}: "{part}" is neither a literal nor a {{variable}}')


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[bytes, _Node[T]] = field(default_factory=dict)
    variable: _Node[T] | None = None
    rest: _Node[T] | None = None
    values: dict[str, T] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteMatch(Generic[T]):
    """What a path matches.

    Attributes:
        values: what is served there, by HTTP method.
        variables: the raw text of the template's variables, in order.

    """

    values: dict[str, T]
    variables: tuple[bytes, ...]


class Router(Generic[T]):
    """Finds what is served at a path. A literal segment beats a variable, whatever the method."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._fixed: dict[bytes, RouteMatch[T]] = {}

    def add(self, http_method: str, template: str, value: T) -> None:
        """Serves `value` at the paths that `template` describes.

        Raises:
            ValueError: the template is malformed, or taken.

        """
        node, segments = self._root, parse(template)
        for segment in segments:
            node = _child(node, segment)
        if http_method in node.values:
            raise ValueError(f"{http_method} {template} is served twice")
        node.values[http_method] = value
        if all(isinstance(segment, str) for segment in segments):
            found = RouteMatch(node.values, ())
            self._fixed[template.encode()] = found
            if segments:
                self._fixed[f"{template}/".encode()] = found

    def find(self, path: bytes) -> RouteMatch[T] | None:
        """Returns what the raw (still encoded) path matches, if anything."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        if not path.startswith(b"/"):
            return None
        segments = path[1:].split(b"/")
        if not segments[-1]:
            segments.pop()
        if any(not segment or _DOTS.fullmatch(segment) for segment in segments):
            return None
        return _find(self._root, segments, 0, ())


def _child(node: _Node[T], segment: Segment) -> _Node[T]:
    if isinstance(segment, str):
        return node.literals.setdefault(segment.encode(), _Node())
    if segment.rest:
        node.rest = node.rest or _Node()
        return node.rest
    node.variable = node.variable or _Node()
    return node.variable


def _find(
    node: _Node[T], segments: list[bytes], at: int, variables: tuple[bytes, ...]
) -> RouteMatch[T] | None:
    if at == len(segments):
        return RouteMatch(node.values, variables) if node.values else None
    segment, found = segments[at], None
    literal = node.literals.get(segment)
    if literal is not None:
        found = _find(literal, segments, at + 1, variables)
    if found is None and node.variable is not None:
        found = _find(node.variable, segments, at + 1, (*variables, segment))
    if found is None and node.rest is not None:
        found = RouteMatch(node.rest.values, (*variables, b"/".join(segments[at:])))
    return found
