"""The parts of a suite, and the results of running it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
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
        why: what the case shows, in one line.
        before: requests that are decided first; their outcome is ignored.
        request: a DecideRequest, as JSON.
        expect: the relevant part of the DecideResponse.
        error: the expected error, in place of `expect`.
        tenant: another tenant for the request, without the suite's policies; empty for the
            suite's own tenant.
        problems: why the case cannot be run; a case with problems fails.
    """

    name: str
    why: str
    request: JsonObject = field(default_factory=dict)
    before: tuple[JsonObject, ...] = ()
    expect: JsonObject | None = None
    error: ExpectedError | None = None
    tenant: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file, and the steps that put their policies in force."""

    name: str
    description: str
    file: Path
    steps: tuple[CaseStep, ...]
    cases: tuple[Case, ...]


class Difference(NamedTuple):
    """A value that is not as expected, with its path in the response."""

    path: str
    expected: Any
    actual: Any


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a case. The case passed if there are no differences and no problem."""

    case: Case
    differences: tuple[Difference, ...] = ()
    problem: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the response was as expected."""
        return not (self.differences or self.problem)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The results of a suite."""

    suite: Suite
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        """The results of the cases that failed."""
        return tuple(result for result in self.results if not result.passed)
