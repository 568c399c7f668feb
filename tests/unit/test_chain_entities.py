"""Chain rules with entity conditions: the detectors that they need, and the findings that match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp import catalog
from pdp.domain import dlp_rule, policy_chain, policy_pack
from pdp.domain.decision import Outcome
from pdp.domain.detector import PII
from pdp.domain.dlp_rule import NER, DlpRule
from pdp.domain.entity_types import FAMILIES
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings
from pdp.domain.policy_chain import ChainEntry, PolicyChain
from pdp.domain.policy_pack import PolicyPack, PolicyRule
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Entity, Request
from pdp.engine.compiler import compile_tenant
from pdp.engine.dlp.entities import EntityFinding
from pdp.engine.dlp.entity_detectors import collect_entities, entity_detectors
from pdp.engine.evaluate import evaluate
from pdp.engine.layers.chain import ChainLayer
from pdp.engine.rules.documents import Conditions
from pdp.engine.rules.index import RuleIndex
from pdp.engine.rules.matching import MAX_SPANS, Facts, check_conditions, redactions
from pdp.engine.scan import NO_FINDINGS
from pdp.engine.text.locations import Location, Segment
from tests.support.dlp import DETECTORS, decide, platform_of, policies, rule

if TYPE_CHECKING:
    from pdp.domain.request import JsonObject
    from pdp.engine.snapshot import Snapshot

SEGMENT = Segment(None, "x" * 100, b"x" * 100)
TYPES = ("CREDIT_CARD", "US_SSN", "SSN", "NATIONAL_ID", "OWN")
CONFIDENCES = st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0])


def entity_conditions(types: tuple[str, ...], minimum: float | None) -> Conditions:
    return Conditions(entity_types=types, entity_confidence_min=minimum)


conditions = st.builds(
    entity_conditions,
    st.lists(st.sampled_from(TYPES), unique=True, max_size=2).map(tuple),
    st.none() | CONFIDENCES,
)
findings = st.builds(
    lambda entity_type, confidence, start, length: EntityFinding(
        "d", entity_type, PII, confidence, Location(SEGMENT, start, start + length)
    ),
    st.sampled_from(TYPES),
    CONFIDENCES,
    st.integers(0, 50),
    st.integers(0, 5),
)
entities = st.builds(Entity, st.sampled_from(TYPES), CONFIDENCES, st.just(0), st.just(1))


def finding(entity_type: str, confidence: float, start: int = 0, end: int = 5) -> EntityFinding:
    return EntityFinding("d", entity_type, PII, confidence, Location(SEGMENT, start, end))


def facts(*findings: EntityFinding, entities: tuple[Entity, ...] = ()) -> Facts:
    return Facts(
        Request(text=SEGMENT.text), NO_FINDINGS, entities=entities, entity_findings=findings
    )


@given(
    st.lists(conditions, max_size=6),
    st.lists(findings, max_size=4),
    st.lists(entities, max_size=2),
)
def test_the_index_agrees_with_check_conditions(
    rules: list[Conditions], entity_findings: list[EntityFinding], own: list[Entity]
) -> None:
    index = RuleIndex([("both", each) for each in rules])
    known = facts(*entity_findings, entities=tuple(own))
    known = known._replace(accepting=index.accepting(known.model))
    slow = sum(1 << bit for bit, each in enumerate(rules) if check_conditions(each, known).matched)
    assert index.matching(known) == slow


def test_a_finding_with_low_confidence_does_not_match() -> None:
    """Without `entity_confidence_min`, a finding of the scan counts from 0.5, a caller's always."""
    card_rule = Conditions(entity_types=("CREDIT_CARD",))
    assert not check_conditions(card_rule, facts(finding("CREDIT_CARD", 0.49))).matched
    assert check_conditions(card_rule, facts(finding("CREDIT_CARD", 0.5))).matched
    assert check_conditions(card_rule, facts(entities=(Entity("CREDIT_CARD", 0.1),))).matched
    with_minimum = card_rule._replace(entity_confidence_min=0.2)
    assert check_conditions(with_minimum, facts(finding("CREDIT_CARD", 0.3))).matched


def test_a_family_name_matches_all_its_types() -> None:
    id_rule = Conditions(entity_types=("NATIONAL_ID",))
    for entity_type in ("US_SSN", "PL_PESEL", "NATIONAL_ID"):
        assert check_conditions(id_rule, facts(finding(entity_type, 0.9))).matched
    assert not check_conditions(id_rule, facts(finding("CREDIT_CARD", 0.9))).matched


