"""Decision cases: comparing responses and running suites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cases import Case, ExpectedError, Suite, load, run
from pdp.cases.comparison import ABSENT, differences
from pdp.client import CallFailed
from pdp.errors import Violation
from pdp.policy_files.shape import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

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


class TestComparing:
    """Differences between an expectation and a response."""

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
    def test_a_response_may_have_more_than_is_expected(self, expected: Mapping[str, Any]) -> None:
        """Lists must be complete, unless they contain `...`."""
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
    def test_a_difference_has_a_path_and_both_values(
        self, expected: Mapping[str, Any], difference: tuple[str, Any, Any]
    ) -> None:
        assert list(differences(expected, self.ACTUAL)) == [difference]


class FixedTarget:
    """A target with a fixed response."""

    def __init__(self, answer: Mapping[str, Any] | CallFailed) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def administer(
        self, tenant_id: str, name: str, body: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], int]:
        """Records the call."""
        self.calls.append((tenant_id, name, body))
        return {"policy": {"id": f"pol_{len(self.calls)}"}}, 40 + len(self.calls)

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the response, or raises the error."""
        self.calls.append((tenant_id, "Decide", request))
        if isinstance(self.answer, CallFailed):
            raise self.answer
        return self.answer


def refusal(code: str = "INVALID_ARGUMENT", *fields: str, unavailable: bool = False) -> CallFailed:
    """Returns the error of a refused call."""
    return CallFailed(code, "no", [Violation(f, "bad") for f in fields], unavailable=unavailable)


class TestRunning:
    """Results of cases."""

    def result_of(self, case: Case, answer: Mapping[str, Any] | CallFailed) -> Any:
        """Returns the result of one case."""
        suite = Suite("S", "", Path("s.yaml"), (), (case,))
        return run(suite, FixedTarget(answer)).results[0]

    def test_a_case_passes_if_the_response_is_as_expected(self) -> None:
        result = self.result_of(Case("n", "w", expect={"outcome": "ALLOW"}), {"outcome": "ALLOW"})
        assert result.passed

    def test_a_case_passes_if_the_error_is_as_expected(self) -> None:
        """One of the fields of the error is enough."""
        case = Case("n", "w", error=ExpectedError("INVALID_ARGUMENT", "action"))
        assert self.result_of(case, refusal("INVALID_ARGUMENT", "tool", "action")).passed

    @pytest.mark.parametrize(
        ("answer", "difference"),
        [
            (refusal("TENANT_MISMATCH", "action"), ("error.code", "INVALID_ARGUMENT")),
            (refusal("INVALID_ARGUMENT", "tool"), ("error.field", "action")),
            ({"outcome": "ALLOW"}, ("error", "INVALID_ARGUMENT")),
        ],
    )
    def test_a_case_fails_if_the_error_differs(
        self, answer: Any, difference: tuple[str, str]
    ) -> None:
        """The result has another error, another field, or a decision."""
        result = self.result_of(
            Case("n", "w", error=ExpectedError("INVALID_ARGUMENT", "action")), answer
        )
        assert result.differences[0][:2] == difference

    def test_an_unexpected_error_is_a_problem(self) -> None:
        result = self.result_of(Case("n", "w", expect={}), refusal())
        assert result.problem == "INVALID_ARGUMENT: no"

    def test_an_unavailable_server_fails_the_run(self) -> None:
        """The case has no result."""
        with pytest.raises(CallFailed):
            self.result_of(Case("n", "w", expect={}), refusal("UNAVAILABLE", unavailable=True))

    def test_a_case_with_a_problem_is_not_run(self) -> None:
        """The case fails without a call."""
        target = FixedTarget({})
        suite = Suite("S", "", Path("s.yaml"), (), (Case("n", "w", problems=("typo",)),))
        assert run(suite, target).failures[0].problem == "typo"
        assert target.calls == []

    def test_the_policies_of_a_suite_are_removed_after_the_run(self, tmp_path: Path) -> None:
        """Each suite has a new tenant."""
        suite = suite_of(
            tmp_path,
            "suite: My suite!\npolicies:\n"
            "  overrides: [{policy_id: sys_x, action: log}]\n"
            "  static_policies: [{name: N, category: custom, pattern: p, action: block}]\n"
            "cases:\n"
            "  - {name: a, why: w, expect: {}}\n"
            "  - {name: b, why: w, tenant: other, request: {min_revision: 7}, expect: {}}\n",
        )
        target = FixedTarget({})
        run(suite, target)
        tenants = [tenant_id for tenant_id, _, _ in target.calls]
        assert tenants[0].startswith("test-my-suite-")
        assert tenants == [tenants[0]] * 2 + [f"{tenants[0]}.other"] + [tenants[0]]
        assert [name for _, name, _ in target.calls] == [
            "ImportPolicyFile",
            "Decide",
            "Decide",
            "ImportPolicyFile",
        ]
        assert [body for _, _, body in target.calls[1:3]] == [
            {"min_revision": 41},
            {"min_revision": 7},
        ]
        removal = target.calls[-1][2]
        assert removal["mode"] == "replace"
        assert set(removal["policies"]) == set(SECTIONS)
        assert not any(removal["policies"].values())

    def test_refused_policies_fail_all_cases_and_are_reported_once(self, tmp_path: Path) -> None:
        """The report has the place of the fault."""

        class RefusingTarget(FixedTarget):
            def administer(self, tenant_id: str, name: str, body: Mapping[str, Any]) -> Any:
                raise refusal("INVALID_ARGUMENT", "policies.static_policies[0].pattern")

        suite = suite_of(
            tmp_path,
            "suite: S\npolicies:\n"
            "  static_policies: [{name: N, category: custom, pattern: x, action: block}]\n"
            f"cases:{CASE}",
        )
        result = run(suite, RefusingTarget({}))
        assert (result.results, result.failed) == ((), 1)
        field = "policies.static_policies[0].pattern"
        assert result.problems == ((suite.file, 3, f"{field}: bad"),)


class TestHexadecimalDigits:
    """`<hex>` in an expected text."""

    @pytest.mark.parametrize(
        ("expected", "actual", "same"),
        [
            ("[A_<hex>].", "[A_0af].", True),
            ("[A_<hex>].", "[A_0ag].", False),
            ("[A_<hex>].", "[A_].", False),
            ("[A_<hex>].", "[A_0af]-", False),
            ("<hex:one> <hex:one>", "ab ab", True),
            ("<hex:one> <hex:one>", "ab ac", False),
            ("<hex:one> <hex:two>", "ab ac", True),
            ("<hexagon>", "<hexagon>", True),
        ],
    )
    def test_a_text(self, expected: str, actual: str, same: bool) -> None:
        assert (not list(differences({"text": expected}, {"text": actual}))) is same
