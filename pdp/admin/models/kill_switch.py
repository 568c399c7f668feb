"""The kill switch: models and providers switched off and on (seed 002).

Its state is the models' own. A provider is off where all its models are. Each model that changes
has one row of the change log, with who changed it and why; what is so already is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pdp.admin.models.catalog import find_model, models_of, put_model
from pdp.domain.model_catalog import ModelConfig, normalize_name
from pdp.domain.tenant import PLATFORM
from pdp.errors import ProviderNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.admin.versioned import Versioned
    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction

    Turn = Callable[[ModelConfig, float], ModelConfig]
    """Returns a model as it is after a switch was turned, at a time."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider and its models, in the order in which they were added."""

    provider: str
    models: Sequence[ModelConfig]

    @property
    def killed_count(self) -> int:
        """How many of its models are switched off."""
        return sum(model.killed for model in self.models)

    @property
    def killed(self) -> bool:
        """Whether all of them are."""
        return self.killed_count == len(self.models)


class KillSwitches:
    """The use cases. Writes take who acts; they are in force when they return."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def providers(self) -> Sequence[ProviderState]:
        """Returns all providers, in the order in which the first model of each was added."""
        return await self._workspace.read(_providers)

    async def model(self, model_config_id: str) -> Versioned[ModelConfig]:
        """Returns a model.

        Raises:
            ModelNotFound: there is none of that id.
        """
        return await self._workspace.read(lambda reader: find_model(reader, model_config_id))

    async def disable_provider(
        self, actor: str, provider: str, reason: str
    ) -> Written[ProviderState]:
        """Switches all models of a provider off.

        Raises:
            ProviderNotFound: the catalog has no model of it.
        """
        return await self._turn_provider(actor, provider, _off(reason), f"Disabled: {reason}")

    async def enable_provider(self, actor: str, provider: str) -> Written[ProviderState]:
        """Switches all models of a provider on.

        Raises:
            ProviderNotFound: the catalog has no model of it.
        """
        return await self._turn_provider(actor, provider, _on, "Enabled")

    async def disable_model(
        self, actor: str, model_config_id: str, reason: str
    ) -> Written[Versioned[ModelConfig]]:
        """Switches a model off.

        Raises:
            ModelNotFound: there is none of that id.
        """
        return await self._turn_model(actor, model_config_id, _off(reason), f"Disabled: {reason}")

    async def enable_model(
        self, actor: str, model_config_id: str
    ) -> Written[Versioned[ModelConfig]]:
        """Switches a model on.

        Raises:
            ModelNotFound: there is none of that id.
        """
        return await self._turn_model(actor, model_config_id, _on, "Enabled")

    async def _turn_provider(
        self, actor: str, provider: str, turn: Turn, summary: str
    ) -> Written[ProviderState]:
        def work(transaction: Transaction) -> ProviderState:
            found = _provider(transaction, provider)
            turned = [_turned(transaction, actor, each, turn, summary) for each in found.models]
            return replace(found, models=turned)

        return await self._workspace.write(PLATFORM, work)

    async def _turn_model(
        self, actor: str, model_config_id: str, turn: Turn, summary: str
    ) -> Written[Versioned[ModelConfig]]:
        def work(transaction: Transaction) -> Versioned[ModelConfig]:
            present = find_model(transaction, model_config_id)
            _turned(transaction, actor, present.value, turn, summary)
            return find_model(transaction, model_config_id)

        return await self._workspace.write(PLATFORM, work)


def _off(reason: str) -> Turn:
    return lambda model, now: model.disabled(now, reason)


def _on(model: ModelConfig, now: float) -> ModelConfig:
    return model.enabled()


def _turned(
    transaction: Transaction, actor: str, model: ModelConfig, turn: Turn, summary: str
) -> ModelConfig:
    """Returns a model as it is after `turn`, written where that changes it."""
    turned = turn(model, transaction.now)
    if turned == model:
        return model
    turned = replace(turned, updated_at=transaction.now)
    return put_model(transaction, actor, turned, summary).value


def _providers(reader: Reader) -> Sequence[ProviderState]:
    by_provider: dict[str, list[ModelConfig]] = {}
    for model in models_of(reader):
        by_provider.setdefault(model.provider, []).append(model)
    return [ProviderState(provider, models) for provider, models in by_provider.items()]


def _provider(reader: Reader, provider: str) -> ProviderState:
    for each in _providers(reader):
        if normalize_name(each.provider) == normalize_name(provider):
            return each
    raise ProviderNotFound(f"the catalog has no model of provider {provider}")
