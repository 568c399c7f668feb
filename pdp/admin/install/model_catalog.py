"""Brings the model catalog to a release, without undoing what admins have changed in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pdp import catalog
from pdp.admin.models.catalog import as_its_provider, models_of, put_model
from pdp.domain.model_catalog import KIND, SHIPPED_FIELDS, ModelConfig
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from pdp.store.port import Transaction


def install_models(transaction: Transaction) -> None:
    """Brings the store's models to those of this release.

    What an admin has said of a model stays: each field that differs from what was shipped, a kill
    switch, and that a model was taken out. A model that is shipped no more goes, unless an admin
    has changed it or switched it off: what is unknown would pass.
    """
    present = {model.id: model for model in models_of(transaction)}
    wanted = {model.id: model for model in catalog.models()}
    for model in wanted.values():
        old = present.get(model.id)
        if old is not None:
            _upgrade(transaction, old, _shipped(model))
        elif not transaction.history(KIND, PLATFORM, model.id) or _dropped(transaction, model.id):
            _add(transaction, model, present)
    for model in present.values():
        if model.shipped is not None and model.id not in wanted:
            _retire(transaction, model)


def _shipped(model: ModelConfig) -> dict[str, Any]:
    return {name: getattr(model, name) for name in SHIPPED_FIELDS}


def _dropped(transaction: Transaction, model_id: str) -> bool:
    """Whether an earlier release took the model out, and no admin did."""
    return transaction.history(KIND, PLATFORM, model_id)[0].actor == catalog.ACTOR


def _add(transaction: Transaction, model: ModelConfig, present: dict[str, ModelConfig]) -> None:
    now = transaction.now
    new = replace(model, shipped=_shipped(model), created_at=now, updated_at=now)
    # Of those that were there before: the release's own models say nothing of a kill switch.
    new = as_its_provider(new, present.values(), now)
    put_model(transaction, catalog.ACTOR, new, "Installed")


def _upgrade(transaction: Transaction, old: ModelConfig, shipped: dict[str, Any]) -> None:
    # A model that an admin has added keeps the admin's word on everything.
    before = {} if old.shipped is None else old.shipped
    followed = {
        name: value
        for name, value in shipped.items()
        if name in before and getattr(old, name) == before[name]
    }
    new = replace(old, **followed, shipped=shipped)
    if new != old:
        new = replace(new, updated_at=transaction.now)
        put_model(transaction, catalog.ACTOR, new, "Changed by a release")


def _retire(transaction: Transaction, model: ModelConfig) -> None:
    if not model.killed and _shipped(model) == model.shipped:
        transaction.delete(
            KIND, PLATFORM, model.id, actor=catalog.ACTOR, summary="No longer in the catalog"
        )
    else:
        kept = replace(model, shipped=None, updated_at=transaction.now)
        put_model(transaction, catalog.ACTOR, kept, "No longer in the catalog; an admin's now")
