"""The results of `pdp test` for other programs: JUnit XML, and annotations of GitHub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pdp.cases import Result, SuiteResult


def failure_lines(result: Result) -> list[str]:
    """Returns why a case failed: its problem, or each value that is not as expected."""
    lines = [result.problem] if result.problem else []
    return lines + [
        f"{each.path}: expected {_json(each.expected)}, got {_json(each.actual)}"
        for each in result.differences
    ]


def write_junit(results: Sequence[SuiteResult], file: Path) -> None:
    """Writes results as JUnit XML.

    Raises:
        OSError: the file cannot be written.
    """
    root = ET.Element("testsuites", name="pdp test")
    for result in results:
        _add_suite(root, result)
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _add_suite(root: ET.Element, result: SuiteResult) -> None:
    suite, file = result.suite, str(result.suite.file)
    element = ET.SubElement(
        root,
        "testsuite",
        name=_xml(suite.name),
        tests=str(len(suite.cases)),
        failures=str(0 if result.problems else len(result.failures)),
        errors=str(len(suite.cases) if result.problems else 0),
        time=f"{sum(each.seconds for each in result.results):.6f}",
        file=file,
    )
    for case in suite.cases if result.problems else ():
        child = ET.SubElement(element, "testcase", name=_xml(case.name), classname=_xml(suite.name))
        lines = [f"{each.file}:{each.line}: {each.message}" for each in result.problems]
        ET.SubElement(child, "error", message="the policies were refused").text = _xml(
            "\n".join(lines)
        )
    for each in result.results:
        child = ET.SubElement(
            element,
            "testcase",
            name=_xml(each.case.name),
            classname=_xml(suite.name),
            time=f"{each.seconds:.6f}",
            file=file,
            line=str(each.case.line),
        )
        if not each.passed:
            lines = failure_lines(each)
            ET.SubElement(child, "failure", message=_xml(lines[0])).text = _xml("\n".join(lines))


def _xml(text: str) -> str:
    """Returns a text without the characters that XML cannot have."""
    return "".join(each if each in "\t\n" or each >= " " else "\ufffd" for each in text)


def github_annotations(results: Iterable[SuiteResult]) -> Iterator[str]:
    """Yields a workflow command of GitHub for each failure and warning, with file and line."""
    for result in results:
        for problem in result.problems:
            yield _annotation(problem.file, problem.line, result.suite.name, problem.message)
        for warning in result.warnings:
            place, title = (warning.file, warning.line), result.suite.name
            yield _annotation(*place, title, warning.message, "warning")
        for each in result.failures:
            title = f"{result.suite.name} > {each.case.name}"
            text = "\n".join(failure_lines(each))
            yield _annotation(result.suite.file, each.case.line, title, text)


def _annotation(file: Path, line: int, title: str, message: str, level: str = "error") -> str:
    place = f"file={_escaped(str(file), ',:')},line={line},title={_escaped(title, ',:')}"
    return f"::{level} {place}::{_escaped(message, '')}"


def _escaped(text: str, others: str) -> str:
    for sign in "%\r\n" + others:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
