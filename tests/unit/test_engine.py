"""`evaluate` and `combine`: the strongest verdict, the risk, and failing closed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain import tenant_settings
from pdp.domain.decision import (
    NO_VERDICT,
    Decision,
    Obligation,
    ObligationType,
    Outcome,
    Redaction,
    RiskFactor,
    Span,
    Verdict,
)
from pdp.domain.layers import LAYERS
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Target
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.domain.static_policy import KIND, StaticPolicy
from pdp.domain.tenant_settings import TenantSettings
from pdp.engine import evaluate as evaluate_module
from pdp.engine.combine import combine, plain_allow
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate, failed_decision
from pdp.engine.evaluation import EvaluationState
from pdp.engine.scan import Findings, ScanMemoryExhausted
from pdp.errors import InvalidPattern
from tests.unit.test_chains import chain_of
from tests.unit.test_chains import rule as chain_rule

if TYPE_CHECKING:
    from pdp.engine.layers.base import Layer
    from pdp.engine.snapshot import Snapshot
    from pdp.engine.text.redaction import Redacted


@dataclass(frozen=True)
class FixedLayer:
    """A layer that always returns the same verdict, or always raises."""

    verdict: Verdict | Exception
    name: str = "static"
    patterns: dict[str, str] = field(default_factory=dict)

    def evaluate(self, request: Request, findings: Findings) -> Verdict:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def policy(policy_id: str, pattern: str, action: str = "block", **more: object) -> StaticPolicy:
    return replace(StaticPolicy(policy_id, policy_id, "custom", pattern, action), **more)  # type: ignore[arg-type]


def snapshot_of(*policies: StaticPolicy) -> Snapshot:
    platform = compile_platform(PolicySet(), {})
    own = PolicySet({KIND: {each.id: each for each in policies}})
    return compile_tenant(platform, "acme", own, 7)


def failing(own: PolicySet, mode: str) -> PolicySet:
    settings = TenantSettings(failure_mode=mode)  # type: ignore[arg-type]
    return own.with_policies(tenant_settings.KIND, {tenant_settings.ID: settings})


def with_layers(*layers: Layer, mode: str = "closed") -> Snapshot:
    platform = compile_platform(PolicySet(), {})
    return replace(compile_tenant(platform, "acme", failing(PolicySet(), mode), 7), layers=layers)


def decide(snapshot: Snapshot, **fields: object) -> Decision:
    return evaluate(snapshot, Request(**fields), "decision-1")  # type: ignore[arg-type]


class TestFailingClosed:
    @pytest.mark.parametrize("explain", [False, True])
    def test_a_layer_that_raises_is_a_block(self, explain: bool) -> None:
        decision = decide(with_layers(FixedLayer(ValueError("boom"))), text="x", explain=explain)
        assert decision.outcome is Outcome.BLOCK
        assert not decision.allowed
        assert decision.incomplete
        assert decision.reason_code == "ENGINE_ERROR"
        assert decision.risk.score == DEFAULT_RISK_TABLE.engine_error
        assert "boom" not in repr(decision._replace(faults=()))

    def test_a_scan_that_runs_out_of_memory_is_a_block(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def exhausted(*_: object) -> Findings:
            raise ScanMemoryExhausted

        monkeypatch.setattr(evaluate_module, "scan", exhausted)
        decision = decide(snapshot_of(policy("p", "x")), text="harmless")
        assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "ENGINE_ERROR")
        assert decision.incomplete
        traced = decide(snapshot_of(policy("p", "x")), text="harmless", explain=True).trace
        assert [row.layer for row in traced] == ["engine", *LAYERS]

    def test_redactions_that_cannot_be_made_are_a_block(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The failure mode does not matter: how much of the text may be shown is unknown."""

        def fails(*_: object, **__: object) -> Redacted:
            raise RecursionError

        monkeypatch.setattr("pdp.engine.combine.redact", fails)
        redaction = Redaction("x", Span(0, 1, "T", None))
        layer = FixedLayer(Verdict(outcome=Outcome.REDACT, redactions=(redaction,)))
        decision = decide(with_layers(layer, mode="open"), text="secret")
        assert (decision.outcome, decision.reason_code) == (Outcome.BLOCK, "ENGINE_ERROR")
        assert decision.incomplete

    @pytest.mark.parametrize("mode", ["closed", "open"])
    def test_a_failed_scan_is_not_reported_as_no_findings(
        self, monkeypatch: pytest.MonkeyPatch, mode: str
    ) -> None:
        """Neither in the trace nor in the layers of a simulation, which has no list of faults."""

        def exhausted(*_: object) -> Findings:
            raise ScanMemoryExhausted

        monkeypatch.setattr(evaluate_module, "scan", exhausted)
        policies = chain_of(chain_rule({"type": "BLOCK"}, {"content_regex": "x"}))
        platform = compile_platform(PolicySet(), {})
        snapshot = compile_tenant(platform, "acme", failing(policies, mode), 7)
        decision = decide(snapshot, text="x", explain=True)
        safe = Outcome.BLOCK if mode == "closed" else Outcome.ALLOW
        not_scanned = "could not look into the request: the scan failed"
        for layer in ("static", "chain", "dlp"):
            row = next(row for row in decision.trace if row.layer == layer)
            assert (row.outcome, row.reason) == (safe, not_scanned)
            result = next(each for each in decision.layers if each.layer == layer)
            assert (result.outcome, result.reason) == (safe, not_scanned)
        reasons = [row.reason for row in decision.trace if row.rule_id]
        assert reasons == ["content_regex could not be looked for"]

    def test_text_with_invalid_unicode_is_a_block(self) -> None:
        assert decide(snapshot_of(policy("p", "x")), text="\ud800").incomplete

    def test_failure_mode_open_allows_an_incomplete_decision(self) -> None:
        decision = decide(with_layers(FixedLayer(ValueError()), mode="open"), text="x")
        assert decision.outcome is Outcome.ALLOW
        assert decision.incomplete
        assert (decision.reason_code, decision.status_hint) == ("ENGINE_ERROR", 200)

    def test_failure_mode_open_does_not_weaken_other_layers(self) -> None:
        block = Verdict(outcome=Outcome.BLOCK, reason_code="STATIC_POLICY_BLOCK")
        layers = (FixedLayer(ValueError(), "customer"), FixedLayer(block))
        decision = decide(with_layers(*layers, mode="open"), text="x")
        assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)

    def test_other_layers_run_after_a_fault(self) -> None:
        log = Verdict(pii_detected=True)
        layers = (FixedLayer(ValueError(), "customer"), FixedLayer(log))
        assert decide(with_layers(*layers), text="x").pii_detected

    def test_verdicts_that_cannot_be_combined_are_a_block_with_the_revision(self) -> None:
        broken = Verdict(outcome=Outcome.REDACT, redactions=(None,))  # type: ignore[arg-type]
        for mode in ("closed", "open"):
            decision = decide(with_layers(FixedLayer(broken), mode=mode), text="x")
            assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)
            assert decision.revision == 7

    def test_a_request_without_a_snapshot_is_a_block(self) -> None:
        decision = failed_decision("r1", "d1")
        assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)
        assert decision.risk.level == "critical"


