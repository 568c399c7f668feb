"""What a model looks like to the rest: the one protocol that Presidio and GLiNER are behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class RecognizedEntity(NamedTuple):
    """A value in one text; offsets count code points."""

    label: str
    start: int
    end: int
    confidence: float


class Recogniser(Protocol):
    """A model that is loaded. It is used by one thread at a time."""

    @property
    def labels(self) -> frozenset[str] | None:
        """The labels that it knows; None where it takes any."""

    def recognise(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> list[list[RecognizedEntity]]:
        """Returns what of `labels` is in each of `texts`, in one run of the model."""
