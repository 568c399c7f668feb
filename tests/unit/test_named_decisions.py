"""Named entities in decisions: what rules require of models, and how missing results count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import pytest

from pdp import catalog
from pdp.bootstrap.policies import open_policies
from pdp.cases import ClientTarget, EngineTarget
from pdp.client.local import LocalClient
from pdp.detect.ner import open_engine
from pdp.detect.validators import VALIDATORS
from pdp.domain import dlp_rule, tenant_settings
from pdp.domain.decision import Decision, Outcome
from pdp.domain.dlp_rule import LLM, NER, REGEX, DlpRule, body_of
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Entity, Request
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant_settings import TenantSettings
from pdp.embedded import Engine
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.dlp.named_entities import entity_type_of, labels_of, model_entities, texts_of
from pdp.engine.evaluate import evaluate
from tests.support import ner_models

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.detect.ner import NerEngine

PLATFORM = compile_platform(PolicySet(), VALIDATORS, detectors=catalog.detectors())
PATTERNED = {each.entity_type for each in PLATFORM.detectors.values()}
PERSON = EntityLabel(NER, "PERSON")
TEXT = "Call Greta about PROJ-1234"
GRETA = NerFindings((NamedEntity(PERSON, 0.9, 5, 10),))
MISSING = NerFindings(missing={PERSON: "the time budget of 5 ms ran out"})

NAMES = DlpRule("names", "Names", NER, "PERSON", "redact")
PROJECTS = DlpRule(
    "projects", "Projects", REGEX, "PROJECT", "block", config_json={"pattern": r"PROJ-\d+"}
)


def decide_on_text(
    *rules: DlpRule,
    ner: NerFindings | None,
    failure_mode: Literal["closed", "open"] = "closed",
    explain: bool = False,
) -> Decision:
    settings = TenantSettings(failure_mode=failure_mode)
    policies = PolicySet({dlp_rule.KIND: {each.id: each for each in rules}}).with_policies(
        tenant_settings.KIND, {tenant_settings.ID: settings}
    )
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    return evaluate(snapshot, Request(text=TEXT, ner=ner, explain=explain), "id")


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({}, ("PERSON",)),
        ({"labels": ["a", " b ", "a"]}, ("a", "b")),
        ({"entities": ["LOCATION"]}, ("LOCATION",)),
        ({"labels": []}, ("PERSON",)),
    ],
)
def test_a_rule_without_labels_looks_for_its_entity_type(
    config: dict[str, list[str]], labels: tuple[str, ...]
) -> None:
    assert labels_of(DlpRule("r", "r", NER, "PERSON", "redact", config_json=config)) == labels


def test_a_label_is_converted_to_an_entity_type() -> None:
    assert entity_type_of(" e-mail  address") == "E_MAIL_ADDRESS"
    assert entity_type_of("email address") == entity_type_of("EMAIL_ADDRESS") == "EMAIL_ADDRESS"


@pytest.mark.parametrize(
    "label", ["EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS", "CREDIT_CARD", "US_SSN", "IBAN_CODE"]
)
def test_models_are_not_used_for_types_that_patterns_find(label: str) -> None:
    for kind in (NER, LLM):
        assert model_entities(DlpRule("r", "r", kind, label, "redact"), PATTERNED) == ()


def test_models_are_used_for_other_types_but_never_by_a_regex_rule() -> None:
    assert model_entities(NAMES, PATTERNED) == (PERSON,)
    assert model_entities(PROJECTS, PATTERNED) == ()


def test_all_texts_of_a_request_are_searched() -> None:
    request = Request(text="a", arguments={"b": ["c", {"d": "e"}], "f": ""})
    assert texts_of(request) == [(None, "a"), ("/b/0", "c"), ("/b/1/d", "e")]


def test_findings_of_models_are_redacted() -> None:
    decision = decide_on_text(NAMES, ner=GRETA)
    assert decision.redacted_text == "Call [REDACTED] about PROJ-1234"
    assert not decision.incomplete


@pytest.mark.parametrize("ner", [None, MISSING], ids=["no model", "no time"])
def test_missing_results_block_and_the_warning_names_them(ner: NerFindings | None) -> None:
    decision = decide_on_text(NAMES, ner=ner, explain=True)
    assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)
    assert decision.reason_code == "ENGINE_ERROR"
    reason = "no model was asked" if ner is None else "the time budget of 5 ms ran out"
    [warning] = decision.warnings
    assert warning.message == f'Rule "Names" could not look for PERSON: {reason}.'
    assert any(reason in row.reason for row in decision.trace)


def test_with_failure_mode_open_other_findings_still_count() -> None:
    decision = decide_on_text(NAMES, ner=MISSING, failure_mode="open")
    assert (decision.outcome, decision.incomplete) == (Outcome.ALLOW, True)
    assert decision.warnings
    decision = decide_on_text(NAMES, PROJECTS, ner=MISSING, failure_mode="open", explain=True)
    assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, True)
    assert [match.policy_id for match in decision.matches] == ["projects"]
    [dlp] = [layer for layer in decision.layers if layer.layer == "dlp"]
    assert dlp.outcome is Outcome.BLOCK
    assert dlp.matches == decision.matches


def test_findings_of_the_caller_and_of_models_both_count() -> None:
    policies = PolicySet({dlp_rule.KIND: {"names": NAMES}})
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    own = (Entity("PERSON_NAME", 0.9, 0, 4),)
    decision = evaluate(snapshot, Request(text=TEXT, entities=own, ner=GRETA), "id")
    assert decision.redacted_text == "[REDACTED] [REDACTED] about PROJ-1234"
    assert (decision.pii_detected, decision.incomplete) == (True, False)
    missing = evaluate(snapshot, Request(text=TEXT, entities=own, ner=MISSING), "id")
    assert (missing.outcome, missing.incomplete) == (Outcome.BLOCK, True)


def test_a_request_without_text_needs_no_model() -> None:
    policies = PolicySet({dlp_rule.KIND: {"names": NAMES}})
    snapshot = compile_tenant(PLATFORM, "t", policies, 1)
    for request in (
        Request(action="files:disk:read"),
        Request(tool="read", arguments={"lines": 3, "name": ""}),
    ):
        assert not evaluate(snapshot, request, "id").incomplete


class Counting:
    """Finds nothing, and counts its calls."""

    calls = 0

    def find_now(self, texts: object, labels: object) -> NerFindings:
        self.calls += 1
        return NerFindings()

    async def find(self, texts: object, labels: object) -> NerFindings:
        return self.find_now(texts, labels)

    def close(self) -> None:
        pass


def test_a_text_for_a_disabled_model_is_not_searched(url: str) -> None:
    """The kill switch is evaluated first, and nothing runs after it (docs/decide.md)."""
    counting = Counting()
    models = cast("NerEngine", counting)
    with Engine.open(url, ner=models) as engine, LocalClient(url, ner=models) as local:
        target = EngineTarget(engine, local)
        rule = {"detector_name": "N", "detector_type": "ner", "entity_type": "PERSON"}
        target.administer("acme", "CreateDlpRule", {**rule, "action_tier": "block"})
        switch = {"provider": "openai", "reason": "maintenance"}
        _, revision = target.administer("acme", "DisableProvider", switch)
        request = {"content": {"text": "x"}, "min_revision": revision}
        for decide in (target.decide, ClientTarget(local).decide):
            counting.calls = 0
            disabled = {**request, "model": {"provider": "openai", "model": "gpt-4o"}}
            assert decide("acme", disabled)["reason_code"] == "MODEL_KILL_SWITCH"
            assert counting.calls == 0
            assert decide("acme", request)["outcome"] == "ALLOW"
            assert counting.calls == 1


def test_an_embedded_engine_uses_the_models_that_it_gets(url: str, tmp_path: Path) -> None:
    rule = DlpRule("r", "Code names", LLM, "CODE_NAME", "block", config_json={"labels": ["falcon"]})
    store = open_policies(url)
    with store.write() as transaction:
        entity = StoredEntity(
            dlp_rule.KIND, "acme", rule.id, body_of(rule), name=rule.detector_name
        )
        transaction.put(entity, actor="me", summary="")
    store.close()
    models = open_engine(None, ner_models.gliner_model(tmp_path / "model"), budget_s=60.0)
    for ner, incomplete in ((models, False), (None, True)):
        with Engine.open(url, ner=ner) as engine:
            decision = engine.decide(text="the falcon", tenant_id="acme")
            assert (decision.outcome, decision.incomplete) == (Outcome.BLOCK, incomplete)
            allowed = engine.decide(text="the heron", tenant_id="acme").allowed
            assert allowed is not incomplete
    models.close()
