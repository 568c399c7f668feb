"""ModelCatalogService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pdp._gen.pdp.v1 import model_catalog_pb2 as pb
from pdp.domain.model_catalog import ModelConfig
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.servicers.fields import (
    present_fields,
    to_optional_timestamp,
    to_timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.model_catalog import ModelCatalog
    from pdp.transport.call import Call, Endpoint

_UPDATABLE: Final = ("provider", "model_id", "display_name", "tier", "is_active")


class ModelCatalogServicer:
    """Administers the model catalog of the platform."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListModelConfigs": self.list,
            "CreateModelConfig": self.create,
            "GetModelConfig": self.get,
            "UpdateModelConfig": self.update,
            "DeleteModelConfig": self.delete,
        }

    async def list(self, call: Call, message: Message) -> pb.ListModelConfigsResponse:
        """Lists the models."""
        request = cast("pb.ListModelConfigsRequest", message)
        models = await self._catalog.list(provider=request.provider, tier=request.tier)
        return pb.ListModelConfigsResponse(models=[_model(model) for model in models])

    async def create(self, call: Call, message: Message) -> pb.CreateModelConfigResponse:
        """Adds a model."""
        request = cast("pb.CreateModelConfigRequest", message)
        draft = ModelConfig(
            id="",
            provider=request.provider,
            model_id=request.model_id,
            display_name=request.display_name or request.model_id,
            tier=request.tier,
            is_active=request.is_active if request.HasField("is_active") else True,
            aliases=list(request.aliases.aliases),
        )
        written = await self._catalog.create(call.principal.name, draft)
        return pb.CreateModelConfigResponse(model=_model(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetModelConfigResponse:
        """Returns a model."""
        request = cast("pb.GetModelConfigRequest", message)
        model = with_etag(call, await self._catalog.get(request.model_config_id))
        return pb.GetModelConfigResponse(model=_model(model))

    async def update(self, call: Call, message: Message) -> pb.UpdateModelConfigResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdateModelConfigRequest", message)
        changes = present_fields(request, _UPDATABLE)
        if request.HasField("aliases"):
            changes["aliases"] = list(request.aliases.aliases)
        written = await self._catalog.update(
            call.principal.name, request.model_config_id, changes, expectation(call)
        )
        return pb.UpdateModelConfigResponse(model=_model(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteModelConfigResponse:
        """Removes a model from the catalog."""
        request = cast("pb.DeleteModelConfigRequest", message)
        with_revision(
            call,
            await self._catalog.delete(
                call.principal.name, request.model_config_id, expectation(call)
            ),
        )
        return pb.DeleteModelConfigResponse()


def _model(model: ModelConfig) -> pb.ModelConfig:
    return pb.ModelConfig(
        id=model.id,
        provider=model.provider,
        model_id=model.model_id,
        display_name=model.display_name,
        tier=model.tier or None,
        is_active=model.is_active,
        source="custom" if model.shipped is None else "catalog",
        kill_switch_active=model.killed,
        kill_switch_disabled_at=to_optional_timestamp(model.kill_switch_disabled_at),
        disabled_reason=model.disabled_reason,
        created_at=to_timestamp(model.created_at),
        updated_at=to_timestamp(model.updated_at),
        aliases=model.aliases,
    )
