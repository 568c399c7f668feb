"""Decision cases: how suites are read, compared and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest

from pdp.callers import CallFailed
from pdp.cases import Case, CasesUnreadable, Error, Suite, find, load, run
from pdp.cases.compare import ABSENT, differences
from pdp.cases.schema import FILE, render
from pdp.cases.yaml_source import parse
from pdp.domain.decision import Decision, Outcome
from pdp.errors import Violation

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


class TestComparing:
    """What is a difference."""

    ACTUAL: Final[Mapping[str, Any]] = {
        "outcome": "BLOCK",
        "risk": {"score": 90, "level": "critical"},
        "matches": [
            {"policy_id": "p1", "name": "One", "action": "block"},
            {"policy_id": "p2", "name": "Two", "action": "warn"},
            {"policy_id": "p3", "name": "Three", "action": "log"},
        ],
        "warnings": [],
        "incomplete": False,
    }

    @pytest.mark.parametrize(
        "expected",
        [
            {},
            {"outcome": "BLOCK"},
            {"risk": {"score": 90}},
            {"risk": {"score": 90.0}},
            {"matches": ["p1", "Two", {"action": "log"}]},
            {"matches": ["..."]},
            {"matches": ["p1", "..."]},
            {"matches": ["...", "p3"]},
            {"matches": ["...", "p2", "..."]},
            {"matches": ["p1", "...", "p3", "..."]},
            {"warnings": []},
            {"warnings": ["..."]},
            {"redacted_text": None},
        ],
    )
    def test_as_expected(self, expected: Mapping[str, Any]) -> None:
        """A part of the answer is enough; lists are whole, unless `...` stands in them."""
        assert list(differences(expected, self.ACTUAL)) == []

    @pytest.mark.parametrize(
        ("expected", "difference"),
        [
            ({"outcome": "WARN"}, ("outcome", "WARN", "BLOCK")),
            ({"risk": {"score": 1}}, ("risk.score", 1, 90)),
            ({"incomplete": 0}, ("incomplete", 0, False)),
            ({"redacted_text": "x"}, ("redacted_text", "x", ABSENT)),
            ({"outcome": None}, ("outcome", None, "BLOCK")),
            ({"matches": ["p1"]}, ("matches", ["p1"], ["One", "Two", "Three"])),
            ({"matches": ["p1", "p9", "p3"]}, ("matches[1]", "p9", "Two")),
            ({"matches": ["p2", "..."]}, ("matches", ["p2", "..."], ["One", "Two", "Three"])),
            ({"matches": ["...", "p1"]}, ("matches", ["...", "p1"], ["One", "Two", "Three"])),
            ({"warnings": ["p1"]}, ("warnings", ["p1"], [])),
            (
                {"matches": [{"action": "log"}, "p2", "p3"]},
                ("matches[0].action", "log", "block"),
            ),
        ],
    )
    def test_otherwise(self, expected: Mapping[str, Any], difference: tuple[str, Any, Any]) -> None:
        """A difference says where it is, what was expected and what was there."""
        assert list(differences(expected, self.ACTUAL)) == [difference]


class Scripted:
    """A target that answers as it is told."""

    def __init__(self, answer: Mapping[str, Any] | CallFailed) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def administer(
        self, tenant_id: str, name: str, body: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], int]:
        """Notes the call."""
        self.calls.append((tenant_id, name, body))
        return {"policy": {"id": f"pol_{len(self.calls)}"}}, 40 + len(self.calls)

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers as told."""
        self.calls.append((tenant_id, "Decide", request))
        if isinstance(self.answer, CallFailed):
            raise self.answer
        return self.answer


def refused(code: str = "INVALID_ARGUMENT", *fields: str, unavailable: bool = False) -> CallFailed:
    """A call that failed."""
    return CallFailed(code, "no", [Violation(f, "bad") for f in fields], unavailable=unavailable)