class TestCombining:
    @given(st.lists(st.sampled_from(Outcome), max_size=5))
    def test_the_strongest_outcome_counts(self, outcomes: list[Outcome]) -> None:
        layers = [
            FixedLayer(Verdict(outcome=outcome, reason_code=outcome.name), name)
            for name, outcome in zip(LAYERS, outcomes, strict=False)
        ]
        decision = decide(with_layers(*layers))
        assert decision.outcome == max(outcomes, default=Outcome.ALLOW)
        assert decision.allowed == (decision.outcome < Outcome.PROMPT)

    @given(
        st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=6),
    )
    def test_factors_add_up_to_the_score_before_the_cap(
        self, points: list[tuple[int, int]]
    ) -> None:
        layers = [
            FixedLayer(
                Verdict(
                    floors=(RiskFactor(name, "floor", floor),),
                    impacts=(RiskFactor(name, "impact", impact),),
                ),
                name,
            )
            for name, (floor, impact) in zip(LAYERS, points, strict=False)
        ]
        risk = decide(with_layers(*layers)).risk
        total = max((floor for floor, _ in points), default=0) + sum(i for _, i in points)
        assert sum(factor.points for factor in risk.factors) == total
        assert risk.score == min(100, total)

    @pytest.mark.parametrize(
        ("score", "level"),
        [(0, "none"), (10, "none"), (11, "low"), (30, "low"), (31, "medium"), (55, "medium"),
         (56, "high"), (80, "high"), (81, "critical"), (100, "critical")],
    )  # fmt: skip
    def test_a_score_has_the_level_of_its_band(self, score: int, level: str) -> None:
        assert DEFAULT_RISK_TABLE.level(score) == level

    @pytest.mark.parametrize("stop", [Outcome.CANCEL, Outcome.BLOCK])
    def test_a_stopped_request_is_not_routed(self, stop: Outcome) -> None:
        route = Obligation(ObligationType.ROUTE_TO, model="gpt-4o-mini")
        prompt = Obligation(ObligationType.PROMPT, message="Why?")
        layers = (
            FixedLayer(Verdict(outcome=Outcome.ROUTE_TO, obligations=(route, prompt)), "chain"),
            FixedLayer(Verdict(outcome=stop), "static"),
        )
        assert decide(with_layers(*layers)).obligations == (prompt,)
        assert decide(with_layers(layers[0])).obligations == (route, prompt)

    @pytest.mark.parametrize("stop", [Outcome.PROMPT, Outcome.CANCEL, Outcome.BLOCK])
    def test_the_decision_on_a_stopped_request_has_no_text(self, stop: Outcome) -> None:
        redaction = Redaction("[REMOVED]", Span(0, 6, "T", None))
        redacts = FixedLayer(Verdict(outcome=Outcome.REDACT, redactions=(redaction,)), "chain")
        decision = decide(with_layers(redacts, FixedLayer(Verdict(outcome=stop))), text="secret")
        assert decision.redacted_text == ("[REMOVED]" if stop is Outcome.PROMPT else None)
        assert decision.obligations

    def test_an_article_is_listed_once(self) -> None:
        layers = [FixedLayer(Verdict(frameworks=("B", "A")), name) for name in ("static", "dlp")]
        assert decide(with_layers(*layers)).frameworks == ("B", "A")

    def test_a_trace_has_a_row_for_every_layer(self) -> None:
        decision = decide(snapshot_of(policy("p", "x")), text="y", explain=True)
        assert [row.layer for row in decision.trace] == list(LAYERS)
        assert [layer.layer for layer in decision.layers] == list(LAYERS)

    def test_a_failed_layer_is_in_the_trace(self) -> None:
        decision = decide(with_layers(FixedLayer(ValueError())), text="y", explain=True)
        row = next(row for row in decision.trace if row.layer == "static")
        assert (row.outcome, row.reason) == (Outcome.BLOCK, "failed; the server's log says why")

    def test_there_is_no_trace_without_explain(self) -> None:
        assert decide(snapshot_of(policy("p", "x")), text="x").trace == ()

    @pytest.mark.parametrize("classifications", [(), ("public",), ("PII",)])
    def test_plain_allow_equals_combine(self, classifications: tuple[str, ...]) -> None:
        request = Request(request_id="r1", target=Target(classifications=classifications))
        evaluation = EvaluationState(with_layers(), request, "d1")
        fast, slow = plain_allow(evaluation), combine(evaluation)
        assert fast._replace(plain=False) == slow
        assert fast.plain is not fast.pii_detected

    @pytest.mark.parametrize("classification", ["PII", "PHI"])
    def test_a_target_with_a_personal_classification_is_personal_data(
        self, classification: str
    ) -> None:
        target = Target(classifications=("public", classification))
        assert decide(with_layers(FixedLayer(NO_VERDICT)), target=target).pii_detected


