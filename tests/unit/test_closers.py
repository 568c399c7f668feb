"""Gates, layers and closers in their order: who is asked, with what, and what a trace says."""

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
class Says:
    """A gate, a layer and a closer in one, that always says the same, or always fails."""

    verdict: Verdict | Exception
    name: str = "static"
    patterns: dict[str, str] = field(default_factory=dict)
    risks: list[Risk] = field(default_factory=list)

    def admit(self, request: Request) -> Verdict:
        return self.said()

    def judge(self, request: Request, findings: Findings) -> Verdict:
        return self.said()

    def conclude(self, request: Request, risk: Risk) -> Verdict:
        self.risks.append(risk)
        return self.said()

    def said(self) -> Verdict:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def paranoid(block_on: str = "medium") -> Snapshot:
    policy = OrgPolicy(logging_level="paranoid", block_on=block_on)
    own = PolicySet({KIND: {ID: policy}})
    return compile_tenant(compile_platform(PolicySet(), {}), "acme", own, 7)


def risky(points: int, outcome: Outcome = Outcome.ALLOW, *impacts: int) -> Says:
    return Says(
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
def test_floors_and_impacts_together_meet_the_band(
    block_on: str, floor: int, impact: int, outcome: Outcome
) -> None:
    snapshot = replace(paranoid(block_on), layers=(risky(floor, Outcome.ALLOW, impact),))
    decision = decide(snapshot)
    assert decision.outcome is outcome
    assert decision.risk.score == min(100, floor + impact)


def test_a_closer_is_not_asked_about_what_nobody_spoke_of() -> None:
    closer = Says(Verdict(), "org")
    decide(replace(paranoid(), layers=(), closers=(closer,)))
    assert closer.risks == []


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_what_could_not_be_judged_is_critical_to_the_org(mode: str) -> None:
    """A tenant that lets faults pass, and blocks by risk, blocks them by risk."""
    snapshot = paranoid("critical")
    settings = replace(snapshot.settings, failure_mode=mode)  # type: ignore[arg-type]
    decision = decide(replace(snapshot, settings=settings, layers=(Says(ValueError()),)))
    assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)
    code = "ENGINE_ERROR" if mode == "closed" else "ORG_RISK_BLOCK"
    assert decision.reason_code == code


def test_a_closer_that_raises_is_a_block() -> None:
    closers = (Says(ValueError("boom"), "org"),)
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
        gate, layer = Says(self.STOP, "kill_switch"), Says(AssertionError("asked"))
        snapshot = replace(paranoid(), gates=(gate,), layers=(layer,))
        return decide(snapshot, explain=explain)

    def test_nobody_is_asked_behind_a_gate_that_blocks(self) -> None:
        decision = self.stopped()
        assert (decision.reason_code, decision.status_hint) == ("MODEL_KILL_SWITCH", 503)
        assert [match.layer for match in decision.matches] == ["kill_switch"]
        assert not decision.incomplete
        assert not decision.counted  # by limits

    def test_the_trace_says_so(self) -> None:
        rows = {row.layer: row.reason for row in self.stopped(explain=True).trace}
        assert rows["static"] == rows["org"] == "not asked: kill_switch had stopped the request"
        assert not rows["kill_switch"].startswith("not asked")

    def test_a_simulation_says_so(self) -> None:
        layers = {each.layer: each for each in self.stopped(explain=True).layers}
        assert layers["kill_switch"].reason == "switched off"
        assert layers["org"].reason == "not asked: kill_switch had stopped the request"
        assert layers["org"].outcome is Outcome.ALLOW

    @pytest.mark.parametrize("other", [Outcome.ALLOW, Outcome.CANCEL], ids=lambda each: each.name)
    def test_a_gate_that_raises_is_a_block_and_the_others_are_asked(self, other: Outcome) -> None:
        said = Verdict(outcome=other)
        gates = (Says(ValueError("boom"), "kill_switch"), Says(said, "limits"))
        layer = Says(Verdict(pii_detected=True))
        snapshot = replace(paranoid(), gates=gates, layers=(layer,), closers=())
        decision = decide(snapshot)
        assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "ENGINE_ERROR")
        assert [fault.layer for fault in decision.faults] == ["kill_switch"]
        assert decision.pii_detected

    def test_a_gate_that_only_warns_ends_nothing(self) -> None:
        gate = Says(Verdict(outcome=Outcome.WARN, floors=self.STOP.floors), "limits")
        decision = decide(replace(paranoid(), gates=(gate,), layers=()))
        assert decision.reason_code == "ORG_RISK_BLOCK"


def test_a_closer_says_in_a_simulation_why_it_lets_pass() -> None:
    closer = OrgCloser("high", frozenset({"high", "critical"}))
    snapshot = replace(paranoid(), layers=(risky(40),), closers=(closer,))
    layers = {each.layer: each.reason for each in decide(snapshot, explain=True).layers}
    assert layers["org"] == "risk medium (40) is below high"
