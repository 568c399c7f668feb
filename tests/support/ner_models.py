"""Tiny models that tests build, in the file formats of real models."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tests.support.onnx_graph import BOOL, INT64, Graph

if TYPE_CHECKING:
    from pathlib import Path

FIRST_NAMES: Final = ("Alice", "Boris", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo")
LAST_NAMES: Final = ("Smith", "Jones", "Keller", "Novak", "Rossi", "Tanaka", "Weber", "Yilmaz")
CITIES: Final = ("London", "Paris", "Berlin", "Madrid", "Vienna", "Oslo")
_SENTENCES: Final = (
    "Please call {person} tomorrow .",
    "{person} lives in {city} .",
    "The report was written by {person} in {city} .",
    "My colleague {person} moved to {city} last year .",
    "Send the contract to {person} .",
    "The weather in {city} is fine .",
)


def spacy_model(directory: Path) -> Path:
    """Trains a blank English pipeline on a few dozen sentences, and saves it.

    It detects PERSON and GPE, which Presidio calls LOCATION.
    """
    import spacy  # noqa: PLC0415 - two seconds, for those that need it
    from spacy.training import Example  # noqa: PLC0415
    from thinc.api import fix_random_seed  # noqa: PLC0415

    chance = random.Random(7)  # noqa: S311 - the same model every time
    fix_random_seed(7)
    pipeline = spacy.blank("en")
    pipeline.add_pipe("ner")
    examples = [_example(pipeline, Example, sentence, chance) for sentence in _SENTENCES * 10]
    optimizer = pipeline.initialize(lambda: examples)
    for _ in range(8):
        chance.shuffle(examples)
        for start in range(0, len(examples), 8):
            pipeline.update(examples[start : start + 8], sgd=optimizer)
    pipeline.to_disk(directory)
    return directory


def _example(pipeline: Any, example: Any, sentence: str, chance: random.Random) -> Any:
    name = f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
    city = chance.choice(CITIES)
    text = sentence.format(person=name, city=city)
    entities = [
        (text.index(value), text.index(value) + len(value), label)
        for value, label in ((name, "PERSON"), (city, "GPE"))
        if value in text
    ]
    document = pipeline.make_doc(text)
    return example.from_dict(document, {"entities": entities})


MAX_WIDTH: Final = 3
MAX_LEN: Final = 20
WORDS: Final = ["[UNK]", "<<ENT>>", "<<SEP>>", "the", "badge", "falcon", "opens", "heron", "alice"]


def gliner_model(directory: Path) -> Path:
    """Writes a model with the inputs and outputs of GLiNER's own export, and its other files.

    A label matches the same word: the label "falcon" detects the word "falcon". The model reads
    words through `words_mask`, and spans through `span_idx` and `span_mask`. So it detects nothing
    if one of these inputs is wrong.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = {"max_width": MAX_WIDTH, "max_len": MAX_LEN, "span_mode": "markerV0"}
    (directory / "gliner_config.json").write_text(json.dumps(config), encoding="utf-8")
    (directory / "model.onnx").write_bytes(_finds_the_same_word())
    _tokenizer(directory / "tokenizer.json")
    return directory


def _tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers  # noqa: PLC0415

    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<<ENT>>", "<<SEP>>"])
    tokenizer.save(str(path))


def _finds_the_same_word() -> bytes:
    graph = Graph()
    ids = graph.input("input_ids", INT64, "batch", "pieces")
    graph.input("attention_mask", INT64, "batch", "pieces")
    mask = graph.input("words_mask", INT64, "batch", "pieces")
    lengths = graph.input("text_lengths", INT64, "batch", "one")
    spans = graph.input("span_idx", INT64, "batch", "spans", "two")
    within = graph.input("span_mask", BOOL, "batch", "spans")
    words = _word_ids(graph, ids, mask, lengths)
    same = graph(
        "Equal",
        graph("Unsqueeze", words, graph.constant([2, 3])),
        graph("Unsqueeze", _label_ids(graph, ids), graph.constant([0, 1, 2])),
    )
    first, last = (graph("Gather", spans, graph.constant(side), axis=2) for side in (0, 1))
    single = graph("And", graph("Equal", first, last), within)
    single = graph("Reshape", single, graph.constant([0, -1, MAX_WIDTH]))
    single = graph("Unsqueeze", single, graph.constant([3]))
    high, low = (graph.constant(np.float32(logit)) for logit in (3.0, -3.0))
    matches = graph("Where", graph("And", same, single), high, low)
    graph.output(matches, "logits", "batch", "words", "width", "labels")
    return graph.serialised()


def _word_ids(graph: Graph, ids: str, mask: str, lengths: str) -> str:
    """Returns the piece of each word in `words_mask`: batch x words."""
    one = graph.constant(1)
    longest = graph("ReduceMax", lengths, keepdims=0)
    numbers = graph("Range", one, graph("Add", longest, one), one)
    is_word = graph(
        "Equal",
        graph("Unsqueeze", mask, graph.constant([1])),
        graph("Unsqueeze", numbers, graph.constant([0, 2])),
    )
    placed = graph(
        "Mul", graph("Cast", is_word, to=INT64), graph("Unsqueeze", ids, graph.constant([1]))
    )
    return graph("ReduceSum", placed, graph.constant([2]), keepdims=0)


def _label_ids(graph: Graph, ids: str) -> str:
    """Returns the piece behind each label mark of the first text; all texts share labels."""
    row = graph("Gather", ids, graph.constant(0), axis=0)
    marks = graph("NonZero", graph("Equal", row, graph.constant(WORDS.index("<<ENT>>"))))
    behind = graph("Add", graph("Squeeze", marks, graph.constant([0])), graph.constant(1))
    return graph("Gather", row, behind, axis=0)
