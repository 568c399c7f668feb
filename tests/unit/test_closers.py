"""The order of gates, layers and closers, and what they do to the decision and its trace."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from pdp.domain.decision import Match, Outcome, Risk, RiskFactor, Verdict
from pdp.domain.org_policy import ID, KIND, OrgPolicy
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.engine.layers.org import OrgCloser

if TYPE_CHECKING:
    from pdp.domain.decision import Decision
    from pdp.engine.scan import Findings
    from pdp.engine.snapshot import Snapshot


@dataclass(frozen=True)
class FixedParticipant:
    """A gate, layer and closer that always returns the same verdict, or always raises."""

    verdict: Verdict | Exception
    name: str = "static"
    patterns: dict[str, str] = field(default_factory=dict)
    risks: list[Risk] = field(default_factory=list)

    def admit(self, request: Request) -> Verdict:
        return self.result()

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        return self.result()

    def conclude(self, request: Request, risk: Risk) -> Verdict:
        self.risks.append(risk)
        return self.result()

    def result(self) -> Verdict:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def paranoid(block_on: str = "medium") -> Snapshot:
    policy = OrgPolicy(logging_level="paranoid", block_on=block_on)
    own = PolicySet({KIND: {ID: policy}})
    return compile_tenant(compile_platform(PolicySet(), {}), "acme", own, 7)


def risky(points: int, outcome: Outcome = Outcome.ALLOW, *impacts: int) -> FixedParticipant:
    return FixedParticipant(
        Verdict(
            outcome=outcome,
            floors=(RiskFactor("static", "floor", points),),
            impacts=tuple(RiskFactor("customer", "impact", impact) for impact in impacts),
        )
    )


def decide(snapshot: Snapshot, *, explain: bool = False) -> Decision:
    return evaluate(snapshot, Request(text="x", explain=explain), "d")


@pytest.mark.parametrize(
    ("block_on", "floor", "impact", "outcome"),
    [
        ("medium", 15, 15, Outcome.ALLOW),
        ("medium", 15, 16, Outcome.BLOCK),
        ("high", 40, 15, Outcome.ALLOW),
        ("high", 40, 16, Outcome.BLOCK),
        ("critical", 65, 15, Outcome.ALLOW),
        ("critical", 65, 16, Outcome.BLOCK),
        ("critical", 90, 100, Outcome.BLOCK),
    ],
)
def test_floors_and_impacts_together_are_compared_with_the_band(
    block_on: str, floor: int, impact: int, outcome: Outcome
) -> None:
    snapshot = replace(paranoid(block_on), layers=(risky(floor, Outcome.ALLOW, impact),))
    decision = decide(snapshot)
    assert decision.outcome is outcome
    assert decision.risk.score == min(100, floor + impact)


def test_closers_do_not_run_without_any_verdict() -> None:
    closer = FixedParticipant(Verdict(), "org")
    decide(replace(paranoid(), layers=(), closers=(closer,)))
    assert closer.risks == []


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_a_fault_has_a_critical_risk_for_the_org_policy(mode: str) -> None:
    """A tenant with failure mode open that blocks by risk blocks faults by their risk."""
    snapshot = paranoid("critical")
    settings = replace(snapshot.settings, failure_mode=mode)  # type: ignore[arg-type]
    decision = decide(
        replace(snapshot, settings=settings, layers=(FixedParticipant(ValueError()),))
    )
    assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)
    code = "ENGINE_ERROR" if mode == "closed" else "ORG_RISK_BLOCK"
    assert decision.reason_code == code


def test_a_closer_that_raises_is_a_block() -> None:
    closers = (FixedParticipant(ValueError("boom"), "org"),)
    decision = decide(replace(paranoid(), layers=(risky(15),), closers=closers), explain=True)
    assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "ENGINE_ERROR")
    assert decision.risk.score == 90
    assert [row.reason for row in decision.trace if row.layer == "org"] == [
        "failed; the server's log says why"
    ]


class TestGates:
    STOP = Verdict(
        outcome=Outcome.BLOCK,
        reason_code="MODEL_KILL_SWITCH",
        status_hint=503,
        matches=(Match("kill_switch", "m", "m", "block", "high", "switched off"),),
        floors=(RiskFactor("kill_switch", "m", 65),),
    )

    def stopped(self, *, explain: bool = False) -> Decision:
        gate, layer = (
            FixedParticipant(self.STOP, "kill_switch"),
            FixedParticipant(AssertionError("must not run")),
        )
        snapshot = replace(paranoid(), gates=(gate,), layers=(layer,))
        return decide(snapshot, explain=explain)

    def test_nothing_runs_after_a_gate_that_blocks(self) -> None:
        decision = self.stopped()
        assert (decision.reason_code, decision.status_hint) == ("MODEL_KILL_SWITCH", 503)
        assert [match.layer for match in decision.matches] == ["kill_switch"]
        assert not decision.incomplete
        assert not decision.counted  # by limits

    def test_the_trace_names_the_gate(self) -> None:
        rows = {row.layer: row.reason for row in self.stopped(explain=True).trace}
        assert rows["static"] == rows["org"] == "not asked: kill_switch had stopped the request"
        assert not rows["kill_switch"].startswith("not asked")

    def test_the_layers_of_a_simulation_name_the_gate(self) -> None:
        layers = {each.layer: each for each in self.stopped(explain=True).layers}
        assert layers["kill_switch"].reason == "switched off"
        assert layers["org"].reason == "not asked: kill_switch had stopped the request"
        assert layers["org"].outcome is Outcome.ALLOW

    @pytest.mark.parametrize("other", [Outcome.ALLOW, Outcome.CANCEL], ids=lambda each: each.name)
    def test_a_gate_that_raises_is_a_block_and_the_others_run(self, other: Outcome) -> None:
        verdict = Verdict(outcome=other)
        gates = (
            FixedParticipant(ValueError("boom"), "kill_switch"),
            FixedParticipant(verdict, "limits"),
        )
        layer = FixedParticipant(Verdict(pii_detected=True))
        snapshot = replace(paranoid(), gates=gates, layers=(layer,), closers=())
        decision = decide(snapshot)
        assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "ENGINE_ERROR")
        assert [fault.layer for fault in decision.faults] == ["kill_switch"]
        assert decision.pii_detected

    def test_a_gate_that_only_warns_does_not_stop_the_request(self) -> None:
        gate = FixedParticipant(Verdict(outcome=Outcome.WARN, floors=self.STOP.floors), "limits")
        decision = decide(replace(paranoid(), gates=(gate,), layers=()))
        assert decision.reason_code == "ORG_RISK_BLOCK"


def test_a_closer_that_allows_has_a_reason_in_a_simulation() -> None:
    closer = OrgCloser("high", frozenset({"high", "critical"}))
    snapshot = replace(paranoid(), layers=(risky(40),), closers=(closer,))
    layers = {each.layer: each.reason for each in decide(snapshot, explain=True).layers}
    assert layers["org"] == "risk medium (40) is below high"
