"""Finds the route of a path: path templates of `google.api.http`, and a tree of their segments.

A path is split before it is decoded, so an encoded slash stays within its segment. Literals are
compared with the raw path, so that a gateway and this server cannot read a path differently: an
encoded literal, `//` and dot segments match no route. One slash at the end makes no difference.
A verb of a template (`models:disable`) is a part of its last literal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_VARIABLE: Final = re.compile(r"\{([a-z][a-z0-9_.]*)(?:=(\*\*?))?\}")
_LITERAL: Final = re.compile(r"[A-Za-z0-9._~-]+(?::[a-z]+)?")
_DOTS: Final = re.compile(rb"(?:\.|%2[eE]){1,2}")


@dataclass(frozen=True, slots=True)
class PathVariable:
    """A variable of a template.

    Attributes:
        name: the path of the field that it sets.
        rest: whether it matches all remaining segments, not just one.
    """

    name: str
    rest: bool = False


Segment = str | PathVariable


def parse(template: str) -> tuple[Segment, ...]:
    """Returns the segments of `template`: literals and variables.

    Raises:
        ValueError: this server cannot route the template.
    """
    if not template.startswith("/"):
        raise ValueError(f"{template}: a path begins with /")
    if template == "/":
        return ()
    segments = tuple(_segment(part, template) for part in template[1:].split("/"))
    for segment in segments[:-1]:
        if isinstance(segment, PathVariable) and segment.rest:
            raise ValueError(f"{template}: ** must be the last segment")
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
    """The match of a path.

    Attributes:
        values: the value of each HTTP method.
        variables: the raw text of the template's variables, in order.
    """

    values: dict[str, T]
    variables: tuple[bytes, ...]


class Router(Generic[T]):
    """Finds the values of a path. A literal segment wins over a variable for every method."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._fixed: dict[bytes, RouteMatch[T]] = {}

    def add(self, http_method: str, template: str, value: T) -> None:
        """Adds a value for the paths that `template` describes.

        Raises:
            ValueError: the template is malformed or already has a value for this method.
        """
        node, segments = self._root, parse(template)
        for segment in segments:
            node = _child(node, segment)
        if http_method in node.values:
            raise ValueError(f"{http_method} {template} is served twice")
        node.values[http_method] = value
        if all(isinstance(segment, str) for segment in segments):
            match = RouteMatch(node.values, ())
            self._fixed[template.encode()] = match
            if segments:
                self._fixed[f"{template}/".encode()] = match

    def find(self, path: bytes) -> RouteMatch[T] | None:
        """Returns the match of a raw (still percent-encoded) path; None if there is none."""
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
    node: _Node[T], segments: list[bytes], index: int, variables: tuple[bytes, ...]
) -> RouteMatch[T] | None:
    if index == len(segments):
        return RouteMatch(node.values, variables) if node.values else None
    segment, match = segments[index], None
    literal = node.literals.get(segment)
    if literal is not None:
        match = _find(literal, segments, index + 1, variables)
    if match is None and node.variable is not None:
        match = _find(node.variable, segments, index + 1, (*variables, segment))
    if match is None and node.rest is not None:
        match = RouteMatch(node.rest.values, (*variables, b"/".join(segments[index:])))
    return match
