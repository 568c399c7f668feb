"""Compiles a condition to an object that evaluates it and explains the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pdp.engine.conditions import nodes
from pdp.engine.conditions.checker import errors_in, warnings_in
from pdp.engine.conditions.codegen import Evaluate, generate
from pdp.engine.conditions.diagnostics import invalid_condition, position
from pdp.engine.conditions.explanation import Explainer, Explanation
from pdp.engine.conditions.facts import NO_FACTS
from pdp.engine.conditions.group_names import fold_groups
from pdp.engine.conditions.names import FIELDS, Fact
from pdp.engine.conditions.patterns import TextTests, compile_tests, like_source
from pdp.engine.conditions.times import Clock, clock_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.domain.request import Request
    from pdp.engine.conditions.facts import ConditionFacts
    from pdp.engine.conditions.nodes import Node

CACHE_SIZE: Final = 1024
"""The number of compiled conditions in the cache. A new version of a policy has most of the
conditions of the last one."""

MAX_CACHED_LENGTH: Final = 512
"""The length of the longest source in the cache, in characters. The longest conditions take half a
megabyte each, and they are rare."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition.

    Attributes:
        source: the condition in the policy.
        timezone: the time zone of its times.
        names: the names in it, sorted.
        warnings: the parts that are always unknown, each with line and column.
        evaluate: returns the result for a request, and for the facts that it does not have itself:
            True, False, or None for unknown. An unknown condition does not match. Never raises for
            a request. It is a function, not a method, so that an evaluation costs one call.
    """

    source: str
    timezone: str
    names: tuple[str, ...]
    warnings: tuple[str, ...]
    evaluate: Evaluate = field(compare=False, repr=False)
    _root: Node = field(compare=False, repr=False)
    _clock: Clock = field(compare=False, repr=False)
    _tests: TextTests = field(compare=False, repr=False)

    @property
    def names_facts(self) -> bool:
        """Whether it names something that the request does not have itself, such as `groups`."""
        return any(isinstance(FIELDS.get(name), Fact) for name in self.names)

    @property
    def patterns(self) -> int:
        """The number of patterns of MATCHES and LIKE in it."""
        return len(self._tests)

    def pattern_sources(self) -> Iterator[str]:
        """Yields its patterns as RE2, those of LIKE as well."""
        for operator, pattern in self._tests:
            yield like_source(pattern) if operator == "LIKE" else pattern

    def explain(self, request: Request, facts: ConditionFacts = NO_FACTS) -> Explanation:
        """Returns the result of `evaluate`, and the reasons for all that was unknown."""
        explainer = Explainer(self.source, self._clock, self._tests, request, facts)
        return explainer.explain(self._root)


def compile_condition(source: str, timezone: str = "UTC") -> Condition:
    """Compiles a condition (decide.md, The condition language).

    Args:
        source: the condition.
        timezone: the time zone of hours, dates and times without an offset, as an IANA name.

    Raises:
        InvalidCondition: the condition does not parse, has an unknown name or function, or exceeds
            a bound.
        InvalidArgument: the time zone does not exist.
    """
    compile_source = _compile_cached if len(source) <= MAX_CACHED_LENGTH else _compile
    return compile_source(source, timezone)


def _compile(source: str, timezone: str) -> Condition:
    from pdp.engine.conditions.parser import parse  # noqa: PLC0415 - imports lark only if needed

    clock = clock_of(timezone)
    root = fold_groups(parse(source))
    tests, faults = compile_tests(root)
    faults += errors_in(root)
    if faults:
        raise invalid_condition(source, faults)
    all_nodes = [node for node, _ in nodes.walk(root)]
    return Condition(
        source=source,
        timezone=timezone,
        names=tuple(sorted({node.path for node in all_nodes if isinstance(node, nodes.Name)})),
        warnings=tuple(
            "line {}, column {}: {}".format(*position(source, start), reason)
            for start, reason in sorted(warnings_in(root, clock))
        ),
        evaluate=generate(root, clock, tests),
        _root=root,
        _clock=clock,
        _tests=tests,
    )


_compile_cached: Final = lru_cache(maxsize=CACHE_SIZE)(_compile)
