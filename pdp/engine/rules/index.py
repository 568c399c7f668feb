"""All rules of a tenant's chains, held against a request at once.

Every rule has a bit. Each condition has, for every value that any rule asks for, the rules that ask
for it, as one whole number, and those that ask for nothing. A request's values pick a number for
each condition, and the rules whose conditions all hold are what these have in common. A hundred
rules fit into a machine word or two: what a request costs depends on its own values, hardly on how
many rules there are (docs/architecture.md, Measured).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from pdp.domain.entity_types import expand_entity_types
from pdp.domain.model_catalog import normalize_name
from pdp.engine.dlp.entity_detectors import DEFAULT_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.request import Entity
    from pdp.engine.dlp.entities import EntityFinding
    from pdp.engine.rules.documents import Conditions
    from pdp.engine.rules.matching import Facts

DIRECTIONS: Final = ("input", "output")
BOTH: Final = "both"


class _Values:
    """A condition on a value: the rules that ask for each, and those that do not ask."""

    __slots__ = ("by_value", "free")

    def __init__(self, wanted: Sequence[Iterable[str]]) -> None:
        """Takes what each rule asks for, in order; nothing for whatever value there is."""
        self.free = 0
        self.by_value: dict[str, int] = {}
        for bit, values in enumerate(wanted):
            asked = False
            for value in values:
                asked = True
                self.by_value[value] = self.by_value.get(value, 0) | 1 << bit
            if not asked:
                self.free |= 1 << bit

    def one(self, value: str) -> int:
        """Returns the rules that a request with this value may meet."""
        return self.free | self.by_value.get(value, 0)

    def any(self, values: Iterable[str]) -> int:
        """Returns the rules that a request with these values may meet."""
        allowed, by_value = self.free, self.by_value
        for value in values:
            if value in by_value:
                allowed |= by_value[value]
        return allowed


class _Minimum:
    """A least number: the rules that are met from each on."""

    __slots__ = ("_masks", "_minimums")

    def __init__(self, wanted: Iterable[tuple[float, int]]) -> None:
        """Takes the least number of each rule, with the rule's bit."""
        self._minimums: list[float] = []
        self._masks = [0]
        for minimum, bit in sorted(wanted):
            if self._minimums and self._minimums[-1] == minimum:
                self._masks[-1] |= 1 << bit
            else:
                self._minimums.append(minimum)
                self._masks.append(self._masks[-1] | 1 << bit)

    def __bool__(self) -> bool:
        """Whether any rule asks for a least number."""
        return bool(self._minimums)

    def reached(self, number: float) -> int:
        """Returns the rules whose least number is reached."""
        return self._masks[bisect_right(self._minimums, number)]


class _Entities:
    """The rules that ask for findings: of a type, or of any, each from a confidence on."""

    __slots__ = ("_any", "_by_type", "_scanned", "free")

    def __init__(self, rules: Sequence[Conditions]) -> None:
        self.free = 0
        anything: list[tuple[float, int]] = []
        typed: dict[str, list[tuple[float, int]]] = {}
        scanned: dict[str, dict[int, float]] = {}
        for bit, rule in enumerate(rules):
            least = rule.entity_confidence_min
            if rule.entity_types:
                sure = DEFAULT_CONFIDENCE if least is None else least
                for name in expand_entity_types(rule.entity_types):
                    typed.setdefault(name, []).append((least or 0.0, bit))
                    scanned.setdefault(name, {})[bit] = sure
            elif least is not None:
                anything.append((least, bit))
            else:
                self.free |= 1 << bit
        self._any = _Minimum(anything)
        self._by_type = {each: _Minimum(wanted) for each, wanted in typed.items()}
        self._scanned = {
            name: _Minimum((sure, bit) for bit, sure in wanted.items())
            for name, wanted in scanned.items()
        }

    def __bool__(self) -> bool:
        """Whether any rule asks for findings."""
        return bool(self._by_type or self._any)

    def allowed(self, entities: Iterable[Entity], scanned: Iterable[EntityFinding]) -> int:
        """Returns the rules that a request with these findings, and these of the scan, may meet."""
        allowed, by_type, anything = self.free, self._by_type, self._any
        for entity in entities:
            allowed |= anything.reached(entity.confidence)
            minimum = by_type.get(entity.entity_type)
            if minimum is not None:
                allowed |= minimum.reached(entity.confidence)
        for finding in scanned:
            if finding.location.start == finding.location.end:
                continue
            allowed |= anything.reached(finding.confidence)
            minimum = self._scanned.get(finding.entity_type)
            if minimum is not None:
                allowed |= minimum.reached(finding.confidence)
        return allowed


class RuleIndex:
    """Finds the rules that a request meets. Immutable.

    Attributes:
        asks_for_models: whether any rule asks for a model or a provider.
    """

    __slots__ = (
        "_channels",
        "_complexities",
        "_directions",
        "_entities",
        "_groups",
        "_models",
        "_patterns",
        "_providers",
        "_risk",
        "_without_risk",
        "asks_for_models",
    )

    def __init__(self, rules: Sequence[tuple[str, Conditions]]) -> None:
        """Indexes rules, each with what it applies to; a rule's bit is its place."""
        conditions = [each for _, each in rules]
        self._directions: Mapping[str, int] = {
            direction: sum(
                1 << bit for bit, (applies, _) in enumerate(rules) if applies in {direction, BOTH}
            )
            for direction in DIRECTIONS
        }
        # What no rule asks for is not looked at.
        self._groups = _values([each.user_groups for each in conditions])
        self._providers = _values([map(normalize_name, each.providers) for each in conditions])
        self._models = _values([map(normalize_name, each.models) for each in conditions])
        self.asks_for_models = self._providers is not None or self._models is not None
        self._channels = _values([each.channel for each in conditions])
        self._patterns = _values([_one(each.content_regex) for each in conditions])
        self._complexities = _values([_one(each.intent_complexity) for each in conditions])
        asked = any(
            each.entity_types or each.entity_confidence_min is not None for each in conditions
        )
        self._entities = _Entities(conditions) if asked else None
        least = [(each.user_risk_score_min, bit) for bit, each in enumerate(conditions)]
        risky = [(score, bit) for score, bit in least if score is not None]
        self._risk = _Minimum(risky) if risky else None
        self._without_risk = sum(1 << bit for score, bit in least if score is None)

    def matching(self, facts: Facts) -> int:
        """Returns the rules whose conditions all hold, as a number with a bit for each."""
        request, findings, provider, models, entities, scanned = facts
        found = self._directions[request.direction]
        if self._groups is not None:
            found &= self._groups.any(request.subject.groups)
        if self._models is not None:
            found &= self._models.any(models)
        if self._providers is not None:
            found &= self._providers.one(provider)
        if self._patterns is not None:
            found &= self._patterns.any(findings.hits)
        if self._channels is not None:
            found &= self._channels.one(request.channel)
        if self._complexities is not None:
            found &= self._complexities.one(request.intent_complexity)
        if self._entities is not None:
            found &= self._entities.allowed(entities, scanned)
        if self._risk is not None:
            score = request.subject.risk_score
            reached = 0 if score is None else self._risk.reached(score)
            found &= self._without_risk | reached
        return found


def _values(wanted: Sequence[Iterable[str]]) -> _Values | None:
    values = _Values(wanted)
    return values if values.by_value else None


def _one(value: str) -> tuple[str, ...]:
    return (value,) if value else ()
