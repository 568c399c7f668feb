"""Runs `pdp test`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.cases import (
    CasesUnreadable,
    ClientTarget,
    SuiteResult,
    find,
    find_skipped,
    is_policy_file,
    load,
    run,
)
from pdp.cases.coverage import coverage_of
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import exit_on_failure, print_error
from pdp.cli.output.case_reports import github_annotations, write_junit
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.client.remote import RemoteClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.cases import Difference, Result, Suite
    from pdp.cases.coverage import Coverage, CoveredPolicy
    from pdp.cases.model import SuiteProblem
    from pdp.cli.options.policy_target import ServerOptions

MAX_SKIPPED: Final = 20
"""The most skipped files that the summary names."""


class Outputs(NamedTuple):
    """What the command writes beside its report.

    Attributes:
        junit: the file for JUnit XML; None for none.
        github: whether failures are printed as annotations of GitHub.
        coverage: whether the policies that no case reached are shown.
        as_json: whether the report is JSON.
    """

    junit: Path | None
    github: bool
    coverage: bool
    as_json: bool


def test(paths: Sequence[Path], target: ServerOptions, outputs: Outputs) -> None:
    """Runs the suites in `paths`, prints the results, and exits with 0 if all cases passed."""
    suites, skipped = _load(paths)
    begin = time.perf_counter()
    with (
        exit_on_failure(as_json=outputs.as_json),
        _open_target(target) as decider,
    ):
        results = [run(suite, decider) for suite in suites]
    seconds = time.perf_counter() - begin
    coverage = coverage_of(results) if outputs.coverage else None
    if outputs.as_json:
        print_json({**_as_json(results, coverage), "skipped": skipped})
    else:
        _show(results, seconds, skipped, coverage)
    if outputs.github:
        print(*github_annotations(results), sep="\n")
    if outputs.junit is not None:
        try:
            write_junit(results, outputs.junit)
        except OSError as error:
            print_error(f"--junit: {outputs.junit} cannot be written: {error.strerror}")
            sys.exit(Exit.CONFIG)
    sys.exit(Exit.NO if any(result.failed for result in results) else Exit.OK)


def _load(paths: Sequence[Path]) -> tuple[list[Suite], list[str]]:
    """Returns the suites and the names of skipped files; exits if a suite cannot be read.

    In a directory, policy files without cases are no suites.
    """
    suites: list[Suite] = []
    skipped = [str(file) for file in find_skipped(paths)]
    problems: list[str] = []
    try:
        files = list(find(paths))
    except CasesUnreadable as error:
        print_error(str(error))
        sys.exit(Exit.USAGE)
    for file in files:
        if file not in paths and is_policy_file(file):
            continue
        try:
            suites.append(load(file))
        except CasesUnreadable as error:
            problems.append(str(error))
    if problems:
        print_error("\n".join(problems))
        sys.exit(Exit.USAGE)
    return suites, skipped


def _show(
    results: Sequence[SuiteResult],
    seconds: float,
    skipped: Sequence[str],
    coverage: Coverage | None,
) -> None:
    for result in results:
        if result.problems:
            places = [(f"{each.file}:{each.line}", each.message) for each in result.problems]
            show(Report(f"REFUSED the policies of {result.suite.name}", "bold red", places))
            print()
        for failure in result.failures:
            show(_failure(result.suite, failure))
            print()
    show(_summary(results, seconds, skipped, coverage))


@contextmanager
def _open_target(target: ServerOptions) -> Iterator[ClientTarget]:
    if target.server is not None:
        with RemoteClient(
            target.server,
            timeout_s=target.timeout,
            tls=target.client_tls(),
            credential=target.credential(),
        ) as remote:
            yield ClientTarget(remote)
        return
    from pdp.client.local import LocalClient  # noqa: PLC0415 - not needed if there is a server
    from pdp.logs import logging_to_stderr  # noqa: PLC0415 - as above

    with (
        logging_to_stderr("warning"),
        TemporaryDirectory(prefix="pdp-test-") as directory,
        LocalClient(f"sqlite:///{directory}/pdp.db") as local,
    ):
        yield ClientTarget(local)


def _failure(suite: Suite, failure: Result) -> Report:
    case = failure.case
    facts = [("file", f"{suite.file}:{case.line}")]
    if case.why:
        facts.append(("why", case.why))
    if failure.problem:
        facts.append(("problem", failure.problem))
    for each in failure.differences:
        facts += _diff(each)
    return Report(f"FAILED {suite.name} > {case.name}", "bold red", facts)


def _diff(difference: Difference) -> list[tuple[str, str]]:
    return [
        (f"- {difference.path}", _value(difference.expected)),
        (f"+ {difference.path}", _value(difference.actual)),
    ]


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _summary(
    results: Sequence[SuiteResult],
    seconds: float,
    skipped: Sequence[str],
    coverage: Coverage | None,
) -> Report:
    failed = sum(result.failed for result in results)
    count = sum(len(result.suite.cases) for result in results)
    rows = [
        [
            result.suite.name,
            str(len(result.suite.cases) - result.failed),
            str(result.failed),
            f"{1000 * sum(each.seconds for each in result.results):.1f} ms",
        ]
        for result in results
    ]
    return Report(
        headline=f"{count - failed} passed, {failed} failed, in {seconds:.2f} s",
        style="bold red" if failed else "bold green",
        facts=[
            *_warning_facts(results),
            *_coverage_facts(coverage),
            *(("skipped", each) for each in _skipped(skipped)),
        ],
        tables=[
            Table("Suites", ("suite", "passed", "failed", "time"), rows),
            Table("Not reached by any case", ("place", "section", "policy"), _unreached(coverage)),
        ],
    )


def _warning_facts(results: Sequence[SuiteResult]) -> list[tuple[str, str]]:
    """Returns the warnings about policies; once, if several suites have them in one file."""
    warnings = dict.fromkeys(
        f"{each.file.resolve()}:{each.line}: {each.message}"
        for result in results
        for each in result.warnings
    )
    return [("warning", each) for each in warnings]


def _coverage_facts(coverage: Coverage | None) -> list[tuple[str, str]]:
    if coverage is None:
        return []
    count = len(coverage.policies)
    reached = count - len(coverage.unreached)
    return [("coverage", f"{coverage.share:.0%}, {reached} of {count} policies")]


def _unreached(coverage: Coverage | None) -> list[list[str]]:
    policies = coverage.unreached if coverage is not None else ()
    return [[_place(each), each.section, each.name] for each in policies]


def _place(policy: CoveredPolicy) -> str:
    file = policy.file
    with suppress(ValueError):
        file = file.relative_to(Path.cwd())
    return f"{file}:{policy.line}"


def _skipped(files: Sequence[str]) -> list[str]:
    """Returns the lines that name the files that are not suites."""
    lines = [f"{file} (its name does not end in .yaml or .yml)" for file in files[:MAX_SKIPPED]]
    more = len(files) - MAX_SKIPPED
    return [*lines, f"and {more} more; --json names all"] if more > 0 else lines


def _as_json(results: Sequence[SuiteResult], coverage: Coverage | None) -> dict[str, Any]:
    failed = sum(result.failed for result in results)
    answer: dict[str, Any] = {
        "passed": sum(len(result.suite.cases) for result in results) - failed,
        "failed": failed,
        "suites": [
            {
                "suite": result.suite.name,
                "file": str(result.suite.file),
                "problems": [_problem_as_json(each) for each in result.problems],
                "warnings": [_problem_as_json(each) for each in result.warnings],
                "cases": [_case_as_json(each) for each in result.results],
            }
            for result in results
        ],
    }
    if coverage is not None:
        answer["coverage"] = {
            "policies": len(coverage.policies),
            "unreached": [
                {"place": _place(each), "section": each.section, "name": each.name}
                for each in coverage.unreached
            ],
        }
    return answer


def _problem_as_json(problem: SuiteProblem) -> dict[str, Any]:
    return {"file": str(problem.file), "line": problem.line, "message": problem.message}


def _case_as_json(result: Result) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "line": result.case.line,
        "passed": result.passed,
        "seconds": round(result.seconds, 6),
        "problem": result.problem or None,
        "differences": [each._asdict() for each in result.differences],
    }
