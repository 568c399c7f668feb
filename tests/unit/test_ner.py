"""Named entities: the real loading code with tiny models, and the behavior for any model."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.detect.ner import NerEngine, gliner, loading, open_engine
from pdp.detect.ner.recognizer import RecognizedEntity
from pdp.detect.ner.windows import OVERLAP, SIZE, merge, split
from pdp.detect.ner.worker import BATCH, MAX_WAITING, ModelWorker
from pdp.domain.dlp_rule import LLM, NER
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings
from pdp.errors import ConfigError
from tests.support import ner_models
from tests.support.onnx_graph import FLOAT, INT64, Graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TIMEOUT_S = 60.0
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
    opened = open_engine(*models, budget_s=TIMEOUT_S)
    yield opened
    opened.close()


def no_network(*_arguments: object) -> NoReturn:
    raise AssertionError("a model used the network")


def values(entities: Sequence[NamedEntity], *texts: str) -> list[tuple[str, str]]:
    """Returns the label and value of each entity; the path of a text is its index."""
    return [
        (each.label.name, texts[int(each.path or "0")][each.start : each.end]) for each in entities
    ]


def of(*texts: str) -> list[tuple[str | None, str]]:
    return [(str(index), text) for index, text in enumerate(texts)]


def test_both_models_load_and_find_without_a_network(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    opened = open_engine(*models, budget_s=TIMEOUT_S)
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

    def test_labels_are_the_names_that_presidio_uses(self, engine: NerEngine) -> None:
        text = "The weather in Vienna is fine ."
        findings = engine.find_now(of(text), [LOCATION])
        assert values(findings.entities, text) == [("LOCATION", "Vienna")]

    def test_only_requested_labels_are_found(self, engine: NerEngine) -> None:
        assert engine.find_now(of("Please call Greta Weber tomorrow ."), [LOCATION]).entities == ()

    def test_a_label_that_the_model_does_not_know_is_missing(self, engine: NerEngine) -> None:
        unknown = EntityLabel(NER, "BLOOD_TYPE")
        findings = engine.find_now(of("Please call Greta Weber tomorrow ."), [PERSON, unknown])
        assert len(findings.entities) == 1
        assert findings.missing == {unknown: "the Presidio model finds LOCATION, PERSON only"}

    def test_a_long_text_is_searched_to_its_end(self, engine: NerEngine) -> None:
        text = "The report is fine . " * 200 + "Please call Greta Weber tomorrow ."
        findings = engine.find_now(of(text), [PERSON])
        assert ("PERSON", "Greta Weber") in values(findings.entities, text)


class TestGliner:
    def test_any_label_is_accepted(self, engine: NerEngine) -> None:
        texts = ("The falcon, the heron", "heron")
        findings = engine.find_now(of(*texts), [FALCON, HERON, EntityLabel(LLM, "badge")])
        assert values(findings.entities, *texts) == [
            ("falcon", "falcon"),
            ("heron", "heron"),
            ("heron", "heron"),
        ]
        assert all(0.9 < each.confidence <= 1 for each in findings.entities)

    def test_a_text_longer_than_the_input_of_the_model_is_searched(self, engine: NerEngine) -> None:
        text = "opens " * (ner_models.MAX_LEN * 3) + "falcon"
        assert values(engine.find_now(of(text), [FALCON]).entities, text) == [("falcon", "falcon")]

    def test_more_labels_than_fit_into_one_run_are_all_searched(self, engine: NerEngine) -> None:
        labels = [EntityLabel(LLM, f"thing {number}") for number in range(gliner.MAX_LABELS * 2)]
        findings = engine.find_now(of("falcon heron"), [*labels, FALCON, HERON])
        assert values(findings.entities, "falcon heron") == [
            ("falcon", "falcon"),
            ("heron", "heron"),
        ]

    def test_nothing_is_found_in_empty_texts(self, engine: NerEngine) -> None:
        assert engine.find_now(of("", " "), [FALCON]).entities == ()

    def test_a_model_that_does_not_score_spans_is_rejected(self, tmp_path: Path) -> None:
        ner_models.gliner_model(tmp_path)
        graph = Graph()
        pixels = graph("Cast", graph.input("pixels", INT64, "n"), to=FLOAT)
        graph.output(pixels, "logits", "n")
        (tmp_path / gliner.MODEL).write_bytes(graph.serialised())
        with pytest.raises(ValueError, match="does not score spans"):
            gliner.load(tmp_path)


async def test_concurrent_requests_get_their_own_entities(engine: NerEngine) -> None:
    words = ("falcon", "heron", "badge", "alice")
    requests = [(word, "opens " * (number * 40) + word) for number in range(6) for word in words]
    answers = await asyncio.gather(
        *(engine.find(of(text), [EntityLabel(LLM, word)]) for word, text in requests)
    )
    for (word, text), findings in zip(requests, answers, strict=True):
        assert values(findings.entities, text) == [(word, word)]


class Fake:
    """A model that finds the letter x, after `go` is set."""

    labels: frozenset[str] | None = None

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = threading.Event()
        self.runs: list[int] = []
        self.error: Exception | None = None

    def recognize(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        self.runs.append(len(texts))
        self.running.set()
        self.go.wait(TIMEOUT_S)
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
    model = Fake()
    yield model
    model.go.set()


def engine_of(model: Fake, budget_s: float = TIMEOUT_S) -> NerEngine:
    worker = ModelWorker("fake", lambda: model)
    assert worker.wait(TIMEOUT_S)
    return NerEngine({NER: worker}, {LLM: "there is none"}, budget_s)


async def test_entities_are_missing_if_the_model_exceeds_the_budget(fake: Fake) -> None:
    slow = engine_of(fake, 0.02)
    findings = await slow.find(of("x"), [PERSON])
    assert findings.entities == ()
    assert findings.missing == {PERSON: "the time budget of 20 ms ran out"}
    assert slow.find_now(of("x"), [PERSON]).missing == findings.missing


async def test_cancelled_requests_are_skipped(fake: Fake) -> None:
    slow = engine_of(fake, 0.02)
    for _ in range(10):
        await slow.find(of("x"), [PERSON])
    fake.go.set()
    unhurried = NerEngine(slow._workers, {}, TIMEOUT_S)
    assert len((await unhurried.find(of("xx"), [PERSON])).entities) == 2
    assert fake.runs == [1, 1]


async def test_waiting_requests_run_together(fake: Fake) -> None:
    model = engine_of(fake)
    tasks = [asyncio.create_task(model.find(of("x"), [PERSON]))]
    await asyncio.to_thread(fake.running.wait, TIMEOUT_S)
    tasks += [asyncio.create_task(model.find(of("x", "y"), [PERSON])) for _ in range(5)]
    await asyncio.sleep(0)
    fake.go.set()
    assert [len(each.entities) for each in await asyncio.gather(*tasks)] == [1] * 6
    assert fake.runs == [1, 10]


async def test_a_long_text_does_not_delay_other_requests(fake: Fake) -> None:
    model = engine_of(fake)
    long = asyncio.create_task(model.find(of("x " * SIZE * BATCH), [PERSON]))
    await asyncio.to_thread(fake.running.wait, TIMEOUT_S)
    short = asyncio.create_task(model.find(of("x"), [PERSON]))
    await asyncio.sleep(0)
    fake.go.set()
    assert len((await short).entities) == 1
    assert not long.done()
    assert len((await long).entities) == SIZE * BATCH


async def test_entities_are_missing_after_a_failed_run_and_the_model_runs_again(fake: Fake) -> None:
    model = engine_of(fake)
    fake.go.set()
    fake.error = RuntimeError("secret")
    assert (await model.find(of("x"), [PERSON])).missing == {PERSON: "the model failed"}
    fake.error = None
    assert len((await model.find(of("x"), [PERSON])).entities) == 1


async def test_a_request_is_rejected_if_too_many_windows_wait(fake: Fake) -> None:
    model = engine_of(fake)
    first = asyncio.create_task(model.find(of(*"xy"), [PERSON]))
    await asyncio.to_thread(fake.running.wait, TIMEOUT_S)
    many = asyncio.create_task(model.find(of(*["x"] * MAX_WAITING), [PERSON]))
    await asyncio.sleep(0)
    rejected = await model.find(of("x"), [PERSON])
    assert rejected.missing == {PERSON: "too many requests wait for the model"}
    fake.go.set()
    assert not (await first).missing
    assert len((await many).entities) == MAX_WAITING


async def test_the_reason_names_the_error_of_loading() -> None:
    def load() -> NoReturn:
        raise OSError("/secret/path")

    worker = ModelWorker("fake", load)
    broken = NerEngine({NER: worker}, {}, TIMEOUT_S)
    findings = await broken.find(of("x"), [PERSON])
    assert findings.missing == {PERSON: "the fake model cannot be loaded (OSError)"}
    assert broken.states() == {NER: "cannot be loaded (OSError)"}


async def test_a_request_waits_for_a_loading_model_within_the_budget(fake: Fake) -> None:
    loaded = threading.Event()

    def load() -> Fake:
        loaded.wait(TIMEOUT_S)
        return fake

    fake.go.set()
    worker = ModelWorker("fake", load)
    hurried = NerEngine({NER: worker}, {}, 0.02)
    assert hurried.states() == {NER: "loading"}
    assert (await hurried.find(of("x"), [PERSON])).missing == {PERSON: "the model is still loading"}
    task = asyncio.create_task(NerEngine({NER: worker}, {}, TIMEOUT_S).find(of("x"), [PERSON]))
    loaded.set()
    assert len((await task).entities) == 1


def test_two_models_load_one_after_the_other(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their packages share modules, which two threads must not import at the same time."""
    both_load = threading.Barrier(2)

    def load(_directory: Path) -> NoReturn:
        both_load.wait(0.2)
        raise AssertionError("both models load at the same time")

    kinds = {name: kind._replace(load=load) for name, kind in loading._KINDS.items()}
    monkeypatch.setattr(loading, "_KINDS", kinds)
    opened = open_engine(*models)
    try:
        opened.wait()
        assert set(opened.states().values()) == {"cannot be loaded (BrokenBarrierError)"}
    finally:
        opened.close()


