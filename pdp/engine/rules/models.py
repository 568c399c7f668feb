"""The model catalog, compiled: resolves a name to a model and says whether it is switched off."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.model_catalog import TIERS, ModelConfig, normalize_name
from pdp.domain.model_names import read_provider
from pdp.engine.rules.model_aliases import AliasIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ModelState(Enum):
    """The state of a model in the catalog."""

    KNOWN = "known"
    KILLED = "killed"
    UNKNOWN = "unknown"
    """The model is not in the catalog, or the catalog no longer offers it."""


class ResolvedModel(NamedTuple):
    """The model that a name means. `model` is None if the catalog has no model with that name."""

    state: ModelState
    model: ModelConfig | None = None


_UNKNOWN: Final = ResolvedModel(ModelState.UNKNOWN)


class KilledModel(NamedTuple):
    """Why the kill switch stops a request.

    Attributes:
        model: the model that the request names; if `by_provider`, any model of its provider.
        by_provider: whether the request is stopped because its whole provider is off.
    """

    model: ModelConfig
    by_provider: bool = False


class ModelIndex:
    """All models of the catalog. Immutable.

    Names are compared without regard to case. A request can name a model in these ways:

    * with its provider;
    * without a provider: the name means every model with that name. If one of them is switched off,
      so is the name, because it is unknown which of them would be used;
    * as `provider/model` or `provider/tier`, with or without the provider in its own field;
    * by an alias of a model in the catalog;
    * by a tier (`haiku`, `sonnet`, `opus`): the name means the provider's current model of that
      tier. Without a provider, it means the one of the first provider that has the tier.

    The current model of a tier is the one that was added last, among those that the catalog offers.
    It stays the current model when it is switched off.

    The kill switch also stops names that are not in the catalog but mean one of its models: see
    `pdp.engine.rules.model_aliases`. A name that is in the catalog is only that model.
    """

    __slots__ = (
        "_aliases",
        "_by_name",
        "_by_provider",
        "_killed_by_provider",
        "_killed_companies",
        "_killed_names",
        "_killed_providers",
    )

    def __init__(self, models: Iterable[ModelConfig] = ()) -> None:
        """Indexes `models`, which must be in the order in which they were added."""
        models = list(models)
        self._aliases = AliasIndex(models)
        by_provider: dict[str, dict[str, ModelConfig]] = {}
        for model in models:
            by_provider.setdefault(normalize_name(model.provider), {})[
                normalize_name(model.model_id)
            ] = model
        by_name: dict[str, list[ModelConfig]] = {}
        tiers: dict[str, list[ModelConfig]] = {}
        for provider, by_short_name in by_provider.items():
            current = _current_models([*by_short_name.values()])
            aliases = _aliases([*by_short_name.values()])
            by_short_name.update({**aliases, **by_short_name, **current})
            for tier, model in current.items():
                tiers.setdefault(tier, [model])
            for name, model in by_short_name.items():
                by_name.setdefault(name, []).append(model)
                by_name.setdefault(f"{provider}/{name}", []).append(model)
            by_full_name = {f"{provider}/{name}": model for name, model in by_short_name.items()}
            by_provider[provider] = by_full_name | by_short_name
        self._by_provider = by_provider
        self._by_name = by_name | tiers
        self._index_killed()

    def _index_killed(self) -> None:
        self._killed_by_provider = {
            provider: killed
            for provider, by_name in self._by_provider.items()
            if (killed := {name: model for name, model in by_name.items() if model.killed})
        }
        self._killed_providers = {
            provider: next(iter(killed.values()))
            for provider, killed in self._killed_by_provider.items()
            if len(killed) == len(self._by_provider[provider])
        }
        self._killed_companies = self._companies_off()
        self._killed_names = {
            name: next(model for model in models if model.killed)
            for name, models in self._by_name.items()
            if any(model.killed for model in models)
        }

    def _companies_off(self) -> dict[str, ModelConfig]:
        """Returns a model of each provider that is off under all of its names (`google`, `gemini`).

        The key is the name by `read_provider`.
        """
        is_off: dict[str, bool] = {}
        for provider in self._by_provider:
            company = read_provider(provider).name
            is_off[company] = is_off.get(company, True) and provider in self._killed_providers
        return {
            company: model
            for provider, model in self._killed_providers.items()
            if is_off[company := read_provider(provider).name]
        }

    @property
    def any_killed(self) -> bool:
        """Whether any model is switched off."""
        return bool(self._killed_names)

    def resolve(self, name: str, provider: str = "") -> ResolvedModel:
        """Returns the model that a name means.

        Args:
            name: a model or a tier.
            provider: the provider of the model; empty if unknown.
        """
        name, provider = normalize_name(name), normalize_name(provider)
        if provider:  # a provider of blanks only counts as no provider
            model = self._by_provider.get(provider, {}).get(name)
            models: Sequence[ModelConfig] = () if model is None else (model,)
        else:
            models = self._by_name.get(name, ())
        if not models:
            return _UNKNOWN
        for model in models:
            if model.killed:
                return ResolvedModel(ModelState.KILLED, model)
        for model in models:
            if model.is_active:
                return ResolvedModel(ModelState.KNOWN, model)
        return ResolvedModel(ModelState.UNKNOWN, models[0])

    def killed(self, name: str, provider: str = "") -> KilledModel | None:
        """Returns why the kill switch stops a request; None if it does not.

        If all models of a provider are switched off, every request for that provider is stopped.

        Args:
            name: the model of the request, a tier, or empty.
            provider: the provider of the request; empty if it names none.
        """
        plain, plain_provider = normalize_name(name), normalize_name(provider)
        if plain_provider:
            by_name = self._by_provider.get(plain_provider)
            exact = by_name is not None and plain in by_name
            killed = self._killed_by_provider.get(plain_provider)
            model = killed.get(plain) if killed else None
        else:
            exact = plain in self._by_name
            model = self._killed_names.get(plain)
        if model is not None:
            return KilledModel(model)
        if not exact:
            aliases = self._aliases.find(plain, plain_provider)
            for alias in aliases.models:
                if alias.killed:
                    return KilledModel(alias)
        owner = plain_provider or (plain.partition("/")[0] if "/" in plain else "")
        off = self._killed_providers.get(owner)
        if off is None and not exact and not aliases.models:
            companies = map(self._killed_companies.get, aliases.providers)
            off = next(filter(None, companies), None)
        return None if off is None else KilledModel(off, by_provider=True)

    def covered(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Returns which names the kill switch of each model stops, by the id of the model.

        Args:
            names: names that may be outside the catalog; a name that is in it is that model only.
        """
        covered: dict[str, list[str]] = {}
        for name, models in self._by_name.items():
            for model in models:
                covered.setdefault(model.id, []).append(name)
        for name in names:
            if normalize_name(name) not in self._by_name:
                for model in self._aliases.find(normalize_name(name), "").models:
                    covered.setdefault(model.id, []).append(name)
        return covered

    def meant(self, name: str, provider: str = "") -> tuple[ModelConfig, ...]:
        """Returns all models of the catalog that a name may mean, by itself or as another name.

        Args:
            name: the model of a request, or a tier.
            provider: the provider of the request; empty if it names none.
        """
        name, provider = normalize_name(name), normalize_name(provider)
        if provider:
            model = self._by_provider.get(provider, {}).get(name)
            models: Sequence[ModelConfig] = () if model is None else (model,)
        else:
            models = self._by_name.get(name, ())
        return tuple(models) or self._aliases.find(name, provider).models

    def find_alias(self, name: str, provider: str = "") -> ModelConfig | None:
        """Returns a model that a name means although the catalog does not have the name.

        Args:
            name: the model of a request.
            provider: the provider of the request. If it is neither empty, nor in the catalog, nor
                known to serve models of others, its model is unknown.
        """
        aliases = self._aliases.find(normalize_name(name), normalize_name(provider))
        return aliases.models[0] if aliases.models and aliases.placed else None


def _aliases(models: Sequence[ModelConfig]) -> dict[str, ModelConfig]:
    """Returns the models of one provider by their aliases."""
    return {normalize_name(alias): model for model in models for alias in model.aliases}


def _current_models(models: Sequence[ModelConfig]) -> dict[str, ModelConfig]:
    """Returns the current model of each tier, for the models of one provider."""
    return {
        tier: active[-1]
        for tier in TIERS
        if (active := [model for model in models if model.tier == tier and model.is_active])
    }
