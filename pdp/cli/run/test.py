"""What `pdp test` does."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pdp.cases import CasesUnreadable, ClientTarget, SuiteResult, find, load, run
from pdp.cli.asking import ending
from pdp.cli.exit_codes import Exit, complain
from pdp.cli.report import Report, Table, show
from pdp.client.remote import RemoteClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.cases import Difference, Result, Suite
    from pdp.cli.options import CredentialOptions, TlsOptions


def test(
    paths: Sequence[Path],
    server: str | None,
    timeout_s: float,
    tls: TlsOptions,
    who: CredentialOptions,
    *,
    as_json: bool,
) -> None:
    """Runs the suites that `paths` name, shows what they come to, and exits."""
    try:
        suites = [load(file) for file in find(paths)]
    except CasesUnreadable as error:
        complain(str(error))
        sys.exit(Exit.USAGE)
    begin = time.perf_counter()
    with ending(as_json=as_json), _target(server, timeout_s, tls, who) as target:
        results = [run(suite, target) for suite in suites]
    seconds = time.perf_counter() - begin
    if as_json:
        print(json.dumps(_as_json(results), ensure_ascii=False, indent=2))
    else:
        for result in results:
            for failure in result.failures:
                show(_failure(result.suite, failure))
                print()
        show(_summary(results, seconds))
    sys.exit(Exit.NO if any(result.failures for result in results) else Exit.OK)


@contextmanager
def _target(
    server: str | None, timeout_s: float, tls: TlsOptions, who: CredentialOptions
) -> Iterator[ClientTarget]:
    if server is not None:
        with RemoteClient(
            server, timeout_s=timeout_s, tls=tls.client_tls(), credential=who.credential()
        ) as remote:
            yield ClientTarget(remote)
        return
    from pdp.client.local import LocalClient  # noqa: PLC0415 - not where a server is asked
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


def _summary(results: Sequence[SuiteResult], seconds: float) -> Report:
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
        tables=[Table("Suites", ("suite", "passed", "failed", "deciding"), rows)],
    )


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
