"""An event loop evaluates what is light, and gives up what is not as if it had not begun."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from bench.detectors import corpus
from bench.detectors import snapshot as snapshot_with_all_rules
from bench.neighbours import dense
from pdp.decisions.evaluator import LIGHT_COST, Evaluator
from pdp.decisions.payloads import judge_aside, questions_of, with_model
from pdp.domain.decision import NO_VERDICT, Decision, Verdict
from pdp.domain.request import Request
from pdp.engine.evaluate import begin, evaluate, finish, finish_if_light
from pdp.engine.work import LIGHT_MATCHES
from pdp.payloads.formats import read_payload

if TYPE_CHECKING:
    from pdp.engine.evaluation import EvaluationState
    from pdp.engine.findings import Findings
    from pdp.engine.snapshot import Snapshot

EVERY: Final = 23
"""Which texts of the corpora are tried: every one of this number."""

MANY: Final = dense(2_000)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return snapshot_with_all_rules()


def counts(evaluation: EvaluationState) -> tuple[int, ...]:
    """Returns the work of an evaluation."""
    assert evaluation.findings is not None
    work = evaluation.findings.work
    return work.values, work.matches, work.finds, work.located_bytes


def compare(snapshot: Snapshot, request: Request) -> bool:
    """Checks an evaluation in two places, and returns whether it is light."""
    at_once = begin(snapshot, request, "d")
    expected = finish(at_once)
    tried = begin(snapshot, request, "d")
    decision = finish_if_light(tried)
    assert (decision is not None) == (counts(at_once)[1] <= LIGHT_MATCHES)
    is_light = decision is not None
    if decision is None:
        decision = finish(tried)
    assert decision == expected
    assert counts(tried) == counts(at_once)
    return is_light


def test_the_decision_and_its_work_are_the_same(snapshot: Snapshot) -> None:
    texts = [*corpus()[::EVERY], *(dense(length) for length in range(50, 1_500, 50))]
    light = [compare(snapshot, Request(text=text)) for text in texts]
    assert light.count(True) > 100
    assert light.count(False) > 10


def test_values_in_arguments_count_as_well(snapshot: Snapshot) -> None:
    cells = [dense(60, seed) for seed in range(40)]
    assert compare(snapshot, Request(arguments={"cells": cells[:2]}))
    assert not compare(snapshot, Request(arguments={"cells": cells}))


def test_explanations_and_times_are_not_doubled(snapshot: Snapshot) -> None:
    request = Request(text=MANY, explain=True)
    marks = [("", time.perf_counter())]
    evaluation = begin(snapshot, request, "d", None, marks)
    assert finish_if_light(evaluation) is None
    decision = finish(evaluation)
    expected: list[tuple[str, float]] = [("", 0.0)]
    assert decision.trace == evaluate(snapshot, request, "d", None, expected).trace
    assert [name for name, _ in marks] == [name for name, _ in expected]


def test_errors_are_not_doubled(snapshot: Snapshot) -> None:
    class Broken:
        name = "customer"
        patterns: Final[dict[str, str]] = {}

        def evaluate(self, _request: Request, _findings: Findings) -> Verdict:
            raise ValueError

    broken = replace(snapshot, layers=(Broken(), *snapshot.layers))
    evaluation = begin(broken, Request(text=MANY), "d")
    assert finish_if_light(evaluation) is None
    assert [fault.layer for fault in finish(evaluation).faults] == ["customer"]


def test_verdicts_are_not_kept(snapshot: Snapshot) -> None:
    class Once:
        name = "chain"
        patterns: Final[dict[str, str]] = {}
        calls = 0

        def evaluate(self, _request: Request, _findings: Findings) -> Verdict:
            self.calls += 1
            return Verdict(message="first") if self.calls == 1 else NO_VERDICT

    once = Once()
    evaluation = begin(replace(snapshot, layers=(once, *snapshot.layers)), Request(text=MANY), "d")
    assert finish_if_light(evaluation) is None
    finish(evaluation)
    assert once.calls == 2
    assert "chain" not in evaluation.verdicts


def test_a_request_without_findings_is_light(snapshot: Snapshot) -> None:
    evaluation = begin(snapshot, Request(text="hello"), "d")
    assert finish_if_light(evaluation) == evaluate(snapshot, Request(text="hello"), "d")


class TestEvaluator:
    @pytest.mark.parametrize(
        ("text", "is_light"),
        [
            ("my card is 4539578763621486", True),
            ("my card is 4539578763621486" + " and so on" * 1_000, True),
            (MANY, False),
            (MANY * 7, False),
        ],
        ids=["a value", "a value in a long text", "many values", "a long text of values"],
    )
    async def test_a_thread_evaluates_what_is_not_light(
        self, snapshot: Snapshot, text: str, *, is_light: bool
    ) -> None:
        request = Request(text=text, tenant_id="acme")
        began = time.perf_counter()
        evaluated = Evaluator().evaluate(snapshot, request, 0, began)
        assert isinstance(evaluated, Decision) == is_light
        decision = evaluated if isinstance(evaluated, Decision) else await evaluated
        expected = evaluate(snapshot, request, decision.decision_id)
        assert decision._replace(input_hash="") == expected

    @pytest.mark.parametrize(("more", "is_light"), [(0, True), (1, False)])
    async def test_the_bytes_to_search_have_a_bound(
        self, snapshot: Snapshot, more: int, *, is_light: bool
    ) -> None:
        """They are searched again for each pattern that occurs."""
        value, filler = f"{dense(60)}; ", " and so on" * 2_000
        evaluation = begin(snapshot, Request(text=value), "d")
        assert evaluation.findings is not None
        length = LIGHT_COST // len(evaluation.findings.hits) + more
        request = Request(text=(value + filler)[:length], tenant_id="acme")
        evaluated = Evaluator().evaluate(snapshot, request, 0, time.perf_counter())
        assert isinstance(evaluated, Decision) == is_light
        if not isinstance(evaluated, Decision):
            await evaluated

    @pytest.mark.parametrize(
        ("messages", "is_light"),
        [(["hello"], True), ([dense(60)], True), ([dense(60)] * 20, False), ([MANY], False)],
        ids=["nothing", "some values", "some in each of many messages", "many in one"],
    )
    async def test_the_parts_of_a_payload_count_together(
        self, snapshot: Snapshot, messages: list[str], *, is_light: bool
    ) -> None:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": m} for m in messages]}
        payload = read_payload("openai.chat_completions", json.dumps(body))
        request = with_model(Request(tenant_id="acme"), payload)
        questions = questions_of(snapshot, request, payload)
        evaluated = Evaluator().evaluate_payload(snapshot, questions, payload)
        assert isinstance(evaluated, Decision) == is_light
        decision = evaluated if isinstance(evaluated, Decision) else await evaluated
        assert decision == judge_aside(snapshot, questions, payload, decision.decision_id)
