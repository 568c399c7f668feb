"""Runs `pdp test`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from pdp.cases import CasesUnreadable, ClientTarget, SuiteResult, find, find_skipped, load, run
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import exit_on_failure, print_error
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.client.remote import RemoteClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.cases import Difference, Result, Suite
    from pdp.cli.options.target import CredentialOptions, TlsOptions

MAX_SKIPPED: Final = 20
"""The most skipped files that the summary names."""


def test(
    paths: Sequence[Path],
    server: str | None,
    timeout_s: float,
    tls: TlsOptions,
    caller: CredentialOptions,
    *,
    as_json: bool,
) -> None:
    """Runs the suites in `paths`, prints the results, and exits with 0 if all cases passed."""
    try:
        suites = [load(file) for file in find(paths)]
        skipped = [str(file) for file in find_skipped(paths)]
    except CasesUnreadable as error:
        print_error(str(error))
        sys.exit(Exit.USAGE)
    begin = time.perf_counter()
    with exit_on_failure(as_json=as_json), _open_target(server, timeout_s, tls, caller) as target:
        results = [run(suite, target) for suite in suites]
    seconds = time.perf_counter() - begin
    if as_json:
        print_json({**_as_json(results), "skipped": skipped})
    else:
        for result in results:
            for failure in result.failures:
                show(_failure(result.suite, failure))
                print()
        show(_summary(results, seconds, skipped))
    sys.exit(Exit.NO if any(result.failures for result in results) else Exit.OK)


@contextmanager
def _open_target(
    server: str | None, timeout_s: float, tls: TlsOptions, caller: CredentialOptions
) -> Iterator[ClientTarget]:
    if server is not None:
        with RemoteClient(
            server, timeout_s=timeout_s, tls=tls.client_tls(), credential=caller.credential()
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
    facts = [("file", str(suite.file))]
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


def _summary(results: Sequence[SuiteResult], seconds: float, skipped: Sequence[str]) -> Report:
    failed = sum(len(result.failures) for result in results)
    count = sum(len(result.results) for result in results)
    rows = [
        [
            result.suite.name,
            str(len(result.results) - len(result.failures)),
            str(len(result.failures)),
            f"{1000 * sum(each.seconds for each in result.results):.1f} ms",
        ]
        for result in results
    ]
    return Report(
        headline=f"{count - failed} passed, {failed} failed, in {seconds:.2f} s",
        style="bold red" if failed else "bold green",
        facts=[("skipped", each) for each in _skipped(skipped)],
        tables=[Table("Suites", ("suite", "passed", "failed", "time"), rows)],
    )


def _skipped(files: Sequence[str]) -> list[str]:
    """Returns the lines that name the files that are not suites."""
    lines = [f"{file} (its name does not end in .yaml or .yml)" for file in files[:MAX_SKIPPED]]
    more = len(files) - MAX_SKIPPED
    return [*lines, f"and {more} more; --json names all"] if more > 0 else lines


def _as_json(results: Sequence[SuiteResult]) -> dict[str, Any]:
    failed = sum(len(result.failures) for result in results)
    return {
        "passed": sum(len(result.results) for result in results) - failed,
        "failed": failed,
        "suites": [
            {
                "suite": result.suite.name,
                "file": str(result.suite.file),
                "cases": [_case_as_json(each) for each in result.results],
            }
            for result in results
        ],
    }


def _case_as_json(result: Result) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "passed": result.passed,
        "seconds": round(result.seconds, 6),
        "problem": result.problem or None,
        "differences": [each._asdict() for each in result.differences],
    }
