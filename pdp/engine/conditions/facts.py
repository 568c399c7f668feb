"""What a condition can name besides the request: the groups of the subject, and the findings."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol


class ConditionFacts(Protocol):
    """The facts of one request. None is a missing fact: a comparison with it is unknown."""

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The groups of the subject, by `normalize_group`."""

    @property
    def finding_types(self) -> tuple[str, ...] | None:
        """The entity types of the findings, with the other names of each type."""

    @property
    def finding_count(self) -> int | None:
        """The number of findings."""


class KnownFacts(NamedTuple):
    """Facts that were computed before."""

    groups: tuple[str, ...] | None
    finding_types: tuple[str, ...] | None
    finding_count: int | None


class UnknownFacts:
    """Facts of which none is known: nothing has looked at the request."""

    __slots__ = ()

    groups: Final = None
    finding_types: Final = None
    finding_count: Final = None


NO_FACTS: Final[ConditionFacts] = UnknownFacts()
