"""Named entities: the real loading code on tiny models, and what holds for any model."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.detect.ner import NerEngine, gliner, open_engine
from pdp.detect.ner.recognizer import RecognizedEntity
from pdp.detect.ner.windows import OVERLAP, SIZE, joined, windows
from pdp.detect.ner.worker import BATCH, MAX_WAITING, ModelWorker
from pdp.domain.dlp_rule import LLM, NER
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings
from pdp.errors import ConfigError
from tests.support import ner_models
from tests.support.onnx_graph import FLOAT, INT64, Graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATIENCE_S = 60.0
PERSON = EntityLabel(NER, "PERSON")
LOCATION = EntityLabel(NER, "LOCATION")
FALCON = EntityLabel(LLM, "falcon")
HERON = EntityLabel(LLM, "heron")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A spaCy pipeline and a GLiNER model on disk."""
    base = tmp_path_factory.mktemp("models")
    return ner_models.spacy_model(base / "spacy"), ner_models.gliner_model(base / "gliner")


@pytest.fixture(scope="module")
def engine(models: tuple[Path, Path]) -> Iterator[NerEngine]:
    """An engine with both models."""
    opened = open_engine(*models, budget_s=PATIENCE_S)
    yield opened
    opened.close()


def no_network(*_arguments: object) -> NoReturn:
    raise AssertionError("somebody went out to the network")


def values(found: Sequence[NamedEntity], *texts: str) -> list[tuple[str, str]]:
    """What was found in texts whose paths are their numbers, by label."""
    return [
        (each.label.name, texts[int(each.path or "0")][each.start : each.end]) for each in found
    ]


def of(*texts: str) -> list[tuple[str | None, str]]:
    return [(str(index), text) for index, text in enumerate(texts)]


