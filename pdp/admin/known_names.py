"""The names that policies of a tenant can refer to: models, providers, groups, types of data."""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pdp.domain import dlp_rule
from pdp.domain.entity_types import FAMILIES, expand_entity_types
from pdp.domain.group_resolver import normalize_group
from pdp.domain.model_catalog import KIND as MODEL_KIND
from pdp.domain.model_catalog import TIERS, normalize_name
from pdp.domain.user_group import all_groups

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdp.engine.snapshot import Snapshot

MAX_SUGGESTIONS: Final = 3
MAX_COMPARED: Final = 64
"""Characters of a name that are compared with others."""


class KnownNames:
    """The names that a tenant knows; each set is computed once, when it is needed."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def is_model(self, name: str) -> bool:
        """Whether the catalog has a model with a name, another name of one, or a pattern of one."""
        normalized = normalize_name(name)
        if "*" in normalized:
            return any(fnmatchcase(each, normalized) for each in self._model_names)
        models = self._snapshot.platform.models
        known = models.resolve(name).model is not None or models.find_alias(name) is not None
        return known or normalized in TIERS

    def is_provider(self, name: str) -> bool:
        """Whether the catalog has a provider."""
        return normalize_name(name) in self._provider_names

    def is_group(self, name: str) -> bool:
        """Whether a user group has a name or an ID."""
        return normalize_group(name) in self._group_names

    def is_entity_type(self, name: str) -> bool:
        """Whether a detector or a DLP rule finds a type of data."""
        return not expand_entity_types((name,)).isdisjoint(self.entity_types)

    @cached_property
    def models(self) -> list[str]:
        """The names of the models of the catalog, with and without the provider."""
        models = self._snapshot.platform.policies.of_kind(MODEL_KIND).values()
        return [name for each in models for name in (each.model_id, each.name)]

    @cached_property
    def providers(self) -> list[str]:
        """The providers of the catalog."""
        models = self._snapshot.platform.policies.of_kind(MODEL_KIND).values()
        return list(dict.fromkeys(each.provider for each in models))

    @cached_property
    def groups(self) -> list[str]:
        """The names of the tenant's user groups."""
        own = self._snapshot.policies
        return [each.name for each in all_groups(self._snapshot.platform.policies, own).values()]

    @cached_property
    def entity_types(self) -> frozenset[str]:
        """The types of data that detectors and DLP rules find."""
        types = {each.entity_type for each in self._snapshot.platform.detectors.values()}
        types.update(FAMILIES)
        for policies in (self._snapshot.platform.policies, self._snapshot.policies):
            for rule in policies.of_kind(dlp_rule.KIND).values():
                types.add(rule.entity_type)
                for key in ("entities", "labels"):
                    labels = rule.config_json.get(key) or ()
                    types.update(each for each in labels if isinstance(each, str))
        return frozenset(types)

    @cached_property
    def _model_names(self) -> frozenset[str]:
        return frozenset(map(normalize_name, self.models))

    @cached_property
    def _provider_names(self) -> frozenset[str]:
        return frozenset(map(normalize_name, self.providers))

    @cached_property
    def _group_names(self) -> frozenset[str]:
        own = self._snapshot.policies
        groups = all_groups(self._snapshot.platform.policies, own).values()
        return frozenset(normalize_group(name) for each in groups for name in (each.name, each.id))


def closest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Returns the known names that are most like a name, the closest first; at most three."""
    by_key = {each.casefold(): each for each in known}
    near = get_close_matches(name[:MAX_COMPARED].casefold(), by_key, n=MAX_SUGGESTIONS)
    return tuple(by_key[each] for each in near)
