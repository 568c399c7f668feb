"""DLP rules, groups and bundles for unit tests, and tenants compiled from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pdp.detect.validators import VALIDATORS
from pdp.domain import compliance_bundle, dlp_rule, org_policy, user_group
from pdp.domain.compliance_bundle import ComplianceBundle
from pdp.domain.detector import FINANCIAL, PII, EntityDetector
from pdp.domain.dlp_rule import DlpCustomisation, DlpRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request, Subject
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.decision import Decision
    from pdp.domain.org_policy import OrgPolicy
    from pdp.domain.user_group import UserGroup
    from pdp.engine.snapshot import Platform, Snapshot

DETECTORS: Final[Mapping[str, EntityDetector]] = {
    "card": EntityDetector(
        "card", "Card", "CREDIT_CARD", FINANCIAL, (r"\b[0-9]{16}\b",), validator="luhn"
    ),
    "mail": EntityDetector(
        "mail", "Mail", "EMAIL_ADDRESS", PII, (r"[a-z]+@[a-z.]+",), confidence=0.9
    ),
    "guess": EntityDetector("guess", "Guess", "GUESS", PII, (r"\bGUESS\b",), confidence=0.4),
}
"""They replace the detectors of the product, as the tests are about rules, not about detection."""

CARD: Final = "4111111111111111"


def rule(rule_id: str, detector: str = "", tier: str = "redact", **fields: Any) -> DlpRule:
    """Returns a rule with a detector, or with a pattern from `fields`."""
    config = {"detector": detector} if detector else {"pattern": fields.pop("pattern")}
    entity_type = DETECTORS[detector].entity_type if detector else "OWN"
    new_rule = DlpRule(rule_id, rule_id, dlp_rule.REGEX, entity_type, tier, config_json=config)
    return replace(new_rule, **fields)


def bundle(key: str, *rule_ids: str, enabled: bool = False) -> ComplianceBundle:
    """Returns a seeded bundle of platform rules, whose key is also its id."""
    definition = {"version": "1.0", "rule_ids": rule_ids, "summary": ""}
    return ComplianceBundle(
        key, key, key, is_seeded=True, enabled=enabled, key=key, definitions=(definition,)
    )


def policies(
    rules: Iterable[DlpRule] = (),
    customisations: Iterable[DlpCustomisation] = (),
    groups: Iterable[UserGroup] = (),
    bundles: Iterable[ComplianceBundle] = (),
    org: OrgPolicy | None = None,
) -> PolicySet:
    """Returns the policies of one owner."""
    return PolicySet(
        {
            dlp_rule.KIND: {each.id: each for each in rules},
            dlp_rule.CUSTOMISATION_KIND: {each.rule_id: each for each in customisations},
            user_group.KIND: {each.id: each for each in groups},
            compliance_bundle.KIND: {each.id: each for each in bundles},
            org_policy.KIND: {org_policy.ID: org} if org else {},
        }
    )


def platform_of(shipped: PolicySet) -> Platform:
    """Returns a platform with the policies `shipped` and the detectors of these tests."""
    return compile_platform(shipped, VALIDATORS, detectors=DETECTORS)


def tenant_of(shipped: PolicySet, own: PolicySet | None = None) -> Snapshot:
    """Returns a tenant's snapshot, compiled from the platform's policies and its own."""
    return compile_tenant(platform_of(shipped), "t", own or PolicySet(), 1)


def decide(snapshot: Snapshot, text: str, *groups: str, user: str = "") -> Decision:
    """Returns the decision on a text."""
    subject = Subject(user_id=user, groups=groups)
    return evaluate(snapshot, Request(text=text, subject=subject, explain=True), "id")