def test_both_models_load_and_find_without_a_network(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    opened = open_engine(*models, budget_s=PATIENCE_S)
    text = "Please call Greta Weber tomorrow . falcon"
    findings = opened.find_now(of(text), [PERSON, FALCON])
    assert set(values(findings.entities, text)) == {("PERSON", "Greta Weber"), ("falcon", "falcon")}
    assert findings.missing == {}
    assert opened.states() == {"ner": "loaded", "llm": "loaded"}
    opened.close()


class TestPresidio:
    def test_offsets_count_code_points(self, engine: NerEngine) -> None:
        text = "👩‍👩‍👧 日本 . Send the contract to Hugo Novak ."
        findings = engine.find_now(of(text), [PERSON])
        assert ("PERSON", "Hugo Novak") in values(findings.entities, text)

    def test_labels_go_by_presidios_names(self, engine: NerEngine) -> None:
        text = "The weather in Vienna is fine ."
        findings = engine.find_now(of(text), [LOCATION])
        assert values(findings.entities, text) == [("LOCATION", "Vienna")]

    def test_only_what_is_wanted_is_found(self, engine: NerEngine) -> None:
        assert engine.find_now(of("Please call Greta Weber tomorrow ."), [LOCATION]).entities == ()

    def test_a_label_that_the_model_does_not_know_is_missing(self, engine: NerEngine) -> None:
        unknown = EntityLabel(NER, "BLOOD_TYPE")
        findings = engine.find_now(of("Please call Greta Weber tomorrow ."), [PERSON, unknown])
        assert len(findings.entities) == 1
        assert findings.missing == {unknown: "the Presidio model finds LOCATION, PERSON only"}

    def test_a_long_text_is_looked_through_to_its_end(self, engine: NerEngine) -> None:
        text = "The report is fine . " * 200 + "Please call Greta Weber tomorrow ."
        findings = engine.find_now(of(text), [PERSON])
        assert ("PERSON", "Greta Weber") in values(findings.entities, text)


class TestGliner:
    def test_any_label_is_looked_for(self, engine: NerEngine) -> None:
        texts = ("The falcon, the heron", "heron")
        findings = engine.find_now(of(*texts), [FALCON, HERON, EntityLabel(LLM, "badge")])
        assert values(findings.entities, *texts) == [
            ("falcon", "falcon"),
            ("heron", "heron"),
            ("heron", "heron"),
        ]
        assert all(0.9 < each.confidence <= 1 for each in findings.entities)

    def test_a_text_longer_than_the_model_takes_is_looked_through(self, engine: NerEngine) -> None:
        text = "opens " * (ner_models.MAX_LEN * 3) + "falcon"
        assert values(engine.find_now(of(text), [FALCON]).entities, text) == [("falcon", "falcon")]

    def test_more_labels_than_one_run_takes_are_all_looked_for(self, engine: NerEngine) -> None:
        labels = [EntityLabel(LLM, f"thing {number}") for number in range(gliner.MAX_LABELS * 2)]
        findings = engine.find_now(of("falcon heron"), [*labels, FALCON, HERON])
        assert values(findings.entities, "falcon heron") == [
            ("falcon", "falcon"),
            ("heron", "heron"),
        ]

    def test_nothing_is_found_in_nothing(self, engine: NerEngine) -> None:
        assert engine.find_now(of("", " "), [FALCON]).entities == ()

    def test_another_kind_of_model_is_refused(self, tmp_path: Path) -> None:
        ner_models.gliner_model(tmp_path)
        graph = Graph()
        pixels = graph("Cast", graph.input("pixels", INT64, "n"), to=FLOAT)
        graph.output(pixels, "logits", "n")
        (tmp_path / gliner.MODEL).write_bytes(graph.serialised())
        with pytest.raises(ValueError, match="another kind"):
            gliner.load(tmp_path)


async def test_many_requests_at_once_each_get_their_own(engine: NerEngine) -> None:
    words = ("falcon", "heron", "badge", "alice")
    asked = [(word, "opens " * (number * 40) + word) for number in range(6) for word in words]
    answers = await asyncio.gather(
        *(engine.find(of(text), [EntityLabel(LLM, word)]) for word, text in asked)
    )
    for (word, text), findings in zip(asked, answers, strict=True):
        assert values(findings.entities, text) == [(word, word)]


class Fake:
    """A model that finds the letter x, when it is let."""

    labels: frozenset[str] | None = None

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = threading.Event()
        self.runs: list[int] = []
        self.error: Exception | None = None

    def recognise(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        self.runs.append(len(texts))
        self.running.set()
        self.go.wait(PATIENCE_S)
        if self.error:
            raise self.error
        return [
            [
                RecognizedEntity(labels[0], at, at + 1, 0.5)
                for at, letter in enumerate(text)
                if letter == "x"
            ]
            for text in texts
        ]


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    yield made
    made.go.set()


def engine_of(model: Fake, budget_s: float = PATIENCE_S) -> NerEngine:
    worker = ModelWorker("fake", lambda: model)
    assert worker.wait(PATIENCE_S)
    return NerEngine({NER: worker}, {LLM: "there is none"}, budget_s)


async def test_what_takes_longer_than_the_budget_is_missing(fake: Fake) -> None:
    slow = engine_of(fake, 0.02)
    findings = await slow.find(of("x"), [PERSON])
    assert findings.entities == ()
    assert findings.missing == {PERSON: "the time budget of 20 ms ran out"}
    assert slow.find_now(of("x"), [PERSON]).missing == findings.missing


async def test_who_has_stopped_waiting_is_passed_over(fake: Fake) -> None:
    slow = engine_of(fake, 0.02)
    for _ in range(10):
        await slow.find(of("x"), [PERSON])
    fake.go.set()
    patient = NerEngine(slow._workers, {}, PATIENCE_S)
    assert len((await patient.find(of("xx"), [PERSON])).entities) == 2
    assert fake.runs == [1, 1]


async def test_requests_that_wait_are_run_together(fake: Fake) -> None:
    model = engine_of(fake)
    tasks = [asyncio.create_task(model.find(of("x"), [PERSON]))]
    await asyncio.to_thread(fake.running.wait, PATIENCE_S)
    tasks += [asyncio.create_task(model.find(of("x", "y"), [PERSON])) for _ in range(5)]
    await asyncio.sleep(0)
    fake.go.set()
    assert [len(each.entities) for each in await asyncio.gather(*tasks)] == [1] * 6
    assert fake.runs == [1, 10]


async def test_a_long_text_does_not_keep_others_waiting(fake: Fake) -> None:
    model = engine_of(fake)
    long = asyncio.create_task(model.find(of("x " * SIZE * BATCH), [PERSON]))
    await asyncio.to_thread(fake.running.wait, PATIENCE_S)
    short = asyncio.create_task(model.find(of("x"), [PERSON]))
    await asyncio.sleep(0)
    fake.go.set()
    assert len((await short).entities) == 1
    assert not long.done()
    assert len((await long).entities) == SIZE * BATCH


async def test_a_model_that_fails_is_missing_and_is_asked_again(fake: Fake) -> None:
    model = engine_of(fake)
    fake.go.set()
    fake.error = RuntimeError("secret")
    assert (await model.find(of("x"), [PERSON])).missing == {PERSON: "the model failed"}
    fake.error = None
    assert len((await model.find(of("x"), [PERSON])).entities) == 1


async def test_too_much_that_waits_is_refused_at_once(fake: Fake) -> None:
    model = engine_of(fake)
    first = asyncio.create_task(model.find(of(*"xy"), [PERSON]))
    await asyncio.to_thread(fake.running.wait, PATIENCE_S)
    many = asyncio.create_task(model.find(of(*["x"] * MAX_WAITING), [PERSON]))
    await asyncio.sleep(0)
    refused = await model.find(of("x"), [PERSON])
    assert refused.missing == {PERSON: "too many requests wait for the model"}
    fake.go.set()
    assert not (await first).missing
    assert len((await many).entities) == MAX_WAITING


async def test_a_model_that_does_not_load_says_so() -> None:
    def load() -> NoReturn:
        raise OSError("/secret/path")

    worker = ModelWorker("fake", load)
    broken = NerEngine({NER: worker}, {}, PATIENCE_S)
    findings = await broken.find(of("x"), [PERSON])
    assert findings.missing == {PERSON: "the fake model cannot be loaded (OSError)"}
    assert broken.states() == {NER: "cannot be loaded (OSError)"}


async def test_a_model_that_is_still_loading_is_waited_for_within_the_budget(fake: Fake) -> None:
    loaded = threading.Event()

    def load() -> Fake:
        loaded.wait(PATIENCE_S)
        return fake

    fake.go.set()
    worker = ModelWorker("fake", load)
    impatient = NerEngine({NER: worker}, {}, 0.02)
    assert impatient.states() == {NER: "loading"}
    assert (await impatient.find(of("x"), [PERSON])).missing == {
        PERSON: "the model is still loading"
    }
    patient = asyncio.create_task(NerEngine({NER: worker}, {}, PATIENCE_S).find(of("x"), [PERSON]))
    loaded.set()
    assert len((await patient).entities) == 1


def test_without_a_model_everything_is_missing() -> None:
    none = open_engine()
    findings = none.find_now(of("x"), [PERSON, FALCON])
    assert findings.missing == {
        PERSON: "no Presidio model is configured (PDP_NER_MODEL_DIR)",
        FALCON: "no GLiNER model is configured (PDP_GLINER_MODEL_DIR)",
    }
    assert none.missing([PERSON, FALCON]) == findings.missing


async def test_where_nothing_is_asked_nothing_is_missing() -> None:
    none = open_engine()
    assert none.find_now([], [PERSON]) == await none.find([], [PERSON]) == NerFindings()
    assert none.find_now(of("x"), []) == await none.find(of("x"), []) == NerFindings()


def test_a_directory_without_a_model_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"PDP_NER_MODEL_DIR: .* has no config.cfg"):
        open_engine(tmp_path)
    with pytest.raises(ConfigError, match=r"PDP_GLINER_MODEL_DIR: .* has no gliner_config.json"):
        open_engine(None, tmp_path / "none")


def test_an_extra_that_is_not_installed_stops_the_start(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.detect.ner.loading.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"install pdp\[ner\]"):
        open_engine(models[0])
    with pytest.raises(ConfigError, match=r"install pdp\[gliner\]"):
        open_engine(None, models[1])


@given(st.lists(st.text(alphabet="ab \n", max_size=3 * SIZE), max_size=3), st.data())
def test_every_value_is_whole_in_a_window_and_keeps_its_place(
    texts: list[str], data: st.DataObject
) -> None:
    pieces = windows(texts)
    assert all(len(each.text) <= SIZE for each in pieces)
    for index, text in enumerate(texts):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + OVERLAP // 2)))
        whole = [
            (each, [RecognizedEntity("L", start - each.offset, end - each.offset, 0.5)])
            for each in pieces
            if each.text_index == index
            and each.offset <= start
            and end <= each.offset + len(each.text)
        ]
        assert whole
        assert joined(whole, len(texts))[index] == [RecognizedEntity("L", start, end, 0.5)]
