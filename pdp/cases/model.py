"""The parts of a suite, and the results of running it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    JsonObject = Mapping[str, Any]


class CaseStep(NamedTuple):
    """One call that puts a policy of a suite in force.

    Attributes:
        rpc: for instance `CreateStaticPolicy`.
        body: its request, as JSON.
    """

    rpc: str
    body: JsonObject


class ExpectedError(NamedTuple):
    """The expected error of a request; `field` is empty for any field."""

    code: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and the expected decision or error.

    Attributes:
        name: unique within the suite.
        why: what the case shows, in one line; empty if the author does not say.
        before: requests that are decided first; their outcome is ignored.
        request: a DecideRequest, as JSON.
        expect: the relevant part of the DecideResponse.
        error: the expected error, in place of `expect`.
        tenant: another tenant for the request, without the suite's policies; empty for the
            suite's own tenant.
        problems: why the case cannot be run; a case with problems fails.
        line: its line in the file of the suite.
    """

    name: str
    why: str
    request: JsonObject = field(default_factory=dict)
    before: tuple[JsonObject, ...] = ()
    expect: JsonObject | None = None
    error: ExpectedError | None = None
    tenant: str = ""
    problems: tuple[str, ...] = ()
    line: int = 1


class SuitePolicies(NamedTuple):
    """Policies that the cases of a suite run under, and that are applied together.

    Attributes:
        source: the file or the directory that they are in.
        document: the policies by section.
        place_of: returns the file and the line of a path in `document`.
    """

    source: Path
    document: JsonObject
    place_of: Callable[[str], tuple[Path, int]]


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file, and the policies that they run under.

    Attributes:
        name: the name of the suite.
        description: what it is about.
        file: the file with the cases.
        steps: the calls that put models and kill switches in force.
        cases: the cases.
        policies: the policies of the tenant; later ones replace earlier ones of the same name.
    """

    name: str
    description: str
    file: Path
    steps: tuple[CaseStep, ...]
    cases: tuple[Case, ...]
    policies: tuple[SuitePolicies, ...] = ()


class Reached(NamedTuple):
    """A policy that matched: the layer, its id and its name."""

    layer: str
    policy_id: str
    name: str


class Difference(NamedTuple):
    """A value that is not as expected, with its path in the response."""

    path: str
    expected: Any
    actual: Any


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a case. The case passed if there are no differences and no problem.

    Attributes:
        case: the case.
        differences: the values that are not as expected.
        problem: why the case has no decision; empty if it has one.
        seconds: how long the decision took.
        reached: the policies that matched.
    """

    case: Case
    differences: tuple[Difference, ...] = ()
    problem: str = ""
    seconds: float = 0.0
    reached: frozenset[Reached] = frozenset()

    @property
    def passed(self) -> bool:
        """Whether the response was as expected."""
        return not (self.differences or self.problem)


class SuiteProblem(NamedTuple):
    """Why the policies of a suite were refused, or a warning, and the place in the file.

    Attributes:
        file: the file.
        line: the line in the file.
        message: the path and the reason.
    """

    file: Path
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The results of a suite.

    Attributes:
        suite: the suite.
        results: the results of its cases; empty if its policies were refused.
        problems: why its policies were refused.
        warnings: what the author of its policies may not expect.
    """

    suite: Suite
    results: tuple[Result, ...]
    problems: tuple[SuiteProblem, ...] = ()
    warnings: tuple[SuiteProblem, ...] = ()

    @property
    def failures(self) -> tuple[Result, ...]:
        """The results of the cases that failed."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def failed(self) -> int:
        """How many cases failed; all of them, if the policies were refused."""
        return len(self.suite.cases) if self.problems else len(self.failures)
