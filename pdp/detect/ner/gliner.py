"""`llm` rules: a GLiNER model (zero-shot, any labels) on onnxruntime, from a directory.

The directory has `gliner_config.json`, `tokenizer.json` and `model.onnx`. GLiNER's own export
writes these files for a model that scores spans (`span_mode: markerV0`).

The input of the model is a prompt of labels, followed by the words of a text, both as tokens. For
each label, the model scores each span of up to `max_width` words:
`logits[text, first word, width, label]`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.detect.ner.recognizer import RecognizedEntity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.detect.ner.recognizer import Recognizer

CONFIG: Final = "gliner_config.json"
TOKENIZER: Final = "tokenizer.json"
MODEL: Final = "model.onnx"
FILES: Final = (CONFIG, TOKENIZER, MODEL)

MIN_CONFIDENCE: Final = 0.3
"""Entities of lower confidence are not reported. Rules set their own, higher thresholds."""

MAX_LABELS: Final = 25
"""Labels of one run. A longer prompt leaves too little of the input for the text."""

THREADS: Final = 2
"""Threads of one run, so that other cores stay free for decisions."""

_WORD: Final = re.compile(r"\w+(?:[-_]\w+)*|\S")
_SPAN_INPUTS: Final = frozenset(
    ("input_ids", "attention_mask", "words_mask", "text_lengths", "span_idx", "span_mask")
)
_REQUIRED_INPUTS: Final = frozenset(("input_ids", "words_mask", "span_idx"))
"""Other inputs are absent from an exported graph that does not use them."""


class _Word(NamedTuple):
    """A word of a text, and its span."""

    text: str
    start: int
    end: int


class _Passage(NamedTuple):
    """Words of a text that fit into one input of the model."""

    text_index: int
    words: Sequence[_Word]


class GlinerRecognizer:
    """A GLiNER model. It accepts any labels."""

    labels: frozenset[str] | None = None

    def __init__(self, session: Any, tokenizer: Any, config: dict[str, Any]) -> None:
        """Use `load` instead."""
        self._session = session
        self._input_names = {each.name for each in session.get_inputs()}
        self._tokenizer = tokenizer
        self._max_width = int(config.get("max_width", 12))
        self._max_words = int(config.get("max_len", 384))
        self._entity_token = str(config.get("ent_token", "<<ENT>>"))
        self._separator = str(config.get("sep_token", "<<SEP>>"))

    def recognize(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        """See `Recognizer`."""
        by_text: list[list[RecognizedEntity]] = [[] for _ in texts]
        passages = [
            passage for index, text in enumerate(texts) for passage in self._passages(index, text)
        ]
        for start in range(0, len(labels), MAX_LABELS) if passages else ():
            some = labels[start : start + MAX_LABELS]
            for passage, entities in zip(passages, self._run(passages, some), strict=True):
                by_text[passage.text_index] += entities
        return [list(dict.fromkeys(each)) for each in by_text]

    def _passages(self, index: int, text: str) -> Iterator[_Passage]:
        words = [_Word(each.group(), *each.span()) for each in _WORD.finditer(text)]
        start = 0
        while words[start:]:
            yield _Passage(index, words[start : start + self._max_words])
            if start + self._max_words >= len(words):
                return
            start += self._max_words - self._max_width

    def _run(
        self, passages: Sequence[_Passage], labels: Sequence[str]
    ) -> Iterator[list[RecognizedEntity]]:
        inputs = self._inputs(passages, labels)
        logits = self._session.run(["logits"], inputs)[0]
        for passage, scores in zip(passages, logits, strict=True):
            yield self._entities(passage.words, labels, scores)

    def _inputs(self, passages: Sequence[_Passage], labels: Sequence[str]) -> dict[str, Any]:
        import numpy as np  # noqa: PLC0415 - an optional package

        prompt = [part for label in labels for part in (self._entity_token, label)]
        prompt.append(self._separator)
        encoded = self._tokenizer.encode_batch(
            [[*prompt, *(word.text for word in passage.words)] for passage in passages],
            is_pretokenized=True,
        )
        longest = max(len(each.ids) for each in encoded)
        words = max(len(passage.words) for passage in passages)
        ids = np.zeros((len(passages), longest), np.int64)
        attention, word_mask = np.zeros_like(ids), np.zeros_like(ids)
        for row, each in enumerate(encoded):
            ids[row, : len(each.ids)] = each.ids
            attention[row, : len(each.ids)] = each.attention_mask
            word_mask[row, : len(each.ids)] = _words_mask(each.word_ids, len(prompt))
        lengths = np.array([[len(passage.words)] for passage in passages], np.int64)
        firsts = np.repeat(np.arange(words), self._max_width)
        lasts = firsts + np.tile(np.arange(self._max_width), words)
        spans = np.stack([firsts, lasts], axis=1)
        within = lasts[None, :] < lengths
        inputs = {
            "input_ids": ids,
            "attention_mask": attention,
            "words_mask": word_mask,
            "text_lengths": lengths,
            "span_idx": np.where(within[:, :, None], spans[None], 0).astype(np.int64),
            "span_mask": within,
        }
        return {name: value for name, value in inputs.items() if name in self._input_names}

    def _entities(
        self, words: Sequence[_Word], labels: Sequence[str], logits: Any
    ) -> list[RecognizedEntity]:
        """Returns the entities of one passage; if some overlap, that of the highest confidence."""
        import numpy as np  # noqa: PLC0415 - an optional package

        scores = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        candidates = []
        for first, width, label in np.argwhere(scores >= MIN_CONFIDENCE).tolist():
            last = first + width
            if last < len(words):
                confidence = float(scores[first, width, label])
                candidates.append(
                    RecognizedEntity(labels[label], words[first].start, words[last].end, confidence)
                )
        chosen: list[RecognizedEntity] = []
        for each in sorted(candidates, key=lambda one: -one.confidence):
            if all(each.end <= other.start or other.end <= each.start for other in chosen):
                chosen.append(each)
        return sorted(chosen, key=lambda one: one.start)


def _words_mask(word_ids: Sequence[int | None], prompt_length: int) -> list[int]:
    """Returns the number of the word, from 1, for its first token; 0 for all other tokens."""
    mask: list[int] = []
    previous: int | None = None
    for word in word_ids:
        first = word is not None and word != previous and word >= prompt_length
        mask.append(word - prompt_length + 1 if first and word is not None else 0)
        previous = word
    return mask


def load(directory: Path) -> Recognizer:
    """Loads the model in `directory`.

    Raises:
        OSError: a file is missing.
        ValueError: the model does not score spans.
    """
    # Imported here, because the packages are optional.
    import onnxruntime  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415

    config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(directory / TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(directory / MODEL), options, providers=["CPUExecutionProvider"]
    )
    inputs = {each.name for each in session.get_inputs()}
    if not _REQUIRED_INPUTS <= inputs <= _SPAN_INPUTS:
        raise ValueError(f"the model does not score spans; its inputs are {sorted(inputs)}")
    return GlinerRecognizer(session, tokenizer, config)
