"""Decision cases: reading suites, and their problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cases import CasesUnreadable, Suite, find, load
from pdp.cases.schema import FILE, render
from pdp.cases.strict_yaml import parse
from pdp.domain.decision import Decision, Outcome
from tests.support.json_schemas import schema_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

SHIPPED: Final = sorted(Path(__file__).parents[1].joinpath("cases").glob("*.yaml"))

CASE: Final = """
  - name: one
    why: because
    request: {content: {text: hello}}
    expect: {outcome: ALLOW}
"""


def suite_of(tmp_path: Path, text: str) -> Suite:
    """Returns the suite with this text."""
    file = tmp_path / "suite.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


class TestLoading:
    """Suites and their problems."""

    def test_a_suite(self, tmp_path: Path) -> None:
        """Policies become steps, in the order of the sections."""
        suite = suite_of(
            tmp_path,
            "suite: S\ndescription: D\npolicies:\n"
            "  overrides: [{policy_id: sys_x, action: log}]\n"
            "  static_policies: [{name: N, category: custom, pattern: p, action: block}]\n"
            f"cases:{CASE}",
        )
        assert (suite.name, suite.description) == ("S", "D")
        assert [step.rpc for step in suite.steps] == [
            "CreateStaticPolicy",
            "CreateStaticPolicyOverride",
        ]
        assert suite.steps[1].body == {"id": "sys_x", "action": "log"}
        assert suite.cases[0].expect == {"outcome": "ALLOW"}
        assert suite.cases[0].problems == ()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[]", "a suite must be a mapping"),
            ("suite: S", "cases: must be a list"),
            ("suite: S\ncases: []", "cases: must be a list of at least one"),
            (f"cases:{CASE}", "suite: must be the name"),
            (f"suite: S\nsweet: T\ncases:{CASE}", "sweet: unknown key; the known keys are suite"),
            (f"suite: S\ndescription: [x]\ncases:{CASE}", "description: must be a text"),
            (f"suite: S\npolicies: []\ncases:{CASE}", "policies: must be a mapping"),
            (f"suite: S\npolicies: {{static: []}}\ncases:{CASE}", "policies.static: unknown key"),
            (f"suite: S\npolicies: {{overrides: x}}\ncases:{CASE}", "overrides: must be a list"),
            (
                f"suite: S\npolicies: {{static_policies: [{{pattrn: x}}]}}\ncases:{CASE}",
                r"policies.static_policies\[0\].pattrn: unknown field; did you mean pattern",
            ),
            (
                f"suite: S\npolicies: {{overrides: [{{action: 3}}]}}\ncases:{CASE}",
                r"policies.overrides\[0\].action: must be a string",
            ),
            ("a: b: c", "is not YAML: line 1, column 5: mapping values are not allowed here$"),
            ("suite: S\nsuite: T", 'the key "suite" occurs twice'),
            ("1: x", "put it in quotes"),
            ("x: !!python/object:os.system {}", "could not determine a constructor"),
        ],
    )
    def test_refused_files(self, tmp_path: Path, text: str, message: str) -> None:
        """A file that is not a suite is refused, with its problems."""
        with pytest.raises(CasesUnreadable, match=message):
            suite_of(tmp_path, text)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ("[]", "a case must be a mapping"),
            ("{why: w, expect: {}}", "name: must be one line"),
            ("{name: n, expect: {}}", "why: must be one line"),
            ('{name: n, why: "two\\nlines", expect: {}}', "why: must be one line"),
            ("{name: n, why: w}", "must have either expect or error"),
            ("{name: n, why: w, expect: {}, error: {code: X}}", "must have either expect or error"),
            ("{name: n, why: w, expct: {}}", "expct: unknown key"),
            ("{name: n, why: w, expect: {outcoem: BLOCK}}", "expect.outcoem: unknown field"),
            ("{name: n, why: w, expect: {outcome: DENY}}", "expect.outcome"),
            ("{name: n, why: w, expect: {risk: {scor: 3}}}", "expect.risk.scor: unknown field"),
            ("{name: n, why: w, expect: {matches: [{nam: x}]}}", r"expect.matches\[0\].nam"),
            ("{name: n, why: w, expect: {matches: [..., {nam: x}]}}", r"matches\[0\].nam"),
            ("{name: n, why: w, expect: [BLOCK]}", "must be an object"),
            ("{name: n, why: w, error: INVALID}", "error: must be a mapping"),
            ("{name: n, why: w, error: {reason: X}}", "error.reason: unknown key"),
            ("{name: n, why: w, error: {field: x}}", "code must be a text"),
            ("{name: n, why: w, tenant: a b, expect: {}}", "tenant: must consist of"),
            ("{name: n, why: w, request: [], expect: {}}", "request: must be a mapping"),
            ("{name: n, why: w, before: {}, expect: {}}", "before: must be a list of requests"),
            ("{name: n, why: w, before: [x], expect: {}}", r"before\[0\]: must be a mapping"),
            ("{name: n, why: w, before: [{tol: x}], expect: {}}", r"before\[0\].tol: unknown"),
        ],
    )
    def test_a_case_with_a_problem(self, tmp_path: Path, entry: str, message: str) -> None:
        """A problem of one case does not affect the others."""
        suite = suite_of(tmp_path, f"suite: S\ncases:{CASE}  - {entry}\n")
        good, bad = suite.cases
        assert good.problems == ()
        with pytest.raises(AssertionError, match=message):
            raise AssertionError("; ".join(bad.problems))

    def test_duplicate_names(self, tmp_path: Path) -> None:
        """The second case with the same name has a problem."""
        suite = suite_of(tmp_path, f"suite: S\ncases:{CASE}{CASE}")
        assert suite.cases[0].problems == ()
        assert suite.cases[1].problems == ("another case has the same name",)

    def test_find(self, tmp_path: Path) -> None:
        """A directory stands for all YAML files below it."""
        for name in ("b.yaml", "a.yml", "note.txt", "deep/c.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("")
        found = [file.relative_to(tmp_path).as_posix() for file in find([tmp_path])]
        assert found == ["a.yml", "b.yaml", "deep/c.yaml"]
        assert list(find([tmp_path / "note.txt"])) == [tmp_path / "note.txt"]

    def test_find_nothing(self, tmp_path: Path) -> None:
        """A path without cases is an error."""
        with pytest.raises(CasesUnreadable, match="has no YAML files"):
            list(find([tmp_path]))
        with pytest.raises(CasesUnreadable, match="does not exist"):
            list(find([tmp_path / "missing"]))


class TestYaml:
    """The strict form of YAML."""

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("a: 2026-02-26", {"a": "2026-02-26"}),
            ("a: 2026-02-26T03:00:00Z", {"a": "2026-02-26T03:00:00Z"}),
            ('a: !repeat ["xy", 3]', {"a": "xyxyxy"}),
            ('a: !repeat ["x", 0, "end"]', {"a": "end"}),
            ('a: "\\0"', {"a": "\0"}),
            ("a: {b: [1, 2.5, true, null]}", {"a": {"b": [1, 2.5, True, None]}}),
        ],
    )
    def test_values(self, text: str, value: Any) -> None:
        """Dates are texts, and long texts have a short form."""
        assert parse(text) == value

    @pytest.mark.parametrize(
        "text", ["!repeat x", "!repeat [x]", "!repeat [1, 2]", "!repeat [x, -1]"]
    )
    def test_repeat_misused(self, text: str) -> None:
        """An invalid `!repeat` is refused."""
        with pytest.raises(Exception, match="repeat"):
            parse(text)

    def test_repeat_is_bounded(self) -> None:
        """A case cannot use unbounded memory."""
        with pytest.raises(Exception, match="at most"):
            parse("!repeat [x, 999999999]")


class TestSchema:
    """The schema for editors."""

    def test_up_to_date(self) -> None:
        """The file matches the contracts; `python -m pdp.cases.schema` writes it."""
        assert FILE.read_text(encoding="utf-8") == render()

    @pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
    def test_shipped_suites(self, file: Path) -> None:
        """It takes every suite that we ship, and each of their cases can be run."""
        suite = parse(file.read_text(encoding="utf-8"))
        assert schema_errors(suite, json.loads(FILE.read_text())) == []
        assert [case.problems for case in load(file).cases if case.problems] == []

    @pytest.mark.parametrize(
        "case",
        [
            {"name": "n", "why": "w"},
            {"name": "n", "why": "w", "expect": {}, "error": {"code": "X"}},
            {"name": "n", "why": "w", "expect": {"outcoem": "BLOCK"}},
            {"name": "n", "why": "w", "expect": {"outcome": "DENY"}},
            {"name": "n", "why": "w", "request": {"contnet": {}}, "expect": {}},
            {"name": "n", "why": "w", "expect": {}, "extra": 1},
        ],
    )
    def test_invalid_cases(self, case: Mapping[str, Any]) -> None:
        """The schema refuses what `load` refuses."""
        suite = {"suite": "S", "cases": [case]}
        assert schema_errors(suite, json.loads(FILE.read_text()))

    def test_number_of_cases(self) -> None:
        """At least 60 cases exist."""
        assert sum(len(load(file).cases) for file in SHIPPED) >= 60


def test_outcomes_of_the_schema() -> None:
    """The outcomes are those of the engine, from weakest to strongest."""
    expect = json.loads(FILE.read_text())["properties"]["cases"]["items"]["properties"]["expect"]
    assert expect["properties"]["outcome"]["enum"] == [outcome.name for outcome in Outcome]
    assert set(expect["properties"]) == {*Decision._fields, "allowed"} - {
        "layers",
        "faults",
        "counted",
        "plain",
    }
