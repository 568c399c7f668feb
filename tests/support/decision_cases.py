"""The cases of `tests/cases` as parameters of tests, and the check of each on a target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

from pdp.cases import Case, Suite, find, load
from pdp.cases.runner import InstalledSuite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.cases import CaseTarget

SUITES: Final = [load(file) for file in find([Path(__file__).parents[1] / "cases"])]

CaseCheck = Callable[[Suite, Case], None]
"""Checks that a target makes the decision that a case of a suite expects."""

T = TypeVar("T")


def cases() -> Iterator[Any]:
    """Yields each case with its suite, as parameters of a test."""
    for suite in SUITES:
        for case in suite.cases:
            name = f"{suite.file.stem}: {case.name}"
            yield pytest.param(suite, case, id=name.encode("ascii", "replace").decode())


def each_case(test: Callable[..., T]) -> Callable[..., T]:
    """Runs a test for every case, as its arguments `suite` and `case`."""
    marked: Callable[..., T] = pytest.mark.usefixtures("same_day")(
        pytest.mark.parametrize(("suite", "case"), list(cases()))(test)
    )
    return marked


def case_checks(target: CaseTarget) -> Iterator[CaseCheck]:
    """Yields the check of cases on a target; the body of a fixture.

    It installs the policies of a suite once for all its cases, and removes them at the end.
    """
    suites: dict[str, InstalledSuite] = {}

    def check(suite: Suite, case: Case) -> None:
        if suite.name not in suites:
            suites[suite.name] = InstalledSuite(suite, target)
        result = suites[suite.name].run_case(case)
        assert not result.problem, result.problem
        assert not result.differences, result.differences

    yield check
    for suite in suites.values():
        suite.remove()
