"""The facts that conditions name besides the request, computed if a condition names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import is_
from typing import TYPE_CHECKING, Final

from pdp.domain import dlp_rule, user_group
from pdp.domain.entity_types import all_names_of
from pdp.domain.group_resolver import NO_USER_GROUPS, GroupResolver
from pdp.domain.user_group import all_groups
from pdp.engine.dlp.entity_detectors import DEFAULT_CONFIDENCE, all_detectors, collect_entities
from pdp.engine.findings import NOT_SCANNED
from pdp.engine.text.locations import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Request
    from pdp.engine.dlp.entity_detectors import EntityDetectors
    from pdp.engine.findings import Findings


@dataclass(frozen=True, slots=True)
class FactSource:
    """What the facts of a tenant's requests are computed from.

    Attributes:
        groups: resolves the groups of a subject.
        detectors: all detectors of the tenant, by pattern.
        of_groups: the policies from which `groups` was compiled.
        of_detectors: the policies from which `detectors` was selected.
    """

    groups: GroupResolver = NO_USER_GROUPS
    detectors: EntityDetectors = field(default_factory=dict)
    of_groups: Sequence[object] = ()
    of_detectors: Sequence[object] = ()

    def of(self, request: Request, findings: Findings) -> DecisionFacts:
        """Returns the facts of a request. Takes no time until a condition names one."""
        return DecisionFacts(self, request, findings)


TEXT_PLACE: Final = Place(None, False)
"""The text of the request, as the place of a finding."""

NO_FACT_SOURCE: Final = FactSource()


class DecisionFacts:
    """The facts of one request: see `pdp.engine.conditions.facts.ConditionFacts`."""

    __slots__ = ("_findings", "_groups", "_request", "_source", "_summary")

    def __init__(self, source: FactSource, request: Request, findings: Findings) -> None:
        self._source = source
        self._request = request
        self._findings = findings
        self._groups: tuple[str, ...] | None = None
        self._summary: tuple[tuple[str, ...], int] | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of the subject, by `normalize_group`."""
        if self._groups is None:
            self._groups = tuple(sorted(self._source.groups.names_of(self._request.subject)))
        return self._groups

    @property
    def finding_types(self) -> tuple[str, ...] | None:
        """The entity types of the findings, with the other names of each; None without a scan."""
        return None if self._findings is NOT_SCANNED else self._collected()[0]

    @property
    def finding_count(self) -> int | None:
        """The number of places that findings are at; None without a scan."""
        return None if self._findings is NOT_SCANNED else self._collected()[1]

    def _collected(self) -> tuple[tuple[str, ...], int]:
        if self._summary is None:
            findings = [
                each
                for each in collect_entities(self._source.detectors, self._request, self._findings)
                if each.confidence >= DEFAULT_CONFIDENCE and each.location.start < each.location.end
            ]
            entities, text_length = self._request.entities, len(self._request.text)
            types = {each.entity_type for each in findings}
            types.update(each.entity_type for each in entities)
            places = {(each.location.place, each.location[1:]) for each in findings}
            in_text = [
                (TEXT_PLACE, (each.start, end))
                for each in entities
                if each.start < (end := min(each.end, text_length))
            ]
            # Each of the caller's findings that has no place in the text counts by itself.
            count = len(places.union(in_text)) + len(entities) - len(in_text)
            self._summary = tuple(sorted(all_names_of(types))), count
        return self._summary


def build_fact_source(
    platform: PolicySet,
    own: PolicySet,
    catalog: Mapping[str, EntityDetector],
    *reusable: FactSource,
) -> FactSource:
    """Compiles the source of facts. Parts whose policies have not changed are reused.

    Args:
        platform: the policies of the platform.
        own: the policies of the tenant.
        catalog: the built-in detectors.
        *reusable: earlier results: for the tenant, and for a tenant without policies of its own.
    """
    of_groups = (platform.of_kind(user_group.KIND), own.of_kind(user_group.KIND))
    of_detectors = (own.of_kind(dlp_rule.KIND), catalog)
    groups = next((each.groups for each in reusable if _same(each.of_groups, of_groups)), None)
    if groups is None:
        groups = GroupResolver(list(all_groups(platform, own).values()))
    detectors = next(
        (each.detectors for each in reusable if _same(each.of_detectors, of_detectors)), None
    )
    if detectors is None:
        detectors = all_detectors(own, catalog)
    for each in reusable:
        if each.groups is groups and each.detectors is detectors:
            return each
    return FactSource(groups, detectors, of_groups, of_detectors)


def _same(before: Sequence[object], now: Sequence[object]) -> bool:
    return len(before) == len(now) and all(map(is_, before, now))
