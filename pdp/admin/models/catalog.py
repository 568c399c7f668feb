"""The model catalog: models added, changed and taken out by admins (docs/decide.md).

It is the platform's: what is written here is in force for all tenants.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.model_catalog import KIND, TIERS, ModelConfig, body_of, config_id, normalize_name
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import InvalidArgument, ModelDisabled, ModelExists, ModelNotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction

MAX_MODELS: Final = 10_000
"""Models that the catalog may have."""


class ModelCatalog:
    """The use cases. Writes take who acts."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, *, provider: str = "", tier: str = "") -> Sequence[ModelConfig]:
        """Returns the models in the order in which they were added; empty filters keep all."""
        wanted = normalize_name(provider)
        return [
            model
            for model in await self._workspace.read(models_of)
            if wanted in {"", normalize_name(model.provider)} and tier in {"", model.tier}
        ]

    async def get(self, model_config_id: str) -> Versioned[ModelConfig]:
        """Returns a model.

        Raises:
            ModelNotFound: there is none of that id.
        """
        return await self._workspace.read(lambda reader: find_model(reader, model_config_id))

    async def create(self, actor: str, draft: ModelConfig) -> Written[Versioned[ModelConfig]]:
        """Adds a model from `draft`, whose id, state and times do not count.

        A model of a provider whose models are all switched off is so too, for nothing that is asked
        of such a provider may pass.

        Raises:
            InvalidArgument: the model id is a tier's name, or there are too many models.
            ModelExists: the catalog has it, however it is spelt.
        """
        if normalize_name(draft.model_id) in TIERS:
            reason = f"{draft.model_id} is a tier, which stands for its current model"
            raise InvalidArgument.of(Violation("model_id", reason))

        def work(transaction: Transaction) -> Versioned[ModelConfig]:
            if transaction.count(KIND, PLATFORM) >= MAX_MODELS:
                reason = f"the catalog may have at most {MAX_MODELS} models"
                raise InvalidArgument(reason, Violation("model_id", reason))
            model_id = config_id(draft.provider, draft.model_id)
            if transaction.get(KIND, PLATFORM, model_id) is not None:
                name = f"{draft.provider}/{draft.model_id}"
                raise ModelExists(
                    f"{name} is in the catalog already", Violation("model_id", f"see {model_id}")
                )
            now = transaction.now
            model = replace(draft, id=model_id, created_at=now, updated_at=now)
            model = as_its_provider(model, models_of(transaction), now)
            summary = "Added, switched off like its provider" if model.killed else "Added"
            return put_model(transaction, actor, model, summary)

        return await self._workspace.write(PLATFORM, work)

    async def update(
        self,
        actor: str,
        model_config_id: str,
        changes: Mapping[str, Any],
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[ModelConfig]]:
        """Changes the fields in `changes`. Where they change nothing, nothing is written.

        Args:
            actor: who changes it.
            model_config_id: the model.
            changes: new values by field name; provider and model id, which are what the model is,
                may stand there as they are.
            expected: what the model's revision must be.

        Raises:
            InvalidArgument: the provider or the model id would change.
            ModelNotFound: there is no such model.
            PreconditionFailed: the model is not as expected.
        """

        def work(transaction: Transaction) -> Versioned[ModelConfig]:
            present = find_model(transaction, model_config_id)
            expected.check(present.revision)
            model = present.value
            fixed = [
                Violation(name, f"is {getattr(model, name)} and cannot be changed; add a model")
                for name in ("provider", "model_id")
                if changes.get(name, getattr(model, name)) != getattr(model, name)
            ]
            if fixed:
                raise InvalidArgument.of(*fixed)
            changed = replace(model, **changes)
            if changed == model:
                return present
            changed = replace(changed, updated_at=transaction.now)
            return put_model(transaction, actor, changed, _summary(model, changed))

        return await self._workspace.write(PLATFORM, work)

    async def delete(
        self, actor: str, model_config_id: str, expected: Expectation = ANYTHING
    ) -> Written[None]:
        """Takes a model out of the catalog; its history stays.

        Raises:
            ModelDisabled: it is switched off, and would pass once the catalog did not know it.
            ModelNotFound: there is no such model.
            PreconditionFailed: the model is not as expected.
        """

        def work(transaction: Transaction) -> None:
            present = find_model(transaction, model_config_id)
            expected.check(present.revision)
            if present.value.killed:
                raise ModelDisabled(
                    f"{present.value.name} is disabled, and would pass once it was unknown; "
                    "enable it first, or leave it in the catalog",
                    Violation("model_config_id", "is disabled"),
                )
            transaction.delete(KIND, PLATFORM, model_config_id, actor=actor, summary="Removed")

        return await self._workspace.write(PLATFORM, work)


def models_of(reader: Reader) -> list[ModelConfig]:
    """Returns the catalog's models in the order in which they were added."""
    return [ModelConfig(**record.body) for record in reader.list(KIND, PLATFORM)]


def find_model(reader: Reader, model_config_id: str) -> Versioned[ModelConfig]:
    """Returns a model.

    Raises:
        ModelNotFound: there is none of that id.
    """
    record = reader.get(KIND, PLATFORM, model_config_id)
    if record is None:
        raise ModelNotFound(f"there is no model {model_config_id} in the catalog")
    return Versioned(ModelConfig(**record.body), record.revision)


def put_model(
    transaction: Transaction, actor: str, model: ModelConfig, summary: str
) -> Versioned[ModelConfig]:
    """Writes a model into the catalog."""
    record = StoredEntity(KIND, PLATFORM, model.id, body_of(model))
    return Versioned(model, transaction.put(record, actor=actor, summary=summary).revision)


def as_its_provider(model: ModelConfig, models: Iterable[ModelConfig], now: float) -> ModelConfig:
    """Returns a new model, switched off where all `models` of its provider are."""
    siblings = [
        each for each in models if normalize_name(each.provider) == normalize_name(model.provider)
    ]
    if not siblings or not all(each.killed for each in siblings):
        return model
    latest = max(siblings, key=lambda each: each.kill_switch_disabled_at or 0)
    return model.disabled(now, latest.disabled_reason or "other")


def _summary(before: ModelConfig, after: ModelConfig) -> str:
    """Says which fields changed, in words."""
    changed = [
        field
        for field in ModelConfig.__slots__
        if field != "updated_at" and getattr(before, field) != getattr(after, field)
    ]
    return f"Updated {', '.join(changed)}"
