"""Named entities: data that a model finds in a text and patterns cannot (rules `ner`, `llm`)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


class EntityLabel(NamedTuple):
    """A kind of data that a model can look for.

    Attributes:
        detector_type: `ner` (Presidio) or `llm` (GLiNER); see `pdp.domain.dlp_rule`.
        name: for instance `PERSON`; free words for GLiNER.
    """

    detector_type: str
    name: str


class NamedEntity(NamedTuple):
    """A value that a model found; offsets count code points.

    Attributes:
        path: JSON Pointer of the string in the arguments; None for the request's text.
    """

    label: EntityLabel
    confidence: float
    start: int
    end: int
    path: str | None = None


NO_MISSING_LABELS: Final[Mapping[EntityLabel, str]] = MappingProxyType({})


class NerFindings(NamedTuple):
    """What models found in one request.

    Attributes:
        entities: from left to right, in each text.
        missing: the labels that no model looked for, each with the reason. The reason may be shown
            to callers.
    """

    entities: tuple[NamedEntity, ...] = ()
    missing: Mapping[EntityLabel, str] = NO_MISSING_LABELS


class NerFinder(Protocol):
    """Finds named entities; `pdp.detect.ner.NerEngine` implements it."""

    async def find(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NerFindings:
        """Looks for `labels` in all `texts` (each with its path), within the time budget.

        Never raises if a model or time is lacking: such labels are `missing`.
        """
