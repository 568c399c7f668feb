"""`pdp conditions check` and `pdp conditions eval`."""

from __future__ import annotations

import io
import json
import sys
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pdp.cli.main import run
from tests.support.servers import json_output, non_empty_lines, run_pdp

if TYPE_CHECKING:
    from pathlib import Path


class Conditions(Protocol):
    """Runs `pdp conditions`."""

    def __call__(self, *arguments: str, stdin: str = "") -> CompletedProcess[str]:
        """Returns the exit code and the output."""


@pytest.fixture
def conditions(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Conditions:
    """Runs the command in this process, which is faster; one test runs the real command."""

    def ask(*arguments: str, stdin: str = "") -> CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as exit_info:
            run(["conditions", *arguments])
        code = exit_info.value.code
        assert isinstance(code, int)
        output = capsys.readouterr()
        return CompletedProcess([*arguments], code, output.out, output.err)

    return ask


CONDITION = "batch_size > 100 AND target.sensitivity_level >= 3"
REQUEST: dict[str, Any] = {
    "target": {"sensitivity_level": 3},
    "context": {"batch_size": 200},
    "timestamp": "2026-02-26T23:30:00Z",
}


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    """A file with the request."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps(REQUEST))
    return str(file)


def test_check_shows_which_names_a_condition_reads(conditions: Conditions) -> None:
    answer = conditions("check", CONDITION)
    assert non_empty_lines(answer.stdout) == [
        "valid",
        "time zone: UTC",
        "reads:     batch_size, target.sensitivity_level",
    ]
    assert (answer.returncode, answer.stderr) == (0, "")


def test_check_warns_about_what_is_always_unknown(conditions: Conditions) -> None:
    answer = conditions("check", "tool > 5", "--json")
    assert json_output(answer) == {
        "valid": True,
        "condition": "tool > 5",
        "timezone": "UTC",
        "names": ["tool"],
        "warnings": ["line 1, column 1: comparing a number with a text is always unknown"],
    }
    assert answer.returncode == 0


def test_check_shows_the_place_of_an_error(conditions: Conditions, tmp_path: Path) -> None:
    file = tmp_path / "condition.txt"
    file.write_text("batch_size > 100\n  AND target.sensitivty_level >= 3\n")
    answer = conditions("check", "--file", str(file))
    assert answer.returncode == 3
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        "pdp: line 2, column 7: a request has no target.sensitivty_level; "
        "did you mean target.sensitivity_level?",
        "    AND target.sensitivty_level >= 3",
        "        ^",
    ]


def test_check_prints_errors_as_json(conditions: Conditions) -> None:
    answer = conditions("check", "--json", "--file", "-", stdin="batch_size >")
    assert answer.returncode == 3
    error = json_output(answer)["error"]
    assert error["code"] == "INVALID_CONDITION"
    reason = "line 1, column 13: expected a value, found the end of the condition"
    assert error["details"] == [{"field": "condition", "reason": reason}]


def test_eval_on_a_request_in_a_file(conditions: Conditions, request_file: str) -> None:
    answer = conditions("eval", CONDITION, "--request", request_file)
    assert (answer.returncode, answer.stdout) == (0, "true (matches)\n")


def test_eval_on_a_request_on_standard_input(conditions: Conditions) -> None:
    answer = conditions("eval", CONDITION, "-r", "-", "--json", stdin=json.dumps(REQUEST))
    assert answer.returncode == 0
    assert json_output(answer) == {"result": True, "matches": True, "unknown": [], "warnings": []}


def test_eval_says_which_name_is_missing(conditions: Conditions) -> None:
    answer = conditions("eval", CONDITION, "--context", '{"batch_size": 200}')
    assert answer.returncode == 1
    assert non_empty_lines(answer.stdout) == [
        "unknown (does not match)",
        "unknown: target.sensitivity_level is missing",
    ]


def test_eval_of_a_false_condition(conditions: Conditions) -> None:
    answer = conditions("eval", "tool = 'a'", "--tool", "b", "--json")
    assert answer.returncode == 1
    assert json_output(answer)["result"] is False


@pytest.mark.parametrize(
    ("condition", "options"),
    [
        ("1 < 2", []),
        ("arguments.sql LIKE 'DROP %'", ["--arg", "sql=DROP TABLE users"]),
        ("arguments.limit = 5", ["--arg", "limit:=5"]),
        ("action.verb = 'drop'", ["--action", "database:table:drop"]),
        ("'PII' IN target.classifications", ["--classification", "PII"]),
        ("any(subject.groups, 'emea')", ["--group", "emea", "--group", "staff"]),
        ("model.provider = 'openai'", ["--model", "openai/gpt-4o"]),
        ("timestamp > '2026-01-01'", ["--text", "now"]),
    ],
)
def test_eval_on_a_request_from_options(
    conditions: Conditions, condition: str, options: list[str]
) -> None:
    assert conditions("eval", condition, *options).returncode == 0


@pytest.mark.parametrize(("timezone", "code"), [("UTC", 0), ("Europe/Berlin", 1)])
def test_eval_in_a_time_zone(
    conditions: Conditions, request_file: str, timezone: str, code: int
) -> None:
    answer = conditions(
        *("eval", "hour(timestamp) = 23"),
        *("--request", request_file, "--timezone", timezone),
    )
    assert answer.returncode == code


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check"], 2, "give either CONDITION or --file"),
        (["check", "a", "--file", "b"], 2, "give either CONDITION or --file"),
        (["check", "--file", "no/such/file"], 2, "cannot be read: No such file or directory"),
        (["eval", "--file", "-", "--request", "-"], 2, "either the condition or the request"),
        (["eval", "a", "--context", "{"], 2, "--context is not JSON"),
        (["check", "a", "--timezone", "Mars/Olympus"], 3, 'there is no time zone "Mars/Olympus"'),
        (["eval", "a", "--action", "DROP"], 3, "action: "),
        (["eval", "a ="], 3, "line 1, column 4: expected a value, found the end of the condition"),
        (["check", "a", "--no-such-option"], 2, "No such option"),
        (["compile"], 2, "No such command"),
    ],
)
def test_errors_are_printed_to_stderr(
    conditions: Conditions, arguments: list[str], code: int, message: str
) -> None:
    answer = conditions(*arguments)
    assert answer.returncode == code
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", [[], ["check"], ["eval"]])
def test_help_describes_the_commands(conditions: Conditions, command: list[str]) -> None:
    answer = conditions(*command, "--help")
    assert answer.returncode == 0
    assert ("Exit codes:" in answer.stdout) is bool(command)


def test_a_file_that_is_not_text_is_refused(conditions: Conditions, tmp_path: Path) -> None:
    file = tmp_path / "condition"
    file.write_bytes(b"\xff\xfe")
    answer = conditions("check", "--file", str(file))
    assert answer.returncode == 2
    assert "is not UTF-8" in answer.stderr


def test_eval_in_its_own_process() -> None:
    answer = run_pdp("conditions", "eval", "batch_size > 1", "-r", "-", stdin=json.dumps(REQUEST))
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "true (matches)\n", "")