class TestRunning:
    """What a case comes to."""

    def judge(self, case: Case, answer: Mapping[str, Any] | CallFailed) -> Any:
        """Returns the result of one case."""
        suite = Suite("S", "", Path("s.yaml"), (), (case,))
        return run(suite, Scripted(answer)).results[0]

    def test_passed(self) -> None:
        """The answer is as expected."""
        result = self.judge(Case("n", "w", expect={"outcome": "ALLOW"}), {"outcome": "ALLOW"})
        assert result.passed

    def test_error_as_expected(self) -> None:
        """The error and one of its fields are as expected."""
        case = Case("n", "w", error=Error("INVALID_ARGUMENT", "action"))
        assert self.judge(case, refused("INVALID_ARGUMENT", "tool", "action")).passed

    @pytest.mark.parametrize(
        ("answer", "difference"),
        [
            (refused("TENANT_MISMATCH", "action"), ("error.code", "INVALID_ARGUMENT")),
            (refused("INVALID_ARGUMENT", "tool"), ("error.field", "action")),
            ({"outcome": "ALLOW"}, ("error", "INVALID_ARGUMENT")),
        ],
    )
    def test_another_error(self, answer: Any, difference: tuple[str, str]) -> None:
        """Another error, another field, or a decision where an error was due."""
        result = self.judge(Case("n", "w", error=Error("INVALID_ARGUMENT", "action")), answer)
        assert result.differences[0][:2] == difference

    def test_an_error_that_was_not_due(self) -> None:
        """A decision was expected."""
        result = self.judge(Case("n", "w", expect={}), refused())
        assert result.problem == "INVALID_ARGUMENT: no"

    def test_a_target_that_is_gone(self) -> None:
        """A server that does not answer fails no case: nothing was learnt of them."""
        with pytest.raises(CallFailed):
            self.judge(Case("n", "w", expect={}), refused("UNAVAILABLE", unavailable=True))

    def test_a_case_with_a_problem_is_not_asked(self) -> None:
        """It has failed before it is run."""
        target = Scripted({})
        suite = Suite("S", "", Path("s.yaml"), (), (Case("n", "w", problems=("typo",)),))
        assert run(suite, target).failures[0].problem == "typo"
        assert target.calls == []

    def test_policies_come_and_go(self, tmp_path: Path) -> None:
        """Each suite has a tenant of its own, and leaves nothing in force."""
        suite = suite_of(
            tmp_path,
            "suite: My suite!\npolicies:\n"
            "  overrides: [{policy_id: sys_x, action: log}]\n"
            "  static_policies: [{name: N, category: custom, pattern: p, action: block}]\n"
            "cases:\n"
            "  - {name: a, why: w, expect: {}}\n"
            "  - {name: b, why: w, tenant: other, request: {min_revision: 7}, expect: {}}\n",
        )
        target = Scripted({})
        run(suite, target)
        tenants = [tenant_id for tenant_id, _, _ in target.calls]
        assert tenants[0].startswith("test-my-suite-")
        assert tenants == [tenants[0]] * 3 + [f"{tenants[0]}.other"] + [tenants[0]] * 2
        assert [(name, body) for _, name, body in target.calls[2:]] == [
            ("Decide", {"min_revision": 42}),
            ("Decide", {"min_revision": 7}),
            ("DeleteStaticPolicyOverride", {"id": "sys_x"}),
            ("DeleteStaticPolicy", {"id": "pol_1"}),
        ]

    def test_policies_that_are_refused(self, tmp_path: Path) -> None:
        """All cases of the suite fail, and say why."""

        class Refusing(Scripted):
            def administer(self, tenant_id: str, name: str, body: Mapping[str, Any]) -> Any:
                raise refused("INVALID_PATTERN")

        suite = suite_of(
            tmp_path,
            "suite: S\npolicies:\n"
            "  static_policies: [{name: N, category: custom, pattern: '(', action: block}]\n"
            f"cases:{CASE}",
        )
        (result,) = run(suite, Refusing({})).results
        assert result.problem == "the suite's policies were refused: no"


class TestSchema:
    """The schema that editors use."""

    def test_fresh(self) -> None:
        """It says what the contracts say; `python -m pdp.cases.schema` writes it."""
        assert FILE.read_text(encoding="utf-8") == render()

    @pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
    def test_shipped_suites(self, file: Path) -> None:
        """It takes every suite that we ship, and each of their cases can be run."""
        jsonschema.validate(parse(file.read_text(encoding="utf-8")), json.loads(FILE.read_text()))
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
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"suite": "S", "cases": [case]}, json.loads(FILE.read_text()))

    def test_there_are_many(self) -> None:
        """At least 60 cases ship with the product."""
        assert sum(len(load(file).cases) for file in SHIPPED) >= 60


INTERNAL: Final = {"layers", "faults", "counted"}
"""What of a decision is not for callers."""


def test_outcomes_of_the_schema() -> None:
    """The outcomes are those of the engine, from weakest to strongest."""
    expect = json.loads(FILE.read_text())["properties"]["cases"]["items"]["properties"]["expect"]
    assert expect["properties"]["outcome"]["enum"] == [outcome.name for outcome in Outcome]
    assert set(expect["properties"]) == {*Decision._fields, "allowed"} - INTERNAL
