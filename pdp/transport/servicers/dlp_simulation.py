"""The dry runs of DLP rules, which are RPCs of SimulateService (seed 002, decide.md)."""

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
from pdp.domain.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.domain.ner import NerFinder
    from pdp.transport.call import Call, Endpoint
    from pdp.transport.servicers.decide import DecideServicer


class DlpSimulationServicer:
    """Tries DLP rules on sample texts."""

    def __init__(self, decide: DecideServicer, ner: NerFinder) -> None:
        self._decide = decide
        self._ner = ner

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"TestDlpRule": self.test, "EvaluateDlpRules": self.evaluate}

    async def test(self, call: Call, message: Message) -> pb.TestDlpRuleResponse:
        """Tries what a rule would look for on a sample text.

        Raises:
            StoreUnavailable: the tenant's policies cannot be read.
        """
        asked = cast("pb.TestDlpRuleRequest", message)
        snapshot = await self._decide.snapshot(call, call.tenant_id, 0)
        tried = await dry_run_dlp_rule(
            snapshot.platform, asked.rule_type, asked.pattern, asked.sample_text, self._ner
        )
        return pb.TestDlpRuleResponse(
            matches=[_match(each) for each in tried.matches],
            match_count=tried.total,
            rule_type=asked.rule_type,
            valid_pattern=tried.valid,
            error=tried.error,
        )

    async def evaluate(self, call: Call, message: Message) -> pb.EvaluateDlpRulesResponse:
        """Runs a sample text through all DLP rules of a tenant.

        Raises:
            StoreUnavailable: the tenant's policies cannot be read.
        """
        asked = cast("pb.EvaluateDlpRulesRequest", message)
        snapshot = await self._decide.snapshot(call, call.tenant_id, 0)
        subject = subject_of(asked.user_id, asked.group_id)
        request = Request(text=asked.text, tenant_id=call.tenant_id, subject=subject)
        request = await self._decide.named(snapshot, request)
        found = await asyncio.to_thread(evaluate_dlp_rules, snapshot, request, asked.group_id)
        return _evaluation(found, call.tenant_id)


def _evaluation(found: DlpEvaluation, tenant_id: str) -> pb.EvaluateDlpRulesResponse:
    return pb.EvaluateDlpRulesResponse(
        text_length=found.length,
        org_id=tenant_id,
        rules_evaluated=found.evaluated,
        rules_matched=len(found.matched),
        final_action=found.final_action,
        matched_rules=[_matched(each) for each in found.matched],
        suppressed_rule_ids=found.suppressed,
        custom_org_patterns=found.custom,
        decision_trace=found.trace,
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
