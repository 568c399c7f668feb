"""The protocol of models: Presidio and GLiNER both implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class RecognizedEntity(NamedTuple):
    """A value that a model found in one text; offsets count code points."""

    label: str
    start: int
    end: int
    confidence: float


class Recognizer(Protocol):
    """A loaded model. One thread uses it at a time."""

    @property
    def labels(self) -> frozenset[str] | None:
        """The labels that it knows; None if it accepts any label."""

    def recognize(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        """Returns the entities of `labels` in each of `texts`, with one run of the model."""
