"""Opens the models that the settings name, without importing packages that are not needed."""

from __future__ import annotations

import threading
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.detect.ner import gliner, presidio
from pdp.detect.ner.engine import NerEngine
from pdp.detect.ner.worker import ModelWorker
from pdp.domain.dlp_rule import LLM, NER
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pdp.detect.ner.recognizer import Recognizer

DEFAULT_BUDGET_S: Final = 0.5

_IMPORTING: Final = threading.Lock()
"""Held while a model loads. The packages of two models share modules, and two threads that import
them at the same time can meet a module that is only half initialized."""


class _ModelKind(NamedTuple):
    """A kind of model.

    Attributes:
        name: its name in messages.
        setting: the environment variable that names its directory.
        extra: the extra of the pdp package that installs what it needs.
        modules: the modules that it imports.
        files: the files that its directory must have.
        load: loads a model from a directory.
    """

    name: str
    setting: str
    extra: str
    modules: Sequence[str]
    files: Sequence[str]
    load: Callable[[Path], Recognizer]


_KINDS: Final = {
    NER: _ModelKind(
        "Presidio",
        "PDP_NER_MODEL_DIR",
        "ner",
        ("presidio_analyzer", "spacy"),
        ("config.cfg", "meta.json"),
        presidio.load,
    ),
    LLM: _ModelKind(
        "GLiNER",
        "PDP_GLINER_MODEL_DIR",
        "gliner",
        ("numpy", "onnxruntime", "tokenizers"),
        gliner.FILES,
        gliner.load,
    ),
}


def open_engine(
    ner_model_dir: Path | None = None,
    gliner_model_dir: Path | None = None,
    budget_s: float = DEFAULT_BUDGET_S,
) -> NerEngine:
    """Returns an engine with the models that the settings name; they load in their own threads.

    Args:
        ner_model_dir: directory of a spaCy pipeline, for rules of type `ner`; None for no model.
        gliner_model_dir: directory of a GLiNER model, for rules of type `llm`; None for no model.
        budget_s: maximum seconds that a request waits for the models.

    Raises:
        ConfigError: a directory does not contain a model, or a required package is not installed.
    """
    workers: dict[str, ModelWorker] = {}
    absent: dict[str, str] = {}
    for detector_type, directory in ((NER, ner_model_dir), (LLM, gliner_model_dir)):
        kind = _KINDS[detector_type]
        if directory is None:
            absent[detector_type] = f"no {kind.name} model is configured ({kind.setting})"
            continue
        _check(kind, directory)
        workers[detector_type] = ModelWorker(kind.name, partial(_load, kind, directory))
    return NerEngine(workers, absent, budget_s)


def _load(kind: _ModelKind, directory: Path) -> Recognizer:
    with _IMPORTING:
        return kind.load(directory)


def _check(kind: _ModelKind, directory: Path) -> None:
    """Stops the start if a model cannot work, so that no decision silently lacks it."""
    missing = [name for name in kind.files if not (directory / name).is_file()]
    if missing:
        raise ConfigError(
            f"{kind.setting}: {directory} is not a {kind.name} model: the file {missing[0]} is "
            f"missing. Name a directory with {', '.join(kind.files)}, or leave the setting out."
        )
    absent = [name for name in kind.modules if find_spec(name) is None]
    if absent:
        raise ConfigError(
            f"{kind.setting} needs the package {absent[0]}, which is not installed; "
            f"install pdp[{kind.extra}] or unset it"
        )