def test_family_names_cover_types_of_detectors_only() -> None:
    types = {each.entity_type for each in catalog.detectors().values()}
    assert frozenset().union(*FAMILIES.values()) <= types
    assert types.isdisjoint(FAMILIES)  # a type of a detector must not mean other types too


def test_only_detectors_that_a_rule_requires_are_used() -> None:
    def ids(*rules: Conditions, own: PolicySet | None = None) -> set[str]:
        by_pattern = entity_detectors(rules, own or PolicySet(), DETECTORS)
        return {detector.id for each in by_pattern.values() for detector in each}

    assert ids(Conditions(content_regex="x")) == set()
    assert ids(Conditions(entity_types=("CREDIT_CARD_NUMBER",))) == {"card"}
    assert ids(Conditions(entity_confidence_min=0.9)) == set(DETECTORS)
    own = policies([rule("mine", pattern="x"), rule("off", pattern="y", enabled=False)])
    assert ids(Conditions(entity_types=("OWN",)), own=own) == {"mine"}


def test_findings_of_models_count() -> None:
    named_entity = NamedEntity(EntityLabel("llm", "employee id"), 0.8, 3, 7, "/a/0")
    request = Request(arguments={"a": ["id 1234"]}, ner=NerFindings((named_entity,)))
    (result,) = collect_entities({}, request, NO_FINDINGS)
    assert (result.entity_type, result.confidence) == ("EMPLOYEE_ID", 0.8)
    assert (result.location.segment.path, result.location.value) == ("/a/0", "1234")


@pytest.mark.parametrize("types", [["PERSON"], ["US_SSN", "PERSON"], []], ids=str)
def test_a_chain_matches_types_that_only_models_find(types: list[str]) -> None:
    """No detector of the catalog finds names, so the chain requires none, and still matches."""
    names = DlpRule("names", "Names", NER, "PERSON", "log_only")
    requirement = {"entity_types": types, "entity_confidence_min": 0.8}
    own = blocking_chain(requirement).with_policies(dlp_rule.KIND, {"names": names})
    snapshot = compile_tenant(platform_of(policies()), "t", own, 1)
    greta = NerFindings((NamedEntity(EntityLabel("ner", "PERSON"), 0.9, 5, 10),))
    assert snapshot.ner
    for ner, outcome in ((greta, Outcome.BLOCK), (NerFindings(()), Outcome.ALLOW)):
        decision = evaluate(snapshot, Request(text="Call Greta", ner=ner, explain=True), "d")
        assert decision.outcome is outcome
        assert any(row.matched for row in decision.trace if row.layer == "chain") == (ner is greta)


def test_findings_are_redacted_in_place() -> None:
    card_rule = Conditions(entity_types=("CREDIT_CARD",))
    both = [finding("CREDIT_CARD", 1.0, 3, 8), finding("CREDIT_CARD", 0.1, 20, 30)]
    (single,) = redactions(card_rule, "[X]", facts(*both))
    assert (single.span.start, single.span.end, single.span.path) == (3, 8, None)
    many = [finding("CREDIT_CARD", 1.0, 3, 8)] * (MAX_SPANS + 1)
    (whole,) = redactions(card_rule, "[X]", facts(*many))
    assert (whole.span.start, whole.span.end) == (0, len(SEGMENT.text))


def test_a_new_detector_is_used_without_compiling_the_chains_again() -> None:
    platform, own = platform_of(policies()), blocking_chain({"entity_types": ["OWN"]})
    first = compile_tenant(platform, "t", own, 1)
    mine = {"mine": rule("mine", pattern="x", tier="none")}
    second = compile_tenant(platform, "t", own.with_policies(dlp_rule.KIND, mine), 2, first)
    assert _chain(second).chains is _chain(first).chains
    assert decide(first, "x").outcome is Outcome.ALLOW
    assert decide(second, "x").reason_code == "CHAIN_BLOCK"
    assert decide(second, "y").outcome is Outcome.ALLOW


def blocking_chain(conditions: JsonObject) -> PolicySet:
    """Returns policies with one chain of one BLOCK rule."""
    block = PolicyRule("r", "p", 0, "Rule", {"type": "BLOCK"}, conditions)
    chain = PolicyChain("c", packs=(ChainEntry("e", "p", 0),))
    return PolicySet(
        {
            policy_pack.KIND: {"p": PolicyPack("p", "Pack")},
            policy_pack.RULE_KIND: {"r": block},
            policy_chain.KIND: {policy_chain.ORG_ID: chain},
        }
    )


def _chain(snapshot: Snapshot) -> ChainLayer:
    (layer,) = [each for each in snapshot.layers if isinstance(each, ChainLayer)]
    return layer
