"""Whether one rule of a chain matches every request that another one matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.entity_types import expand_entity_types
from pdp.domain.group_resolver import normalize_group
from pdp.domain.model_catalog import normalize_name
from pdp.domain.policy_pack import PASSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.engine.rules.chains import ChainRule
    from pdp.engine.rules.documents import Conditions

_ANY_OF: Final[Mapping[str, Callable[[str], str]]] = {
    "user_groups": normalize_group,
    "providers": normalize_name,
    "models": normalize_name,
    "channel": str,
    "tools": str,
    "agent_ids": str,
}
"""Lists of which any entry suffices: a shorter list matches less."""

_NONE_OF: Final[Mapping[str, Callable[[str], str]]] = {
    "not_user_groups": normalize_group,
    "not_providers": normalize_name,
    "not_models": normalize_name,
}
"""Lists of which no entry may match: a longer list matches less."""

_ENTITIES: Final = frozenset({"entity_types", "entity_confidence_min"})


def covers(earlier: ChainRule, later: ChainRule) -> bool:
    """Whether `earlier` certainly matches every request that `later` matches.

    False says nothing: conditions such as patterns and expressions are only compared for equality.
    """
    directions = {"both", later.rule.applies_to}
    if earlier.rule.applies_to not in directions:
        return False
    wide, narrow = earlier.conditions, later.conditions
    passes_first = earlier.action.type in PASSING and later.action.type not in PASSING
    if passes_first and (wide.models or wide.not_models):
        return False  # the name of a model means less in a rule that lets requests through
    return _covers_entities(wide, narrow) and all(
        _covers(name, wide, narrow) for name in wide._fields if name not in _ENTITIES
    )


def _covers(name: str, wide: Conditions, narrow: Conditions) -> bool:
    one, other = getattr(wide, name), getattr(narrow, name)
    if one is None or one in ((), ""):
        return True
    if name in _ANY_OF:
        return bool(other) and _set(other, _ANY_OF[name]) <= _set(one, _ANY_OF[name])
    if name in _NONE_OF:
        return _set(one, _NONE_OF[name]) <= _set(other, _NONE_OF[name])
    if name == "user_risk_score_min":
        return other is not None and bool(other >= one)
    return bool(one == other)


def _covers_entities(wide: Conditions, narrow: Conditions) -> bool:
    if not wide.entity_types and wide.entity_confidence_min is None:
        return True
    has_condition = bool(narrow.entity_types) or narrow.entity_confidence_min is not None
    if not has_condition:
        return False
    if (narrow.entity_confidence_min or 0.0) < (wide.entity_confidence_min or 0.0):
        return False
    if not wide.entity_types:
        return True
    types = expand_entity_types(wide.entity_types)
    return bool(narrow.entity_types) and expand_entity_types(narrow.entity_types) <= types


def _set(names: Iterable[str], normalize: Callable[[str], str]) -> frozenset[str]:
    return frozenset(map(normalize, names))
