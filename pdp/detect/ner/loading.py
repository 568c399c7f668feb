"""Which models this process has: from the settings, without importing what is not needed."""

from __future__ import annotations

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

    from pdp.detect.ner.recognizer import Recogniser

DEFAULT_BUDGET_S: Final = 0.5


class _Kind(NamedTuple):
    """A kind of model: what it is called, set by and made of."""

    name: str
    setting: str
    extra: str
    modules: Sequence[str]
    files: Sequence[str]
    load: Callable[[Path], Recogniser]


_KINDS: Final = {
    NER: _Kind(
        "Presidio",
        "PDP_NER_MODEL_DIR",
        "ner",
        ("presidio_analyzer", "spacy"),
        ("config.cfg", "meta.json"),
        presidio.load,
    ),
    LLM: _Kind(
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
        ner_model_dir: of a spaCy pipeline, for rules of type `ner`; None for none.
        gliner_model_dir: of a GLiNER model, for rules of type `llm`; None for none.
        budget_s: seconds that a request may wait for the models.

    Raises:
        ConfigError: a directory is named and has no model, or what runs it is not installed.
    """
    workers: dict[str, ModelWorker] = {}
    absent: dict[str, str] = {}
    for kind, directory in ((NER, ner_model_dir), (LLM, gliner_model_dir)):
        of = _KINDS[kind]
        if directory is None:
            absent[kind] = f"no {of.name} model is configured ({of.setting})"
            continue
        _check(of, directory)
        workers[kind] = ModelWorker(of.name, partial(of.load, directory))
    return NerEngine(workers, absent, budget_s)


def _check(kind: _Kind, directory: Path) -> None:
    """Refuses what cannot work, at start: a missing model is never a quiet downgrade."""
    missing = [name for name in kind.files if not (directory / name).is_file()]
    if missing:
        raise ConfigError(
            f"{kind.setting}: {directory} is no {kind.name} model; it has no {missing[0]}"
        )
    absent = [name for name in kind.modules if find_spec(name) is None]
    if absent:
        raise ConfigError(
            f"{kind.setting} is set, and {absent[0]} is not installed; "
            f"install pdp[{kind.extra}] or unset it"
        )
