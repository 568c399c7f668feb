"""Decision cases: reading suites, and their problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cases import CasesUnreadable, Suite, find, load
from pdp.cases.schema import FILE, render
from pdp.domain.decision import OUTCOMES, Decision
from pdp.policy_files.strict_yaml import parse
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

    def test_models_become_steps_and_other_policies_a_document(self, tmp_path: Path) -> None:
        suite = suite_of(
            tmp_path,
            "suite: S\ndescription: D\npolicies:\n"
            "  kill_switch: [{model: p/m, reason: other}]\n"
            "  models: [{provider: p, model_id: m, display_name: M, tier: small}]\n"
            "  overrides: [{policy_id: sys_x, action: log}]\n"
            f"cases:{CASE}",
        )
        assert (suite.name, suite.description) == ("S", "D")
        assert [step.rpc for step in suite.steps] == ["CreateModelConfig", "DisableModel"]
        assert suite.steps[1].body == {"model_config_id": "p/m", "reason": "other"}
        (policies,) = suite.policies
        assert policies.document == {"overrides": [{"policy_id": "sys_x", "action": "log"}]}
        assert suite.cases[0].expect == {"outcome": "ALLOW"}
        assert suite.cases[0].problems == ()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[]", "a suite must be a mapping"),
            ("suite: S", "cases: must be a list"),
            ("suite: S\ncases: []", "cases: must be a list of at least one"),
            (f"suite: ''\ncases:{CASE}", "suite: must be a text"),
            (f"suite: S\nsweet: T\ncases:{CASE}", "sweet: unknown key; the known keys are suite"),
            (f"suite: S\ndescription: [x]\ncases:{CASE}", "description: must be a text"),
            (f"suite: S\npolicies: [1]\ncases:{CASE}", "policies: must be a mapping"),
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
    def test_an_invalid_file_is_refused(self, tmp_path: Path, text: str, message: str) -> None:
        """The error has all problems of the file."""
        with pytest.raises(CasesUnreadable, match=message):
            suite_of(tmp_path, text)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ("[]", "a case must be a mapping"),
            ("{name: '', expect: {}}", "name: must be one line"),
            ("{name: n, why: [], expect: {}}", "why: must be one line"),
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
    def test_an_invalid_case_does_not_affect_other_cases(
        self, tmp_path: Path, entry: str, message: str
    ) -> None:
        suite = suite_of(tmp_path, f"suite: S\ncases:{CASE}  - {entry}\n")
        good, bad = suite.cases
        assert good.problems == ()
        with pytest.raises(AssertionError, match=message):
            raise AssertionError("; ".join(bad.problems))

    def test_a_duplicate_name_is_a_problem(self, tmp_path: Path) -> None:
        """The second case with the name has the problem."""
        suite = suite_of(tmp_path, f"suite: S\ncases:{CASE}{CASE}")
        assert suite.cases[0].problems == ()
        assert suite.cases[1].problems == ("another case has the same name",)

    def test_a_directory_stands_for_its_yaml_files(self, tmp_path: Path) -> None:
        """This includes files in subdirectories."""
        for name in ("b.yaml", "a.yml", "note.txt", "deep/c.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("")
        files = [file.relative_to(tmp_path).as_posix() for file in find([tmp_path])]
        assert files == ["a.yml", "b.yaml", "deep/c.yaml"]
        assert list(find([tmp_path / "note.txt"])) == [tmp_path / "note.txt"]

    def test_a_path_without_cases_is_an_error(self, tmp_path: Path) -> None:
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
    def test_dates_are_texts_and_repeat_makes_long_texts(self, text: str, value: Any) -> None:
        assert parse(text) == value

    @pytest.mark.parametrize(
        "text", ["!repeat x", "!repeat [x]", "!repeat [1, 2]", "!repeat [x, -1]"]
    )
    def test_an_invalid_repeat_is_refused(self, text: str) -> None:
        with pytest.raises(Exception, match="repeat"):
            parse(text)

    def test_repeat_is_bounded(self) -> None:
        """A case cannot use unbounded memory."""
        with pytest.raises(Exception, match="at most"):
            parse("!repeat [x, 999999999]")


class TestSchema:
    """The schema for editors."""

    def test_the_schema_matches_the_contracts(self) -> None:
        """`python -m pdp.cases.schema` writes the file."""
        assert FILE.read_text(encoding="utf-8") == render()

    @pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
    def test_the_schema_accepts_every_suite_of_the_project(self, file: Path) -> None:
        """Each case of the suites can also be run."""
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
    def test_the_schema_refuses_invalid_cases(self, case: Mapping[str, Any]) -> None:
        """`load` refuses the same cases."""
        suite = {"suite": "S", "cases": [case]}
        assert schema_errors(suite, json.loads(FILE.read_text()))

    def test_there_are_at_least_60_cases(self) -> None:
        assert sum(len(load(file).cases) for file in SHIPPED) >= 60


def test_the_schema_has_the_outcomes_of_the_engine() -> None:
    expect = json.loads(FILE.read_text())["properties"]["cases"]["items"]["properties"]["expect"]
    assert set(expect["properties"]["outcome"]["enum"]) == {outcome.name for outcome in OUTCOMES}
    of_payload = {"payload_format", "redacted_payload", "unjudged"}
    assert set(expect["properties"]) == {*Decision._fields, "allowed", "stale", *of_payload} - {
        "payload",
        "layers",
        "faults",
        "counted",
        "plain",
        "holds",
        "held",
        "inputs",
        "scan",
        "unmatched",
    }
