"""Streamed answers with names in them, which a model finds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pdp.domain.dlp_rule import KIND, NER, DlpRule, body_of
from pdp.domain.ner import NamedEntity, NerFindings
from pdp.domain.stored_entity import StoredEntity
from tests.support.payload_streams import (
    CALL_FORMATS,
    MAKERS,
    Decisions,
    arguments_of,
    call_stream,
    chat,
    cut_at,
    released,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pdp.domain.ner import EntityLabel

FILLER = "word and word " * 40


class Names:
    """A model that finds every "Greta", and records the texts that it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def find(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NerFindings:
        self.texts += (text for _, text in texts)
        return NerFindings(
            tuple(
                NamedEntity(label, 0.9, at, at + 5, path)
                for label in labels
                for path, text in texts
                for at in range(len(text))
                if text.startswith("Greta", at)
            )
        )


@pytest.fixture
async def names(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> Names:
    """A model, and a rule that redacts the names that it finds."""
    rule = DlpRule("r", "Names", NER, "PERSON", "redact")
    with decisions.store.write() as transaction:
        transaction.put(
            StoredEntity(KIND, "acme", rule.id, body_of(rule), name=rule.detector_name),
            actor="me",
            summary="",
        )
    await decisions.workspace.catch_up()
    model = Names()
    monkeypatch.setattr(decisions.decider, "_entity_finder", model)
    return model


@pytest.mark.parametrize("maker", MAKERS)
async def test_names_are_redacted_in_texts(decisions: Decisions, names: Names, maker: str) -> None:
    format_, make = MAKERS[maker]
    text = f"{FILLER}My name is Greta. {FILLER}Greta again."
    answers = await decisions.stream(cut_at(make(cut_at(text, 3)), 90))
    out = released(answers)
    assert text_of(format_, out) == text.replace("Greta", "[REDACTED]")
    assert "Greta" not in out


async def test_names_are_redacted_in_calls_and_other_members(
    decisions: Decisions, names: Names
) -> None:
    arguments = json.dumps({"to": "Greta"})
    for format_ in CALL_FORMATS:
        raw = call_stream(format_, "send", cut_at(arguments, 3))
        out = released(await decisions.stream(cut_at(raw, 30)))
        assert arguments_of(format_, out) == arguments.replace("Greta", "[REDACTED]")
    raw = chat(["a", "b"]).replace('"fp_44709d6fcb"', '"Greta"')
    out = released(await decisions.stream(cut_at(raw, 30)))
    assert out == raw.replace("Greta", "[REDACTED]")


async def test_models_see_what_events_repeat_only_once(decisions: Decisions, names: Names) -> None:
    await decisions.stream(cut_at(chat(["word "] * 100), 50))
    assert names.texts.count("assistant") == 1
    assert names.texts.count("chat.completion.chunk") < 4
