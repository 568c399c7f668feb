"""Named entities: what a model finds in a text that patterns cannot (seed 002, `ner` and `llm`)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


class Wanted(NamedTuple):
    """A kind of data that a model is to look for.

    Attributes:
        detector_type: `ner` (Presidio) or `llm` (GLiNER); see `pdp.domain.dlp_rule`.
        label: for instance `PERSON`, or the free words that GLiNER takes.
    """

    detector_type: str
    label: str


class NamedEntity(NamedTuple):
    """A value that a model has found; offsets count code points.

    Attributes:
        path: JSON Pointer of the string in the arguments; None for the request's text.
    """

    wanted: Wanted
    confidence: float
    start: int
    end: int
    path: str | None = None


NONE_MISSING: Final[Mapping[Wanted, str]] = MappingProxyType({})


class NerFindings(NamedTuple):
    """What was found in one request.

    Attributes:
        found: from left to right, in each text.
        missing: what was wanted and could not be looked for, each with the reason in words that
            may be shown.
    """

    found: tuple[NamedEntity, ...] = ()
    missing: Mapping[Wanted, str] = NONE_MISSING


class NerFinder(Protocol):
    """Finds named entities; `pdp.detect.ner.NerEngine` is the one that does."""

    def available(self, wanted: Collection[Wanted]) -> Mapping[Wanted, str]:
        """Returns those of `wanted` that cannot be looked for, each with its reason."""

    async def find(
        self, texts: Sequence[tuple[str | None, str]], wanted: Collection[Wanted]
    ) -> NerFindings:
        """Looks for `wanted` in all `texts` (each with its path), within the time budget.

        Never raises for want of a model or of time: what could not be looked for is `missing`.
        """
