"""Runs suites on a target."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Final

from pdp.cases.comparison import ABSENT, differences
from pdp.cases.model import (
    Case,
    Difference,
    Reached,
    Result,
    Suite,
    SuiteProblem,
    SuiteResult,
)
from pdp.cases.sections import SECTIONS
from pdp.client.base import CallFailed
from pdp.policy_files.secrets import STAND_IN, resolve
from pdp.policy_files.shape import SECTIONS as FILE_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.cases.model import JsonObject, SuitePolicies
    from pdp.cases.targets import CaseTarget

_BY_CREATE: Final = {section.create: section for section in SECTIONS.values()}
_MAX_NAME: Final = 60
_IMPORT: Final = "ImportPolicyFile"
_NOTHING: Final[JsonObject] = {"mode": "replace", "policies": {key: [] for key in FILE_SECTIONS}}
"""The import that removes all policies of a tenant."""


def run(suite: Suite, target: CaseTarget) -> SuiteResult:
    """Runs a suite's cases under its policies, and removes the policies afterwards.

    The suite gets a new tenant.

    Raises:
        CallFailed: the target cannot be reached.
    """
    installed = InstalledSuite(suite, target)
    try:
        if installed.problems:
            return SuiteResult(suite, (), installed.problems)
        return SuiteResult(suite, tuple(installed.results()), warnings=installed.warnings)
    finally:
        installed.remove()


class InstalledSuite:
    """A suite with its policies in force on a target.

    Attributes:
        suite: the suite.
        tenant_id: its tenant.
        problems: why its policies were refused; empty if they are in force.
        warnings: what the author of its policies may not expect.
    """

    def __init__(self, suite: Suite, target: CaseTarget) -> None:
        """Puts the policies in force.

        Raises:
            CallFailed: the target cannot be reached.
        """
        self.suite = suite
        self.tenant_id = _new_tenant(suite.name)
        self.problems: tuple[SuiteProblem, ...] = ()
        self.warnings: tuple[SuiteProblem, ...] = ()
        self._target = target
        self._removals: list[tuple[str, JsonObject]] = []
        self._revision = 0
        try:
            self._install_platform()
        except CallFailed as failure:
            if failure.unavailable:
                raise
            self.problems = (SuiteProblem(suite.file, 1, failure.message),)
        for source in suite.policies:
            if not self.problems:
                self._import(source)

    def _install_platform(self) -> None:
        earlier: list[tuple[str, JsonObject]] = []
        for name, entry in self.suite.steps:
            section = _BY_CREATE[name]
            body = section.resolve(entry, earlier)
            answer, revision = self._target.administer(self.tenant_id, name, body)
            self._removals.append((section.delete, section.identify(body, answer)))
            self._revision = max(self._revision, revision)
            earlier.append((name, answer))

    def _import(self, source: SuitePolicies) -> None:
        """Imports policies; notes why, if they are refused."""
        # No alert of a test is sent, so references to secrets need no values.
        body = {"policies": resolve(source.document, STAND_IN)}
        try:
            answer, revision = self._target.administer(self.tenant_id, _IMPORT, body)
        except CallFailed as failure:
            if failure.unavailable:
                raise
            self.problems = tuple(_problems(source, failure))
            return
        if (_IMPORT, _NOTHING) not in self._removals:
            self._removals.append((_IMPORT, _NOTHING))
        self._revision = max(self._revision, revision)
        self.warnings += tuple(_warnings(source, answer))

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
        problem = "; ".join((*case.problems, *(each.message for each in self.problems)))
        if problem:
            return Result(case, problem=problem)
        tenant_id = f"{self.tenant_id}.{case.tenant}" if case.tenant else self.tenant_id
        # Another worker may answer, which must have loaded the policies.
        request = {"min_revision": self._revision, **case.request}
        begin = time.perf_counter()
        reached: set[Reached] = set()
        try:
            for earlier in case.before:
                asked = {"min_revision": self._revision, **earlier}
                reached.update(_reached(self._target.decide(tenant_id, asked)))
            begin = time.perf_counter()
            answer = self._target.decide(tenant_id, request)
        except CallFailed as failure:
            return _failure_result(case, failure, time.perf_counter() - begin)
        seconds = time.perf_counter() - begin
        if case.error is not None:
            brief = {key: answer.get(key) for key in ("outcome", "reason_code")}
            return Result(case, (Difference("error", case.error.code, brief),), seconds=seconds)
        reached.update(_reached(answer))
        found = tuple(differences(case.expect, answer))
        return Result(case, found, seconds=seconds, reached=frozenset(reached))


def _reached(answer: JsonObject) -> Iterator[Reached]:
    """Yields the policies that matched."""
    for match in answer.get("matches") or ():
        yield Reached(match.get("layer", ""), match.get("policy_id", ""), match.get("name", ""))


def _warnings(source: SuitePolicies, answer: JsonObject) -> Iterator[SuiteProblem]:
    """Yields the warnings about policies, each with the place in the file."""
    for each in answer.get("warnings") or ():
        file, line = source.place_of(each["field"])
        yield SuiteProblem(file, line, f"{each['field']}: {each['message']}")


def _problems(source: SuitePolicies, failure: CallFailed) -> Iterator[SuiteProblem]:
    """Yields why policies were refused, each with the place in the file."""
    for field, reason in failure.details:
        file, line = source.place_of(field)
        yield SuiteProblem(file, line, f"{field}: {reason}")
    if not failure.details:
        yield SuiteProblem(source.source, 1, failure.message)


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
