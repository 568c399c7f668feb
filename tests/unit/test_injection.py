"""SQL injection and dangerous commands: the policies find other values of each kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from bench.accuracy import Matcher
from bench.blind_spots import kind_cases
from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.domain.static_policy import KIND
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPORA: Final = Path(__file__).parents[1] / "corpora"
POLICIES: Final = {each.policy.id: each.policy for each in catalog.static_policies()}
MATCHER: Final = Matcher(POLICIES.values())
SNAPSHOT: Final = compile_tenant(
    compile_platform(PolicySet({KIND: POLICIES}), VALIDATORS), "t", PolicySet(), 1
)


def rows(name: str) -> Iterator[dict[str, Any]]:
    for line in (CORPORA / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def blocking(text: str) -> list[str]:
    """Returns the policies that block `text` in an argument."""
    request = Request(tool="run", arguments={"command": text})
    matches = evaluate(SNAPSHOT, request, "id").matches
    return [each.policy_id for each in matches if each.action == "block"]


def texts(name: str, *, positive: bool) -> list[str]:
    return [row["text"] for row in rows(name) if row["positive"] is positive]


class TestValues:
    def test_95_percent_of_the_injected_values_are_seen(self) -> None:
        values = texts("sqli_values.jsonl", positive=True)
        missed = [value for value in values if not MATCHER.matching(value)]
        assert len(values) >= 450
        assert len(missed) <= 0.05 * len(values), missed

    def test_at_most_1_percent_of_the_ordinary_values_are_flagged(self) -> None:
        values = texts("sqli_values.jsonl", positive=False)
        flagged = [value for value in values if MATCHER.matching(value)]
        assert len(values) >= 190
        assert len(flagged) <= 0.01 * len(values), flagged

    def test_values_of_each_kind_are_seen(self) -> None:
        missed = []
        cases = kind_cases()
        for case in cases:
            matches = evaluate(SNAPSHOT, Request(**request_fields(case.request)), "id").matches
            found = [each for each in matches if POLICIES[each.policy_id].category == "security"]
            if bool(found) is not case.positive:
                missed.append(case)
        assert [case for case in missed if not case.positive] == []
        assert len(missed) <= 0.05 * sum(case.positive for case in cases), missed


def request_fields(request: Any) -> dict[str, Any]:
    if "content" in request:
        return {"text": request["content"]["text"]}
    return {"tool": request["tool"], "arguments": request["arguments"]}


STATEMENTS: Final = [row["text"] for row in rows("sql_statements.jsonl")]


class TestStatements:
    def test_there_are_statements_of_several_dialects(self) -> None:
        assert len(STATEMENTS) >= 100

    @pytest.mark.parametrize("text", STATEMENTS)
    def test_an_ordinary_statement_passes(self, text: str) -> None:
        assert MATCHER.matching(text) == []
        assert blocking(text) == []


class TestCommands:
    @pytest.mark.parametrize("text", texts("commands.jsonl", positive=True))
    def test_a_dangerous_command_is_blocked(self, text: str) -> None:
        assert blocking(text)

    @pytest.mark.parametrize("text", texts("commands.jsonl", positive=False))
    def test_daily_work_passes(self, text: str) -> None:
        assert blocking(text) == []

    @pytest.mark.parametrize(
        "hidden",
        [
            *("r''m -rf /", "rm${IFS}-rf${IFS}/", "{rm,-rf,/}", "x=rm; $x -rf /", r"\rm -rf /"),
            *("$(echo rm) -rf /", r"$'\x72m' -rf /", "'rm' -rf /", "us''erdel root"),
            *('cron"t"ab -r', "mkfs.ext4$IFS/dev/sda", "{shutdown,-h,now}", "x=reb; ${x}oot"),
        ],
    )
    def test_a_command_behind_quoting_is_blocked(self, hidden: str) -> None:
        assert blocking(hidden)

    @pytest.mark.parametrize(
        "text", ["r''m -rf ./build", "mkdir {a,b}", "x=rm; $x -rf build", "echo $(echo rm)"]
    )
    def test_quoting_alone_is_not_blocked(self, text: str) -> None:
        assert blocking(text) == []