def test_without_a_model_all_entities_are_missing() -> None:
    none = open_engine()
    findings = none.find_now(of("x"), [PERSON, FALCON])
    assert findings.missing == {
        PERSON: "no Presidio model is configured (PDP_NER_MODEL_DIR)",
        FALCON: "no GLiNER model is configured (PDP_GLINER_MODEL_DIR)",
    }
    assert none.missing([PERSON, FALCON]) == findings.missing


async def test_nothing_is_missing_if_nothing_is_requested() -> None:
    none = open_engine()
    assert none.find_now([], [PERSON]) == await none.find([], [PERSON]) == NerFindings()
    assert none.find_now(of("x"), []) == await none.find(of("x"), []) == NerFindings()


def test_a_directory_without_a_model_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"PDP_NER_MODEL_DIR: .* config.cfg is missing"):
        open_engine(tmp_path)
    with pytest.raises(
        ConfigError, match=r"PDP_GLINER_MODEL_DIR: .* gliner_config.json is missing"
    ):
        open_engine(None, tmp_path / "none")


def test_a_missing_package_stops_the_start(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.detect.ner.loading.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"install pdp\[ner\]"):
        open_engine(models[0])
    with pytest.raises(ConfigError, match=r"install pdp\[gliner\]"):
        open_engine(None, models[1])


@given(st.lists(st.text(alphabet="ab \n", max_size=3 * SIZE), max_size=3), st.data())
def test_each_value_is_complete_in_a_window_and_keeps_its_position(
    texts: list[str], data: st.DataObject
) -> None:
    windows = split(texts)
    assert all(len(each.text) <= SIZE for each in windows)
    for index, text in enumerate(texts):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + OVERLAP // 2)))
        whole = [
            (each, [RecognizedEntity("L", start - each.offset, end - each.offset, 0.5)])
            for each in windows
            if each.text_index == index
            and each.offset <= start
            and end <= each.offset + len(each.text)
        ]
        assert whole
        assert merge(whole, len(texts))[index] == [RecognizedEntity("L", start, end, 0.5)]
