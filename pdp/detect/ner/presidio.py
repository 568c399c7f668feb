"""`ner` rules: Presidio's recogniser on a spaCy pipeline from a directory.

Presidio's own pattern recognisers are left out: the built-in detectors do their work, and two of
them fetch a list of public suffixes. Nothing is downloaded; the directory has all there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.detect.ner.recognizer import RecognizedEntity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdp.detect.ner.recognizer import Recogniser

LANGUAGE: Final = "en"
"""What Presidio files the pipeline under; the pipeline itself may be of any language."""

_UNUSED: Final = ("parser", "lemmatizer", "tagger", "attribute_ruler", "morphologizer", "senter")
"""Parts of a pipeline that named entities do not need."""


class PresidioRecogniser:
    """A spaCy pipeline, as Presidio reads it."""

    def __init__(self, engine: Any, recogniser: Any, labels: frozenset[str]) -> None:
        """Takes what `load` makes."""
        self._engine = engine
        self._recogniser = recogniser
        self.labels: frozenset[str] | None = labels

    def recognise(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        """See `Recogniser`."""
        batch = self._engine.process_batch(texts, LANGUAGE, batch_size=len(texts))
        return [
            [
                RecognizedEntity(each.entity_type, each.start, each.end, each.score)
                for each in self._recogniser.analyze(text, labels, artifacts)
            ]
            for text, artifacts in batch
        ]


def load(directory: Path) -> Recogniser:
    """Returns the pipeline in `directory`, as `spacy.Language.to_disk` writes it.

    Raises:
        OSError: there is none.
        ValueError: it finds no named entities.
    """
    # Imported here: it takes two seconds, and a bare install does not have it.
    from presidio_analyzer.nlp_engine import (  # noqa: PLC0415
        NerModelConfiguration,
        SpacyNlpEngine,
    )
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer  # noqa: PLC0415

    if not directory.is_dir():
        # Presidio would take the path for the name of a model, and download that.
        raise NotADirectoryError(directory)
    names = {"lang_code": LANGUAGE, "model_name": str(directory)}
    configuration = NerModelConfiguration()
    engine = SpacyNlpEngine([names], configuration)
    engine.load()
    pipeline = engine.get_nlp(LANGUAGE)
    pipeline.select_pipes(disable=[name for name in _UNUSED if name in pipeline.pipe_names])
    mapping = configuration.model_to_presidio_entity_mapping or {}
    found = {label for name in ("ner", "entity_ruler") for label in _labels(pipeline, name)}
    if not found:
        raise ValueError("the pipeline finds no named entities")
    configuration.model_to_presidio_entity_mapping = {label: label for label in found} | mapping
    labels = frozenset(mapping.get(label, label) for label in found)
    return PresidioRecogniser(engine, SpacyRecognizer(supported_entities=sorted(labels)), labels)


def _labels(pipeline: Any, name: str) -> Sequence[str]:
    return pipeline.get_pipe(name).labels if name in pipeline.pipe_names else ()
