"""`ner` rules: Presidio's spaCy recognizer, with a spaCy pipeline from a directory.

Presidio's own pattern recognizers are not used: the built-in detectors cover them, and two of them
download a list of public suffixes. The directory is complete, so nothing is downloaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.detect.ner.recognizer import RecognizedEntity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdp.detect.ner.recognizer import Recognizer

LANGUAGE: Final = "en"
"""The code under which Presidio registers the pipeline; its language can be any other."""

_UNUSED: Final = ("parser", "lemmatizer", "tagger", "attribute_ruler", "morphologizer", "senter")
"""Components of a pipeline that named entities do not need."""


class PresidioRecognizer:
    """A spaCy pipeline that runs through Presidio."""

    def __init__(self, engine: Any, recognizer: Any, labels: frozenset[str]) -> None:
        """Use `load` instead."""
        self._engine = engine
        self._recognizer = recognizer
        self.labels: frozenset[str] | None = labels

    def recognize(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        """See `Recognizer`."""
        batch = self._engine.process_batch(texts, LANGUAGE, batch_size=len(texts))
        return [
            [
                RecognizedEntity(each.entity_type, each.start, each.end, each.score)
                for each in self._recognizer.analyze(text, labels, artifacts)
            ]
            for text, artifacts in batch
        ]


def load(directory: Path) -> Recognizer:
    """Loads the pipeline in `directory`, which `spacy.Language.to_disk` has written.

    Raises:
        OSError: there is no pipeline in the directory.
        ValueError: the pipeline does not find named entities.
    """
    # Imported here, because the import takes two seconds and the package is optional.
    from presidio_analyzer.nlp_engine import (  # noqa: PLC0415
        NerModelConfiguration,
        SpacyNlpEngine,
    )
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer  # noqa: PLC0415

    if not directory.is_dir():
        # Presidio would use the path as the name of a model and download it.
        raise NotADirectoryError(directory)
    names = {"lang_code": LANGUAGE, "model_name": str(directory)}
    configuration = NerModelConfiguration()
    engine = SpacyNlpEngine([names], configuration)
    engine.load()
    pipeline = engine.get_nlp(LANGUAGE)
    pipeline.select_pipes(disable=[name for name in _UNUSED if name in pipeline.pipe_names])
    mapping = configuration.model_to_presidio_entity_mapping or {}
    model_labels = {label for name in ("ner", "entity_ruler") for label in _labels(pipeline, name)}
    if not model_labels:
        raise ValueError("the pipeline does not find named entities")
    identity = {label: label for label in model_labels}
    configuration.model_to_presidio_entity_mapping = identity | mapping
    labels = frozenset(mapping.get(label, label) for label in model_labels)
    return PresidioRecognizer(engine, SpacyRecognizer(supported_entities=sorted(labels)), labels)


def _labels(pipeline: Any, name: str) -> Sequence[str]:
    return pipeline.get_pipe(name).labels if name in pipeline.pipe_names else ()
