"""From what patterns found to entities: values of a kind of data, each with a confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdp.engine.patterns import Detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.domain.detector import EntityDetector
    from pdp.engine.locations import Location


class EntityFinding(NamedTuple):
    """A value of a kind of data.

    Attributes:
        detector_id: the detector that found it.
        confidence: from 0 to 1.
        where: the place; its `value` is what was found.
    """

    detector_id: str
    entity_type: str
    category: str
    confidence: float
    where: Location


def find_entities(
    detector: EntityDetector, locate: Callable[[Detector], tuple[Location, ...]]
) -> tuple[EntityFinding, ...]:
    """Returns what `detector` finds.

    Args:
        detector: what is looked for.
        locate: gives the places of a pattern whose validator accepts the value.
    """
    return tuple(
        EntityFinding(
            detector.id, detector.entity_type, detector.category, detector.confidence, where
        )
        for pattern in detector.patterns
        for where in locate(Detector(pattern, detector.validator))
        if where.value.lower() not in detector.allowlist
    )
