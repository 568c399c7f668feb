"""Brings the model catalog to a release, and keeps the changes of admins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pdp import catalog
from pdp.admin.model_catalog import put_model, read_models, with_provider_state
from pdp.domain.model_catalog import KIND, SHIPPED_FIELDS, ModelConfig
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from pdp.store.port import Transaction


def install_models(transaction: Transaction) -> None:
    """Brings the models in the store to this release.

    The changes of an admin are kept: each field that differs from the shipped value, the kill
    switch, and the removal of a model. A model that no longer ships is deleted, unless an admin has
    changed it or disabled it: an unknown model would be allowed.
    """
    present = {model.id: model for model in read_models(transaction)}
    shipped = {model.id: model for model in catalog.models()}
    for model in shipped.values():
        old = present.get(model.id)
        if old is not None:
            _upgrade(transaction, old, _shipped_fields(model))
        elif not transaction.history(KIND, PLATFORM, model.id) or _was_retired(
            transaction, model.id
        ):
            _add(transaction, model, present)
    for model in present.values():
        if model.shipped is not None and model.id not in shipped:
            _retire(transaction, model)


def _shipped_fields(model: ModelConfig) -> dict[str, Any]:
    return {name: getattr(model, name) for name in SHIPPED_FIELDS}


def _was_retired(transaction: Transaction, model_id: str) -> bool:
    """Returns whether an earlier release, and not an admin, deleted the model."""
    return transaction.history(KIND, PLATFORM, model_id)[0].actor == catalog.ACTOR


def _add(transaction: Transaction, model: ModelConfig, present: dict[str, ModelConfig]) -> None:
    now = transaction.now
    new = replace(model, shipped=_shipped_fields(model), created_at=now, updated_at=now)
    # Only the models from before this release count: those of the release are never disabled.
    new = with_provider_state(new, present.values(), now)
    put_model(transaction, catalog.ACTOR, new, "Installed")


def _upgrade(transaction: Transaction, old: ModelConfig, shipped: dict[str, Any]) -> None:
    # A model that an admin has added keeps all values of the admin.
    previous = {} if old.shipped is None else old.shipped
    changes = {
        name: value
        for name, value in shipped.items()
        if name in previous and getattr(old, name) == previous[name]
    }
    new = replace(old, **changes, shipped=shipped)
    if new != old:
        new = replace(new, updated_at=transaction.now)
        put_model(transaction, catalog.ACTOR, new, "Changed by a release")


def _retire(transaction: Transaction, model: ModelConfig) -> None:
    if not model.killed and _shipped_fields(model) == model.shipped:
        transaction.delete(
            KIND, PLATFORM, model.id, actor=catalog.ACTOR, summary="No longer in the catalog"
        )
    else:
        custom = replace(model, shipped=None, updated_at=transaction.now)
        summary = "No longer in the catalog; now a custom model"
        put_model(transaction, catalog.ACTOR, custom, summary)
