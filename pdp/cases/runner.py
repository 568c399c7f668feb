"""Runs suites on a target."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Final

from pdp.cases.comparison import ABSENT, differences
from pdp.cases.model import Case, Difference, Result, Suite, SuiteResult
from pdp.cases.sections import SECTIONS
from pdp.client.base import CallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.cases.model import JsonObject
    from pdp.cases.targets import CaseTarget

_BY_CREATE: Final = {section.create: section for section in SECTIONS.values()}
_MAX_NAME: Final = 60


def run(suite: Suite, target: CaseTarget) -> SuiteResult:
    """Runs a suite's cases under its policies, and removes the policies afterwards.

    The suite gets a new tenant.

    Raises:
        CallFailed: the target cannot be reached.
    """
    installed = InstalledSuite(suite, target)
    try:
        return SuiteResult(suite, tuple(installed.results()))
    finally:
        installed.remove()


class InstalledSuite:
    """A suite with its policies in force on a target."""

    def __init__(self, suite: Suite, target: CaseTarget) -> None:
        """Puts the policies in force.

        Raises:
            CallFailed: the target cannot be reached.
        """
        self.suite = suite
        self.tenant_id = _new_tenant(suite.name)
        self._target = target
        self._removals: list[tuple[str, JsonObject]] = []
        self._revision = 0
        self._problem = ""
        try:
            self._install()
        except CallFailed as failure:
            if failure.unavailable:
                raise
            self._problem = f"the suite's policies were refused: {failure.message}"

    def _install(self) -> None:
        earlier: list[tuple[str, JsonObject]] = []
        for name, entry in self.suite.steps:
            section = _BY_CREATE[name]
            body = section.resolve(entry, earlier)
            answer, revision = self._target.administer(self.tenant_id, name, body)
            self._removals.append((section.delete, section.identify(body, answer)))
            self._revision = max(self._revision, revision)
            earlier.append((name, answer))

    def remove(self) -> None:
        """Removes the policies, the last one first."""
        while self._removals:
            name, body = self._removals.pop()
            self._target.administer(self.tenant_id, name, body)

    def results(self) -> Iterator[Result]:
        """Yields the result of each case."""
        for case in self.suite.cases:
            yield self.run_case(case)

    def run_case(self, case: Case) -> Result:
        """Returns the result of a case.

        Raises:
            CallFailed: the target cannot be reached.
        """
        problem = "; ".join(filter(None, (*case.problems, self._problem)))
        if problem:
            return Result(case, problem=problem)
        tenant_id = f"{self.tenant_id}.{case.tenant}" if case.tenant else self.tenant_id
        # Another worker may answer, which must have loaded the policies.
        request = {"min_revision": self._revision, **case.request}
        begin = time.perf_counter()
        try:
            for earlier in case.before:
                self._target.decide(tenant_id, {"min_revision": self._revision, **earlier})
            begin = time.perf_counter()
            answer = self._target.decide(tenant_id, request)
        except CallFailed as failure:
            return _failure_result(case, failure, time.perf_counter() - begin)
        seconds = time.perf_counter() - begin
        if case.error is not None:
            brief = {key: answer.get(key) for key in ("outcome", "reason_code")}
            return Result(case, (Difference("error", case.error.code, brief),), seconds=seconds)
        return Result(case, tuple(differences(case.expect, answer)), seconds=seconds)


def _failure_result(case: Case, failure: CallFailed, seconds: float) -> Result:
    if case.error is None:
        if failure.unavailable:
            raise failure
        return Result(case, problem=f"{failure.code}: {failure.message}", seconds=seconds)
    unexpected: list[Difference] = []
    if failure.code != case.error.code:
        unexpected.append(Difference("error.code", case.error.code, failure.code))
    fields = [field for field, _ in failure.details]
    if case.error.field and case.error.field not in fields:
        unexpected.append(Difference("error.field", case.error.field, ", ".join(fields) or ABSENT))
    return Result(case, tuple(unexpected), seconds=seconds)


def _new_tenant(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_MAX_NAME]
    return f"test-{slug}-{secrets.token_hex(6)}"