class TestSnapshots:
    def test_a_snapshot_does_not_change_when_the_next_one_is_compiled(self) -> None:
        first = snapshot_of(policy("p", "alpha"))
        more = first.policies.with_policies(KIND, {"q": policy("q", "beta")})
        second = compile_tenant(first.platform, "acme", more, 8, first)
        assert decide(first, text="beta").outcome is Outcome.ALLOW
        assert decide(second, text="beta").outcome is Outcome.BLOCK
        assert decide(second, text="alpha").outcome is Outcome.BLOCK

    def test_all_invalid_patterns_are_reported_in_order(self) -> None:
        with pytest.raises(InvalidPattern) as caught:
            snapshot_of(policy("b", "["), policy("a", "("), policy("c", "fine"))
        assert [violation.field for violation in caught.value.violations] == [
            "static policy a",
            "static policy b",
        ]

    def test_patterns_of_the_platform_are_compiled_once_for_all_tenants(self) -> None:
        system = {"sys_x": policy("sys_x", "x", system=True)}
        platform = compile_platform(PolicySet({KIND: system}), {})
        own = PolicySet({KIND: {"p": policy("p", "x")}})
        snapshot = compile_tenant(platform, "acme", own, 1)
        assert snapshot.pattern_sets == (platform.patterns,)
        assert {match.policy_id for match in decide(snapshot, text="x").matches} == {"sys_x", "p"}

    def test_a_disabled_system_policy_is_not_in_force(self) -> None:
        system = {"sys_x": policy("sys_x", "x", system=True, enabled=False)}
        platform = compile_platform(PolicySet({KIND: system}), {})
        assert decide(compile_tenant(platform, "acme", PolicySet(), 1), text="x").plain

    def test_a_policy_with_an_unknown_validator_is_refused(self) -> None:
        system = {"sys_x": policy("sys_x", "x", validator="nothing")}
        with pytest.raises(KeyError, match="unknown validator nothing"):
            compile_platform(PolicySet({KIND: system}), {})
