"""Dry runs of DLP rules, with models that are there and that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.admin.simulation.dry_runs import (
    MAX_POSITIONS,
    dry_run_dlp_rule,
    evaluate_dlp_rules,
    subject_of,
)
from pdp.domain.ner import NamedEntity, NerFindings, Wanted
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Request
from pdp.engine.dlp.config import MAX_LABELS
from tests.support.dlp import CARD, platform_of, policies, rule, tenant_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

PLATFORM = platform_of(PolicySet())


class Models:
    """Find every `Ann`, of each label but SECRET, which they do not know."""

    def __init__(self) -> None:
        self.asked: list[frozenset[Wanted]] = []

    def available(self, wanted: Collection[Wanted]) -> Mapping[Wanted, str]:
        return {}

    async def find(
        self, texts: Sequence[tuple[str | None, str]], wanted: Collection[Wanted]
    ) -> NerFindings:
        self.asked.append(frozenset(wanted))
        found = [
            NamedEntity(each, 0.8, text.index("Ann"), text.index("Ann") + 3, path)
            for each in wanted
            for path, text in texts
            if "Ann" in text and each.label != "SECRET"
        ]
        return NerFindings(
            tuple(found), {each: "unknown" for each in wanted if each.label == "SECRET"}
        )


async def test_models_and_patterns_answer_together() -> None:
    models = Models()
    tried = await dry_run_dlp_rule(
        PLATFORM, "ner", "EMAIL_ADDRESS, PERSON ,", "ann@corp.com, or Ann", models
    )
    assert [(each.matched_text, each.entity_type) for each in tried.matches] == [
        ("ann@corp.com", "EMAIL_ADDRESS"),
        ("Ann", "PERSON"),
    ]
    assert (tried.total, tried.valid, tried.error) == (2, True, None)
    assert models.asked == [{Wanted("ner", "PERSON")}]


async def test_one_label_names_what_it_finds() -> None:
    (found,) = (
        await dry_run_dlp_rule(PLATFORM, "gliner", "first name", "I am Ann", Models())
    ).matches
    assert (found.matched_text, found.entity_type) == ("Ann", "FIRST_NAME")
    (found,) = (
        await dry_run_dlp_rule(PLATFORM, "ner", "EMAIL", "to ann@corp.com", Models())
    ).matches
    assert found.entity_type == "EMAIL"


async def test_labels_are_bounded() -> None:
    labels = ",".join(["X"] * (MAX_LABELS + 1))
    tried = await dry_run_dlp_rule(PLATFORM, "ner", labels, "x", Models())
    assert (tried.valid, tried.error) == (False, f"names more than {MAX_LABELS} entity types")


async def test_what_cannot_be_looked_for_is_said() -> None:
    tried = await dry_run_dlp_rule(PLATFORM, "gliner", "SECRET", "Ann", Models())
    assert (tried.total, tried.valid) == (0, True)
    assert tried.error == "could not look for SECRET: unknown"


async def test_models_are_not_asked_about_nothing() -> None:
    models = Models()
    assert (await dry_run_dlp_rule(PLATFORM, "ner", "PERSON", "", models)).error is None
    assert (await dry_run_dlp_rule(PLATFORM, "ner", "EMAIL", "a@corp.com", models)).total == 1
    assert (await dry_run_dlp_rule(PLATFORM, "regex", "Ann", "Ann", models)).total == 1
    assert models.asked == []


async def test_places_beyond_the_bound_are_counted() -> None:
    tried = await dry_run_dlp_rule(PLATFORM, "regex", "x", "x" * (MAX_POSITIONS + 7), Models())
    assert (len(tried.matches), tried.total) == (MAX_POSITIONS, MAX_POSITIONS + 7)


async def test_offsets_count_code_points() -> None:
    tried = await dry_run_dlp_rule(PLATFORM, "regex", "[0-9]+", "👍é 12", Models())
    assert [(each.start, each.end, each.matched_text) for each in tried.matches] == [(3, 5, "12")]


def test_an_evaluation_tells_what_did_not_match_and_why() -> None:
    tenant = tenant_of(policies([rule("cards", "card"), rule("guess", "guess", "block")]))
    found = evaluate_dlp_rules(tenant, Request(text=f"GUESS {CARD}"), "")
    assert [each.rule.id for each in found.matched] == ["cards"]
    assert found.final_action == "redact"
    assert found.evaluated == 2
    assert "Rule 'guess' did not match: GUESS looks likely at 0.4 only, below 0.5" in found.trace


def test_an_evaluation_without_rules() -> None:
    found = evaluate_dlp_rules(tenant_of(policies()), Request(text=CARD), "")
    assert (found.evaluated, found.final_action, found.matched) == (0, "none", ())
    assert found.trace == [
        "Starting evaluation for org_id=t, text_length=16",
        "Loaded 0 enabled platform rules",
        "Final action determined: none",
    ]


def test_an_evaluation_says_what_no_model_looked_for() -> None:
    own = policies([rule("p", "mail", detector_type="ner", entity_type="PERSON", config_json={})])
    request = Request(text="Ann", subject=subject_of("u1", ""))
    found = evaluate_dlp_rules(tenant_of(policies(), own), request, "")
    assert any("could not look for PERSON" in line for line in found.trace)
