"""The model catalog, compiled: one lookup says what a name stands for, and whether it is off."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.model_catalog import TIERS, ModelConfig, normalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ModelState(Enum):
    """What the catalog knows of a model."""

    KNOWN = "known"
    KILLED = "killed"
    UNKNOWN = "unknown"
    """It is not in the catalog, or the catalog offers it no more."""


class Resolved(NamedTuple):
    """What a name stands for; `model` is None where the catalog has no such model at all."""

    state: ModelState
    model: ModelConfig | None = None


_UNKNOWN: Final = Resolved(ModelState.UNKNOWN)


class ModelIndex:
    """All models of the catalog. Immutable.

    Names are compared without regard to case. A model may be named

    * with its provider;
    * without it: then every model of that name is meant, and where one of them is switched off, so
      is the name, since nobody knows which of them would be asked;
    * as `provider/model` or `provider/tier`, whether or not the provider is named beside it;
    * by a tier (`haiku`, `sonnet`, `opus`): the provider's current model of it, else that of the
      first provider that has one. Current is the model that was added last of those that the
      catalog offers; that it is switched off makes no other one current.
    """

    __slots__ = ("_by_name", "_by_provider", "_killed_names", "_killed_providers", "_killed_within")

    def __init__(self, models: Iterable[ModelConfig] = ()) -> None:
        """Indexes `models`, given in the order in which they were added."""
        by_provider: dict[str, dict[str, ModelConfig]] = {}
        for model in models:
            by_provider.setdefault(normalize_name(model.provider), {})[
                normalize_name(model.model_id)
            ] = model
        by_name: dict[str, list[ModelConfig]] = {}
        tiers: dict[str, list[ModelConfig]] = {}
        for provider, named in by_provider.items():
            current = _current([*named.values()])
            named.update(current)
            for tier, model in current.items():
                tiers.setdefault(tier, [model])
            for name, model in named.items():
                by_name.setdefault(name, []).append(model)
                by_name.setdefault(f"{provider}/{name}", []).append(model)
            spelt_out = {f"{provider}/{name}": model for name, model in named.items()}
            by_provider[provider] = spelt_out | named
        self._by_provider = by_provider
        self._by_name = by_name | tiers
        self._index_killed()

    def _index_killed(self) -> None:
        self._killed_within = {
            provider: killed
            for provider, named in self._by_provider.items()
            if (killed := {name: model for name, model in named.items() if model.killed})
        }
        self._killed_providers = {
            provider: next(iter(killed.values()))
            for provider, killed in self._killed_within.items()
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

    def resolve(self, name: str, provider: str = "") -> Resolved:
        """Returns what a model or tier stands for.

        Args:
            name: of a model, or a tier.
            provider: whose model is meant; empty where that is not said.
        """
        name, provider = normalize_name(name), normalize_name(provider)
        if provider:  # blanks alone name none
            model = self._by_provider.get(provider, {}).get(name)
            models: Sequence[ModelConfig] = () if model is None else (model,)
        else:
            models = self._by_name.get(name, ())
        if not models:
            return _UNKNOWN
        for model in models:
            if model.killed:
                return Resolved(ModelState.KILLED, model)
        for model in models:
            if model.is_active:
                return Resolved(ModelState.KNOWN, model)
        return Resolved(ModelState.UNKNOWN, models[0])

    def killed(self, name: str, provider: str = "") -> ModelConfig | None:
        """Returns the model that is off and therefore stands against a request; None for none.

        Where all models of a provider are off, so is the provider: whatever is asked of it, one of
        its models is returned.

        Args:
            name: of the model that the request is for, a tier, or empty.
            provider: of the request; empty where it names none.
        """
        name, provider = normalize_name(name), normalize_name(provider)
        if provider:
            killed = self._killed_within.get(provider)
            found = killed.get(name) if killed else None
        else:
            found = self._killed_names.get(name)
            provider = name.partition("/")[0] if "/" in name else ""
        return found or self._killed_providers.get(provider)


def _current(models: Sequence[ModelConfig]) -> dict[str, ModelConfig]:
    """Returns the current model of each tier that one provider's models have."""
    return {
        tier: found[-1]
        for tier in TIERS
        if (found := [model for model in models if model.tier == tier and model.is_active])
    }
