"""What a suite is made of, and what running it comes to."""

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


class Error(NamedTuple):
    """The error that a request must be refused with; `field` is empty for any."""

    code: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and the decision or the error that it must come to.

    Attributes:
        name: unique within its suite.
        why: what is shown by it, in one line.
        before: requests that are decided first, whatever they come to.
        request: a DecideRequest, as JSON.
        expect: the part of the DecideResponse that matters.
        error: in place of `expect`.
        tenant: asks as another tenant, that has none of the suite's policies; empty for the
            suite's own.
        problems: why it cannot be run; such a case fails.

    """

    name: str
    why: str
    request: JsonObject = field(default_factory=dict)
    before: tuple[JsonObject, ...] = ()
    expect: JsonObject | None = None
    error: Error | None = None
    tenant: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file, with the policies that they are judged under."""

    name: str
    description: str
    file: Path
    steps: tuple[CaseStep, ...]
    cases: tuple[Case, ...]


class Difference(NamedTuple):
    """One value that is not as it must be, and where it stands in the answer."""

    path: str
    expected: Any
    actual: Any


@dataclass(frozen=True, slots=True)
class Result:
    """What a case came to. It has passed where there are neither differences nor a problem."""

    case: Case
    differences: tuple[Difference, ...] = ()
    problem: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the answer was as it must be."""
        return not (self.differences or self.problem)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What a suite came to."""

    suite: Suite
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        """The cases that failed."""
        return tuple(result for result in self.results if not result.passed)
