"""The model catalog, compiled: resolves a name to a model and says whether it is switched off."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.model_catalog import TIERS, ModelConfig, normalize_name

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


class ModelIndex:
    """All models of the catalog. Immutable.

    Names are compared without regard to case. A request can name a model in these ways:

    * with its provider;
    * without a provider: the name means every model with that name. If one of them is switched off,
      so is the name, because it is unknown which of them would be used;
    * as `provider/model` or `provider/tier`, with or without the provider in its own field;
    * by a tier (`haiku`, `sonnet`, `opus`): the name means the provider's current model of that
      tier. Without a provider, it means the one of the first provider that has the tier.

    The current model of a tier is the one that was added last, among those that the catalog offers.
    It stays the current model when it is switched off.
    """

    __slots__ = (
        "_by_name",
        "_by_provider",
        "_killed_by_provider",
        "_killed_names",
        "_killed_providers",
    )

    def __init__(self, models: Iterable[ModelConfig] = ()) -> None:
        """Indexes `models`, which must be in the order in which they were added."""
        by_provider: dict[str, dict[str, ModelConfig]] = {}
        for model in models:
            by_provider.setdefault(normalize_name(model.provider), {})[
                normalize_name(model.model_id)
            ] = model
        by_name: dict[str, list[ModelConfig]] = {}
        tiers: dict[str, list[ModelConfig]] = {}
        for provider, by_short_name in by_provider.items():
            current = _current_models([*by_short_name.values()])
            by_short_name.update(current)
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
        self._killed_names = {
            name: next(model for model in models if model.killed)
            for name, models in self._by_name.items()
            if any(model.killed for model in models)
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

    def killed(self, name: str, provider: str = "") -> ModelConfig | None:
        """Returns the switched-off model that stops a request; None if nothing stops it.

        If all models of a provider are switched off, every request for that provider is stopped.
        The result is then one of its models.

        Args:
            name: the model of the request, a tier, or empty.
            provider: the provider of the request; empty if it names none.
        """
        name, provider = normalize_name(name), normalize_name(provider)
        if provider:
            by_name = self._killed_by_provider.get(provider)
            model = by_name.get(name) if by_name else None
        else:
            model = self._killed_names.get(name)
            provider = name.partition("/")[0] if "/" in name else ""
        return model or self._killed_providers.get(provider)


def _current_models(models: Sequence[ModelConfig]) -> dict[str, ModelConfig]:
    """Returns the current model of each tier, for the models of one provider."""
    return {
        tier: active[-1]
        for tier in TIERS
        if (active := [model for model in models if model.tier == tier and model.is_active])
    }
