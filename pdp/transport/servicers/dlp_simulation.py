"""The dry runs of DLP rules, which are RPCs of SimulateService."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import simulate_pb2 as pb
from pdp.admin.simulation.dry_runs import (
    DlpEvaluation,
    DryRunMatch,
    MatchedDlpRule,
    dry_run_dlp_rule,
    evaluate_dlp_rules,
    subject_of,
)
from pdp.admin.write_checks import pattern_warnings
from pdp.domain.dlp_rule import REGEX
from pdp.domain.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.decisions.decider import Decider
    from pdp.domain.ner import NerFinder
    from pdp.transport.call import Call, Endpoint


class DlpSimulationServicer:
    """Runs DLP rules on sample texts."""

    def __init__(self, decider: Decider, entity_finder: NerFinder) -> None:
        self._decider = decider
        self._entity_finder = entity_finder

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"TestDlpRule": self.test, "EvaluateDlpRules": self.evaluate}

    async def test(self, call: Call, message: Message) -> pb.TestDlpRuleResponse:
        """Runs one rule, which need not exist yet, on a sample text.

        Raises:
            StoreUnavailable: the tenant's policies cannot be read.
        """
        body = cast("pb.TestDlpRuleRequest", message)
        snapshot = await self._decider.snapshot(call.tenant_id)
        result = await dry_run_dlp_rule(
            snapshot.platform,
            body.rule_type,
            body.pattern,
            body.sample_text,
            self._entity_finder,
        )
        if body.rule_type == REGEX:
            call.warnings = await asyncio.to_thread(pattern_warnings, "pattern", body.pattern)
        return pb.TestDlpRuleResponse(
            matches=[_match(each) for each in result.matches],
            match_count=result.total,
            rule_type=body.rule_type,
            valid_pattern=result.valid,
            error=result.error,
        )

    async def evaluate(self, call: Call, message: Message) -> pb.EvaluateDlpRulesResponse:
        """Runs a sample text through all DLP rules of a tenant.

        Raises:
            StoreUnavailable: the tenant's policies cannot be read.
        """
        body = cast("pb.EvaluateDlpRulesRequest", message)
        snapshot = await self._decider.snapshot(call.tenant_id)
        subject = subject_of(body.user_id, body.group_id)
        request = Request(text=body.text, tenant_id=call.tenant_id, subject=subject)
        request = await self._decider.find_entities(snapshot, request)
        evaluation = await asyncio.to_thread(evaluate_dlp_rules, snapshot, request, body.group_id)
        return _evaluation(evaluation, call.tenant_id)


def _evaluation(evaluation: DlpEvaluation, tenant_id: str) -> pb.EvaluateDlpRulesResponse:
    return pb.EvaluateDlpRulesResponse(
        text_length=evaluation.length,
        org_id=tenant_id,
        rules_evaluated=evaluation.evaluated,
        rules_matched=len(evaluation.matched),
        final_action=evaluation.final_action,
        matched_rules=[_matched(each) for each in evaluation.matched],
        suppressed_rule_ids=evaluation.suppressed,
        custom_org_patterns=evaluation.custom,
        decision_trace=evaluation.trace,
    )


def _matched(matched: MatchedDlpRule) -> pb.MatchedDlpRule:
    rule = matched.rule
    return pb.MatchedDlpRule(
        rule_id=rule.id,
        rule_name=rule.detector_name,
        detector_type=rule.detector_type,
        entity_type=rule.entity_type,
        action_tier=matched.tier,
        match_count=matched.total,
        matches=[_match(each, confidence=each.confidence) for each in matched.matches],
        source=matched.source,
    )


def _match(match: DryRunMatch, confidence: float | None = None) -> pb.DlpMatch:
    return pb.DlpMatch(
        start=match.start,
        end=match.end,
        matched_text=match.matched_text,
        entity_type=match.entity_type,
        action=match.action,
        confidence=confidence,
    )
