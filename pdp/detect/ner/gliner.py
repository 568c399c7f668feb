"""`llm` rules: a GLiNER model (zero-shot, any labels) on onnxruntime, from a directory.

The directory has `gliner_config.json`, `tokenizer.json` and `model.onnx`, as GLiNER's own export
writes them for a model that scores spans (`span_mode: markerV0`).

The model reads a prompt of labels and the words of a text, as the pieces of its tokenizer. It
scores each run of up to `max_width` words for each label: `logits[text, first word, width, label]`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.detect.ner.recognizer import RecognizedEntity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.detect.ner.recognizer import Recogniser

CONFIG: Final = "gliner_config.json"
TOKENIZER: Final = "tokenizer.json"
MODEL: Final = "model.onnx"
FILES: Final = (CONFIG, TOKENIZER, MODEL)

LEAST: Final = 0.3
"""Confidence below which nothing is reported; rules set their own thresholds above it."""

MAX_LABELS: Final = 25
"""Labels of one run: a longer prompt leaves the model too little of the text."""

THREADS: Final = 2
"""Of one run; the rest of the machine decides meanwhile."""

_WORD: Final = re.compile(r"\w+(?:[-_]\w+)*|\S")
_SPAN_INPUTS: Final = frozenset(
    ("input_ids", "attention_mask", "words_mask", "text_lengths", "span_idx", "span_mask")
)
_NEEDED: Final = frozenset(("input_ids", "words_mask", "span_idx"))
"""An export leaves out the inputs that its graph has no use for."""


class _Word(NamedTuple):
    """A word of a text, and where it lies."""

    text: str
    start: int
    end: int


class _Piece(NamedTuple):
    """A run of words that fits the model."""

    text_index: int
    words: Sequence[_Word]


class GlinerRecogniser:
    """A GLiNER model. It takes any labels."""

    labels: frozenset[str] | None = None

    def __init__(self, session: Any, tokenizer: Any, config: dict[str, Any]) -> None:
        """Takes what `load` makes."""
        self._session = session
        self._inputs_taken = {each.name for each in session.get_inputs()}
        self._tokenizer = tokenizer
        self._width = int(config.get("max_width", 12))
        self._longest = int(config.get("max_len", 384))
        self._entity_mark = str(config.get("ent_token", "<<ENT>>"))
        self._end_mark = str(config.get("sep_token", "<<SEP>>"))

    def recognise(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        """See `Recogniser`."""
        found: list[list[RecognizedEntity]] = [[] for _ in texts]
        pieces = [piece for index, text in enumerate(texts) for piece in self._pieces(index, text)]
        for start in range(0, len(labels), MAX_LABELS) if pieces else ():
            asked = labels[start : start + MAX_LABELS]
            for piece, values in zip(pieces, self._run(pieces, asked), strict=True):
                found[piece.text_index] += values
        return [list(dict.fromkeys(each)) for each in found]

    def _pieces(self, index: int, text: str) -> Iterator[_Piece]:
        words = [_Word(each.group(), *each.span()) for each in _WORD.finditer(text)]
        start = 0
        while words[start:]:
            yield _Piece(index, words[start : start + self._longest])
            if start + self._longest >= len(words):
                return
            start += self._longest - self._width

    def _run(
        self, pieces: Sequence[_Piece], labels: Sequence[str]
    ) -> Iterator[list[RecognizedEntity]]:
        inputs = self._inputs(pieces, labels)
        logits = self._session.run(["logits"], inputs)[0]
        for piece, scores in zip(pieces, logits, strict=True):
            yield self._decoded(piece.words, labels, scores)

    def _inputs(self, pieces: Sequence[_Piece], labels: Sequence[str]) -> dict[str, Any]:
        import numpy as np  # noqa: PLC0415 - a bare install does not have it

        prompt = [part for label in labels for part in (self._entity_mark, label)]
        prompt.append(self._end_mark)
        encoded = self._tokenizer.encode_batch(
            [[*prompt, *(word.text for word in piece.words)] for piece in pieces],
            is_pretokenized=True,
        )
        longest = max(len(each.ids) for each in encoded)
        words = max(len(piece.words) for piece in pieces)
        ids = np.zeros((len(pieces), longest), np.int64)
        attention, word_mask = np.zeros_like(ids), np.zeros_like(ids)
        for row, each in enumerate(encoded):
            ids[row, : len(each.ids)] = each.ids
            attention[row, : len(each.ids)] = each.attention_mask
            word_mask[row, : len(each.ids)] = _words_mask(each.word_ids, len(prompt))
        lengths = np.array([[len(piece.words)] for piece in pieces], np.int64)
        firsts = np.repeat(np.arange(words), self._width)
        lasts = firsts + np.tile(np.arange(self._width), words)
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
        return {name: value for name, value in inputs.items() if name in self._inputs_taken}

    def _decoded(
        self, words: Sequence[_Word], labels: Sequence[str], logits: Any
    ) -> list[RecognizedEntity]:
        """Returns the values of one piece; of those that overlap, the surest."""
        import numpy as np  # noqa: PLC0415 - a bare install does not have it

        scores = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        candidates = []
        for first, width, label in np.argwhere(scores >= LEAST).tolist():
            last = first + width
            if last < len(words):
                sure = float(scores[first, width, label])
                candidates.append(
                    RecognizedEntity(labels[label], words[first].start, words[last].end, sure)
                )
        chosen: list[RecognizedEntity] = []
        for each in sorted(candidates, key=lambda one: -one.confidence):
            if all(each.end <= other.start or other.end <= each.start for other in chosen):
                chosen.append(each)
        return sorted(chosen, key=lambda one: one.start)


def _words_mask(word_ids: Sequence[int | None], prompt: int) -> list[int]:
    """Numbers the first piece of each word of the text from 1; all else is 0."""
    mask: list[int] = []
    before: int | None = None
    for word in word_ids:
        first = word is not None and word != before and word >= prompt
        mask.append(word - prompt + 1 if first and word is not None else 0)
        before = word
    return mask


def load(directory: Path) -> Recogniser:
    """Returns the model in `directory`.

    Raises:
        OSError: a file is missing.
        ValueError: it is not a model that scores spans.
    """
    # Imported here: a bare install does not have them.
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
    if not _NEEDED <= inputs <= _SPAN_INPUTS:
        raise ValueError(f"the model takes inputs of another kind: {sorted(inputs)}")
    return GlinerRecogniser(session, tokenizer, config)
