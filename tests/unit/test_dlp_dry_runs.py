"""Dry runs of DLP rules, with and without models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.admin.simulation.dry_runs import (
    MAX_POSITIONS,
    dry_run_dlp_rule,
    evaluate_dlp_rules,
    subject_of,
)
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.dlp.config import MAX_LABELS
from tests.support.dlp import CARD, platform_of, policies, rule, tenant_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

PLATFORM = platform_of(PolicySet())


class Models:
    """Models that find every `Ann` for each label, except for SECRET, which they do not know."""

    def __init__(self) -> None:
        self.requests: list[frozenset[EntityLabel]] = []

    def available(self, labels: Collection[EntityLabel]) -> Mapping[EntityLabel, str]:
        return {}

    async def find(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NerFindings:
        self.requests.append(frozenset(labels))
        entities = [
            NamedEntity(each, 0.8, text.index("Ann"), text.index("Ann") + 3, path)
            for each in labels
            for path, text in texts
            if "Ann" in text and each.name != "SECRET"
        ]
        return NerFindings(
            tuple(entities), {each: "unknown" for each in labels if each.name == "SECRET"}
        )


async def test_matches_of_models_and_patterns_are_combined() -> None:
    models = Models()
    result = await dry_run_dlp_rule(
        PLATFORM, "ner", "EMAIL_ADDRESS, PERSON ,", "ann@corp.com, or Ann", models
    )
    assert [(each.matched_text, each.entity_type) for each in result.matches] == [
        ("ann@corp.com", "EMAIL_ADDRESS"),
        ("Ann", "PERSON"),
    ]
    assert (result.total, result.valid, result.error) == (2, True, None)
    assert models.requests == [{EntityLabel("ner", "PERSON")}]


async def test_a_single_label_is_the_entity_type_of_the_matches() -> None:
    (match,) = (
        await dry_run_dlp_rule(PLATFORM, "gliner", "first name", "I am Ann", Models())
    ).matches
    assert (match.matched_text, match.entity_type) == ("Ann", "FIRST_NAME")
    (match,) = (
        await dry_run_dlp_rule(PLATFORM, "ner", "EMAIL", "to ann@corp.com", Models())
    ).matches
    assert match.entity_type == "EMAIL"


async def test_labels_are_bounded() -> None:
    labels = ",".join(["X"] * (MAX_LABELS + 1))
    result = await dry_run_dlp_rule(PLATFORM, "ner", labels, "x", Models())
    assert (result.valid, result.error) == (False, f"names more than {MAX_LABELS} entity types")


async def test_the_error_names_labels_without_a_model() -> None:
    result = await dry_run_dlp_rule(PLATFORM, "gliner", "SECRET", "Ann", Models())
    assert (result.total, result.valid) == (0, True)
    assert result.error == "could not look for SECRET: unknown"


async def test_models_are_called_only_if_needed() -> None:
    models = Models()
    assert (await dry_run_dlp_rule(PLATFORM, "ner", "PERSON", "", models)).error is None
    assert (await dry_run_dlp_rule(PLATFORM, "ner", "EMAIL", "a@corp.com", models)).total == 1
    assert (await dry_run_dlp_rule(PLATFORM, "regex", "Ann", "Ann", models)).total == 1
    assert models.requests == []


async def test_matches_beyond_the_bound_are_counted() -> None:
    result = await dry_run_dlp_rule(PLATFORM, "regex", "x", "x" * (MAX_POSITIONS + 7), Models())
    assert (len(result.matches), result.total) == (MAX_POSITIONS, MAX_POSITIONS + 7)


async def test_offsets_count_code_points() -> None:
    result = await dry_run_dlp_rule(PLATFORM, "regex", "[0-9]+", "👍é 12", Models())
    assert [(each.start, each.end, each.matched_text) for each in result.matches] == [(3, 5, "12")]


def test_the_trace_says_why_a_rule_did_not_match() -> None:
    tenant = tenant_of(policies([rule("cards", "card"), rule("guess", "guess", "block")]))
    evaluation = evaluate_dlp_rules(tenant, Request(text=f"GUESS {CARD}"), "")
    assert [each.rule.id for each in evaluation.matched] == ["cards"]
    assert evaluation.final_action == "redact"
    assert evaluation.evaluated == 2
    assert (
        "Rule 'guess' did not match: GUESS looks likely at 0.4 only, below 0.5" in evaluation.trace
    )


def test_an_evaluation_without_rules() -> None:
    evaluation = evaluate_dlp_rules(tenant_of(policies()), Request(text=CARD), "")
    assert (evaluation.evaluated, evaluation.final_action, evaluation.matched) == (0, "none", ())
    assert evaluation.trace == [
        "Starting evaluation for org_id=t, text_length=16",
        "Loaded 0 enabled platform rules",
        "Final action determined: none",
    ]


def test_the_trace_names_labels_without_a_model() -> None:
    own = policies([rule("p", "mail", detector_type="ner", entity_type="PERSON", config_json={})])
    request = Request(text="Ann", subject=subject_of("u1", ""))
    evaluation = evaluate_dlp_rules(tenant_of(policies(), own), request, "")
    assert any("could not look for PERSON" in line for line in evaluation.trace)
