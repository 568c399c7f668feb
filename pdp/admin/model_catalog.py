"""The model catalog: admins add, change and remove models (docs/decide.md).

The catalog belongs to the platform: a change is in force for all tenants.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.model_catalog import KIND, TIERS, ModelConfig, body_of, config_id, normalize_name
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import InvalidArgument, ModelDisabled, ModelExists, ModelNotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction

MAX_MODELS: Final = 10_000
"""How many models the catalog may have."""


class ModelCatalog:
    """Administers the model catalog."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, *, provider: str = "", tier: str = "") -> Sequence[ModelConfig]:
        """Returns the models in order of creation. An empty filter matches all models."""
        provider = normalize_name(provider)
        return [
            model
            for model in await self._workspace.read(read_models)
            if provider in {"", normalize_name(model.provider)} and tier in {"", model.tier}
        ]

    async def get(self, model_config_id: str) -> Versioned[ModelConfig]:
        """Returns a model.

        Raises:
            ModelNotFound: the catalog has no such model.
        """
        return await self._workspace.read(lambda reader: find_model(reader, model_config_id))

    async def create(self, actor: str, draft: ModelConfig) -> WriteResult[Versioned[ModelConfig]]:
        """Adds a model from `draft`; its id, state and times are set here.

        If all models of the provider are disabled, the new model is disabled too: no request to a
        disabled provider may pass.

        Raises:
            InvalidArgument: the model id is the name of a tier, an alias is the name of another
                model, or there are too many models.
            ModelExists: the catalog has the model already, in any spelling.
        """
        if normalize_name(draft.model_id) in TIERS:
            reason = f"{draft.model_id} is the name of a tier, which stands for its current model"
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
            _check_aliases(transaction, draft)
            now = transaction.now
            model = replace(draft, id=model_id, created_at=now, updated_at=now)
            model = with_provider_state(model, read_models(transaction), now)
            summary = "Added, switched off like its provider" if model.killed else "Added"
            return put_model(transaction, actor, model, summary)

        return await self._workspace.write(PLATFORM, work)

    async def update(
        self,
        actor: str,
        model_config_id: str,
        changes: Mapping[str, Any],
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[ModelConfig]]:
        """Changes the fields in `changes`. Writes nothing if they have these values already.

        Args:
            actor: who makes the change.
            model_config_id: the model.
            changes: new values by field name. `provider` and `model_id` identify the model and may
                only have their present values.
            precondition: checked against the revision of the model.

        Raises:
            InvalidArgument: `changes` would change the provider or the model id, or an alias is the
                name of another model.
            ModelNotFound: the catalog has no such model.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> Versioned[ModelConfig]:
            current = find_model(transaction, model_config_id)
            precondition.check(current.revision)
            model = current.value
            violations = [
                Violation(name, f"is {getattr(model, name)} and cannot be changed; add a model")
                for name in ("provider", "model_id")
                if changes.get(name, getattr(model, name)) != getattr(model, name)
            ]
            if violations:
                raise InvalidArgument.of(*violations)
            changed = replace(model, **changes)
            if changed == model:
                return current
            _check_aliases(transaction, changed)
            changed = replace(changed, updated_at=transaction.now)
            return put_model(transaction, actor, changed, _summary(model, changed))

        return await self._workspace.write(PLATFORM, work)

    async def delete(
        self, actor: str, model_config_id: str, precondition: Precondition = NO_PRECONDITION
    ) -> WriteResult[None]:
        """Removes a model from the catalog; its history is kept.

        Raises:
            ModelDisabled: the model is disabled. Unknown models are allowed.
            ModelNotFound: the catalog has no such model.
            PreconditionFailed: `precondition` does not hold.
        """

        def work(transaction: Transaction) -> None:
            current = find_model(transaction, model_config_id)
            precondition.check(current.revision)
            if current.value.killed:
                raise ModelDisabled(
                    f"{current.value.name} is disabled, and would pass once it was unknown; "
                    "enable it first, or leave it in the catalog",
                    Violation("model_config_id", "is disabled"),
                )
            transaction.delete(KIND, PLATFORM, model_config_id, actor=actor, summary="Removed")

        return await self._workspace.write(PLATFORM, work)


def _check_aliases(reader: Reader, model: ModelConfig) -> None:
    """Checks the aliases of a model, and that its own name is no alias of another model.

    Raises:
        InvalidArgument: a name would mean two models of the provider, or a tier.
    """
    owners: dict[str, str] = {}
    for each in read_models(reader):
        same_provider = normalize_name(each.provider) == normalize_name(model.provider)
        if same_provider and config_id(model.provider, model.model_id) != each.id:
            for name in (each.model_id, *each.aliases):
                owners[normalize_name(name)] = each.name
    violations = [
        Violation(f"aliases[{index}]", f"is a name of {owners[normalize_name(alias)]}")
        for index, alias in enumerate(model.aliases)
        if normalize_name(alias) in owners
    ]
    violations += [
        Violation(f"aliases[{index}]", "is the name of a tier")
        for index, alias in enumerate(model.aliases)
        if normalize_name(alias) in TIERS
    ]
    if normalize_name(model.model_id) in owners:
        owner = owners[normalize_name(model.model_id)]
        violations.append(Violation("model_id", f"is an alias of {owner}; remove it there first"))
    if violations:
        raise InvalidArgument.of(*violations)


def read_models(reader: Reader) -> list[ModelConfig]:
    """Returns the models of the catalog in order of creation."""
    return [ModelConfig(**entity.body) for entity in reader.list(KIND, PLATFORM)]


def find_model(reader: Reader, model_config_id: str) -> Versioned[ModelConfig]:
    """Returns a model.

    Raises:
        ModelNotFound: the catalog has no such model.
    """
    entity = reader.get(KIND, PLATFORM, model_config_id)
    if entity is None:
        raise ModelNotFound(f"there is no model {model_config_id} in the catalog")
    return Versioned(ModelConfig(**entity.body), entity.revision)


def put_model(
    transaction: Transaction, actor: str, model: ModelConfig, summary: str
) -> Versioned[ModelConfig]:
    """Writes a model to the catalog."""
    entity = StoredEntity(KIND, PLATFORM, model.id, body_of(model))
    return Versioned(model, transaction.put(entity, actor=actor, summary=summary).revision)


def with_provider_state(
    model: ModelConfig, models: Iterable[ModelConfig], now: float
) -> ModelConfig:
    """Returns a new model, disabled if all `models` of its provider are disabled."""
    siblings = [
        each for each in models if normalize_name(each.provider) == normalize_name(model.provider)
    ]
    if not siblings or not all(each.killed for each in siblings):
        return model
    latest = max(siblings, key=lambda each: each.kill_switch_disabled_at or 0)
    return model.disabled(now, latest.disabled_reason or "other")


def _summary(before: ModelConfig, after: ModelConfig) -> str:
    """Returns a sentence that names the changed fields."""
    changed = [
        field
        for field in ModelConfig.__slots__
        if field != "updated_at" and getattr(before, field) != getattr(after, field)
    ]
    return f"Updated {', '.join(changed)}"
