"""Decision cases: how suites are read, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cases import CasesUnreadable, Suite, find, load
from pdp.cases.schema import FILE, render
from pdp.cases.yaml_source import parse
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
    """Returns the suite that `text` is."""
    file = tmp_path / "suite.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


class TestLoading:
    """What a suite may hold."""

    def test_a_suite(self, tmp_path: Path) -> None:
        """Policies become calls, in the order of the sections."""
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
            ("[]", "a suite is a mapping"),
            ("suite: S", "cases: must be a list"),
            ("suite: S\ncases: []", "cases: must be a list of at least one"),
            (f"cases:{CASE}", "suite: must be the name"),
            (f"suite: S\nsweet: T\ncases:{CASE}", "sweet: unknown key; known are suite"),
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
            ("a: b: c", "mapping values are not allowed"),
            ("suite: S\nsuite: T", 'the key "suite" stands twice'),
            ("1: x", "put it in quotes"),
            ("x: !!python/object:os.system {}", "could not determine a constructor"),
        ],
    )
    def test_no_suite(self, tmp_path: Path, text: str, message: str) -> None:
        """A file that is no suite is refused with what is wrong in it."""
        with pytest.raises(CasesUnreadable, match=message):
            suite_of(tmp_path, text)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ("[]", "a case is a mapping"),
            ("{why: w, expect: {}}", "name: must be one line"),
            ("{name: n, expect: {}}", "why: must be one line"),
            ('{name: n, why: "two\\nlines", expect: {}}', "why: must be one line"),
            ("{name: n, why: w}", "either expect or error"),
            ("{name: n, why: w, expect: {}, error: {code: X}}", "either expect or error"),
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
            ("{name: n, why: w, tenant: a b, expect: {}}", "tenant: must be made of"),
            ("{name: n, why: w, request: [], expect: {}}", "request: must be a mapping"),
            ("{name: n, why: w, before: {}, expect: {}}", "before: must be a list of requests"),
            ("{name: n, why: w, before: [x], expect: {}}", r"before\[0\]: must be a mapping"),
            ("{name: n, why: w, before: [{tol: x}], expect: {}}", r"before\[0\].tol: unknown"),
        ],
    )
    def test_a_case_with_a_fault(self, tmp_path: Path, entry: str, message: str) -> None:
        """A fault in one case fails that case, and leaves the others alone."""
        suite = suite_of(tmp_path, f"suite: S\ncases:{CASE}  - {entry}\n")
        good, bad = suite.cases
        assert good.problems == ()
        with pytest.raises(AssertionError, match=message):
            raise AssertionError("; ".join(bad.problems))

    def test_namesakes(self, tmp_path: Path) -> None:
        """Two cases of one name could not be told apart."""
        suite = suite_of(tmp_path, f"suite: S\ncases:{CASE}{CASE}")
        assert suite.cases[0].problems == ()
        assert suite.cases[1].problems == ("another case has the same name",)

    def test_find(self, tmp_path: Path) -> None:
        """A file is itself, a directory all YAML below it."""
        for name in ("b.yaml", "a.yml", "note.txt", "deep/c.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("")
        found = [file.relative_to(tmp_path).as_posix() for file in find([tmp_path])]
        assert found == ["a.yml", "b.yaml", "deep/c.yaml"]
        assert list(find([tmp_path / "note.txt"])) == [tmp_path / "note.txt"]

    def test_find_nothing(self, tmp_path: Path) -> None:
        """Nothing to run is no success."""
        with pytest.raises(CasesUnreadable, match="has no YAML files"):
            list(find([tmp_path]))
        with pytest.raises(CasesUnreadable, match="does not exist"):
            list(find([tmp_path / "missing"]))


class TestYaml:
    """YAML, strictly."""

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
        """Dates are texts, long texts can be written short."""
        assert parse(text) == value

    @pytest.mark.parametrize(
        "text", ["!repeat x", "!repeat [x]", "!repeat [1, 2]", "!repeat [x, -1]"]
    )
    def test_repeat_misused(self, text: str) -> None:
        """What repeats nothing is refused."""
        with pytest.raises(Exception, match="repeat"):
            parse(text)

    def test_repeat_without_end(self) -> None:
        """A case cannot ask for all the memory there is."""
        with pytest.raises(Exception, match="at most"):
            parse("!repeat [x, 999999999]")


class TestSchema:
    """The schema that editors use."""

    def test_fresh(self) -> None:
        """It says what the contracts say; `python -m pdp.cases.schema` writes it."""
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
    def test_faults(self, case: Mapping[str, Any]) -> None:
        """It refuses what is refused when a suite is read."""
        suite = {"suite": "S", "cases": [case]}
        assert schema_errors(suite, json.loads(FILE.read_text()))

    def test_there_are_many(self) -> None:
        """At least 60 cases ship with the product."""
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
