"""The kill switch: disables and enables models and providers (the kill switch API).

The state of the switch is stored in the models. A provider is disabled if all its models are. Each
model that changes gets one row in the change log, with the actor and the reason. A model that is in
the requested state already is not written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from pdp.admin.model_catalog import find_model, put_model, read_models
from pdp.admin.model_lookup import find_model_by_name
from pdp.catalog import model_names
from pdp.domain.model_catalog import ModelConfig, normalize_name
from pdp.domain.tenant import PLATFORM
from pdp.engine.rules.models import ModelIndex
from pdp.errors import ProviderNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.admin.preconditions import Versioned
    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction

    SwitchChange = Callable[[ModelConfig, float], ModelConfig]
    """Returns a model as it is after the switch was changed at a time."""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider and its models, in order of creation."""

    provider: str
    models: Sequence[ModelConfig]

    @property
    def killed_count(self) -> int:
        """How many of its models are disabled."""
        return sum(model.killed for model in self.models)

    @property
    def killed(self) -> bool:
        """Whether all its models are disabled."""
        return self.killed_count == len(self.models)


class KillSwitches:
    """Disables and enables models and providers. A write is in force when its method returns."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def providers(self) -> Sequence[ProviderState]:
        """Returns all providers, ordered by the creation of their first model."""
        return await self._workspace.read(_read_providers)

    async def model(self, model_config_id: str) -> Versioned[ModelConfig]:
        """Returns a model.

        Raises:
            ModelNotFound: the catalog has no such model.
        """
        return await self._workspace.read(lambda reader: find_model(reader, model_config_id))

    async def covered_names(self) -> Mapping[str, Sequence[str]]:
        """Returns names that the switch of each model stops, by the id of the model.

        These are the names in the catalog, and those of `pdp.catalog.model_names`. The switch also
        stops other names that mean the model.
        """
        return await self._workspace.read(
            lambda reader: ModelIndex(read_models(reader)).covered(_known_names())
        )

    async def disable_provider(
        self, actor: str, provider: str, reason: str
    ) -> WriteResult[ProviderState]:
        """Disables all models of a provider.

        Raises:
            ProviderNotFound: the catalog has no model of the provider.
        """
        change, summary = _disable(reason), f"Disabled: {reason}"
        return await self._switch_provider(actor, provider, change, summary)

    async def enable_provider(self, actor: str, provider: str) -> WriteResult[ProviderState]:
        """Enables all models of a provider.

        Raises:
            ProviderNotFound: the catalog has no model of the provider.
        """
        return await self._switch_provider(actor, provider, _enable, "Enabled")

    async def disable_model(
        self, actor: str, model_config_id: str, reason: str
    ) -> WriteResult[Versioned[ModelConfig]]:
        """Disables a model.

        Raises:
            ModelNotFound: the catalog has no such model.
        """
        change, summary = _disable(reason), f"Disabled: {reason}"
        return await self._switch_model(actor, model_config_id, change, summary)

    async def enable_model(
        self, actor: str, model_config_id: str
    ) -> WriteResult[Versioned[ModelConfig]]:
        """Enables a model.

        Raises:
            ModelNotFound: the catalog has no such model.
        """
        return await self._switch_model(actor, model_config_id, _enable, "Enabled")

    async def disable_model_by_name(
        self, actor: str, provider: str, name: str, reason: str, note: str = ""
    ) -> WriteResult[Versioned[ModelConfig]]:
        """Disables the one model with a name; see `find_model_by_name`.

        Raises:
            InvalidArgument: several models have the name.
            ModelNotFound: the catalog has no model with the name.
        """
        model_config_id = await self._id_of(provider, name)
        change, summary = _disable(reason), _summary("Disabled", reason, note)
        return await self._switch_model(actor, model_config_id, change, summary)

    async def enable_model_by_name(
        self, actor: str, provider: str, name: str, reason: str = "", note: str = ""
    ) -> WriteResult[Versioned[ModelConfig]]:
        """Enables the one model with a name; see `find_model_by_name`.

        Raises:
            InvalidArgument: several models have the name.
            ModelNotFound: the catalog has no model with the name.
        """
        model_config_id = await self._id_of(provider, name)
        summary = _summary("Enabled", reason, note)
        return await self._switch_model(actor, model_config_id, _enable, summary)

    async def _id_of(self, provider: str, name: str) -> str:
        def find(reader: Reader) -> str:
            return find_model_by_name(reader, provider, name).id

        return await self._workspace.read(find)

    async def _switch_provider(
        self, actor: str, provider: str, change: SwitchChange, summary: str
    ) -> WriteResult[ProviderState]:
        def work(transaction: Transaction) -> ProviderState:
            state = _find_provider(transaction, provider)
            models = [_apply(transaction, actor, each, change, summary) for each in state.models]
            return replace(state, models=models)

        return await self._workspace.write(PLATFORM, work)

    async def _switch_model(
        self, actor: str, model_config_id: str, change: SwitchChange, summary: str
    ) -> WriteResult[Versioned[ModelConfig]]:
        def work(transaction: Transaction) -> Versioned[ModelConfig]:
            current = find_model(transaction, model_config_id)
            _apply(transaction, actor, current.value, change, summary)
            return find_model(transaction, model_config_id)

        return await self._workspace.write(PLATFORM, work)


@cache
def _known_names() -> tuple[str, ...]:
    return tuple(name for names in model_names().values() for name in names)


def _summary(verb: str, reason: str, note: str) -> str:
    """Returns a line for the change log: `Disabled: maintenance (ticket 4711)`."""
    summary = f"{verb}: {reason}" if reason else verb
    words = " ".join(note.split())
    return f"{summary} ({words})" if words else summary


def _disable(reason: str) -> SwitchChange:
    return lambda model, now: model.disabled(now, reason)


def _enable(model: ModelConfig, now: float) -> ModelConfig:
    return model.enabled()


def _apply(
    transaction: Transaction, actor: str, model: ModelConfig, change: SwitchChange, summary: str
) -> ModelConfig:
    """Returns the changed model. Writes nothing if it has not changed."""
    changed = change(model, transaction.now)
    if changed == model:
        return model
    changed = replace(changed, updated_at=transaction.now)
    return put_model(transaction, actor, changed, summary).value


def _read_providers(reader: Reader) -> Sequence[ProviderState]:
    by_provider: dict[str, list[ModelConfig]] = {}
    for model in read_models(reader):
        by_provider.setdefault(model.provider, []).append(model)
    return [ProviderState(provider, models) for provider, models in by_provider.items()]


def _find_provider(reader: Reader, provider: str) -> ProviderState:
    for each in _read_providers(reader):
        if normalize_name(each.provider) == normalize_name(provider):
            return each
    raise ProviderNotFound(f"the catalog has no model of provider {provider}")
