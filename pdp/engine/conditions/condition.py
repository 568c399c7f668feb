"""A condition, compiled once and evaluated ever after."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import nodes
from pdp.engine.conditions.checker import refusals, warnings
from pdp.engine.conditions.codegen import Evaluate, generate
from pdp.engine.conditions.explanation import Explainer, Explanation
from pdp.engine.conditions.patterns import Tests, tests_in
from pdp.engine.conditions.problems import invalid, position
from pdp.engine.conditions.times import Clock, clock_of

if TYPE_CHECKING:
    from pdp.domain.request import Request
    from pdp.engine.conditions.nodes import Node

CACHED: Final = 1024
"""Compiled conditions that are kept: a policy that is written again brings most of its old ones."""

CACHED_LENGTH: Final = 512
"""Characters. The longest conditions take half a megabyte each, and nobody writes many of them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that is ready to be evaluated.

    Attributes:
        source: as it was written.
        timezone: what its times are in.
        names: the names that it asks for, sorted.
        warnings: what in it is always unknown, each with line and column.
        evaluate: returns what it comes to for a request: True, False, or None for unknown, which
            does not match. Never raises. A function and no method, so that it costs one call.
    """

    source: str
    timezone: str
    names: tuple[str, ...]
    warnings: tuple[str, ...]
    evaluate: Evaluate = field(compare=False, repr=False)
    _root: Node = field(compare=False, repr=False)
    _clock: Clock = field(compare=False, repr=False)
    _tests: Tests = field(compare=False, repr=False)

    def explain(self, request: Request) -> Explanation:
        """Returns what `evaluate` does, and what of it was unknown and why."""
        return Explainer(self.source, self._clock, self._tests, request).explain(self._root)


def compile_condition(source: str, timezone: str = "UTC") -> Condition:
    """Compiles a condition (decide.md, The condition language).

    Args:
        source: the condition.
        timezone: an IANA name; what hours, dates and times without an offset are in.

    Raises:
        InvalidCondition: it does not parse, asks for what there is not, or is out of its bounds.
        InvalidArgument: there is no such time zone.
    """
    return (_kept if len(source) <= CACHED_LENGTH else _compiled)(source, timezone)


def _compiled(source: str, timezone: str) -> Condition:
    from pdp.engine.conditions.parser import parse  # noqa: PLC0415 - lark, once one is written

    clock = clock_of(timezone)
    root = parse(source)
    tests, problems = tests_in(root)
    problems += refusals(root)
    if problems:
        raise invalid(source, problems)
    everything = [node for node, _ in nodes.walk(root)]
    return Condition(
        source=source,
        timezone=timezone,
        names=tuple(sorted({node.path for node in everything if isinstance(node, nodes.Name)})),
        warnings=tuple(
            "line {}, column {}: {}".format(*position(source, start), reason)
            for start, reason in sorted(warnings(root, clock))
        ),
        evaluate=generate(root, clock, tests),
        _root=root,
        _clock=clock,
        _tests=tests,
    )


_kept: Final = lru_cache(maxsize=CACHED)(_compiled)
