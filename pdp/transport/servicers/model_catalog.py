"""ModelCatalogService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import model_catalog_pb2 as pb
from pdp.domain.model_catalog import ModelConfig
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.models.catalog import ModelCatalog
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
        asked = cast("pb.ListModelConfigsRequest", message)
        found = await self._catalog.list(provider=asked.provider, tier=asked.tier)
        return pb.ListModelConfigsResponse(models=[_model(model) for model in found])

    async def create(self, call: Call, message: Message) -> pb.CreateModelConfigResponse:
        """Adds a model."""
        asked = cast("pb.CreateModelConfigRequest", message)
        draft = ModelConfig(
            id="",
            provider=asked.provider,
            model_id=asked.model_id,
            display_name=asked.display_name or asked.model_id,
            tier=asked.tier,
            is_active=asked.is_active if asked.HasField("is_active") else True,
        )
        written = await self._catalog.create(call.principal.name, draft)
        return pb.CreateModelConfigResponse(model=_model(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetModelConfigResponse:
        """Returns a model."""
        asked = cast("pb.GetModelConfigRequest", message)
        model = with_etag(call, await self._catalog.get(asked.model_config_id))
        return pb.GetModelConfigResponse(model=_model(model))

    async def update(self, call: Call, message: Message) -> pb.UpdateModelConfigResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdateModelConfigRequest", message)
        changes = {name: getattr(asked, name) for name in _UPDATABLE if asked.HasField(name)}
        written = await self._catalog.update(
            call.principal.name, asked.model_config_id, changes, expectation(call)
        )
        return pb.UpdateModelConfigResponse(model=_model(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteModelConfigResponse:
        """Takes a model out of the catalog."""
        asked = cast("pb.DeleteModelConfigRequest", message)
        with_revision(
            call,
            await self._catalog.delete(
                call.principal.name, asked.model_config_id, expectation(call)
            ),
        )
        return pb.DeleteModelConfigResponse()


def seconds(at: float | None) -> Timestamp | None:
    """Returns a time in whole seconds, as the seeds show times; None for none."""
    return None if at is None else Timestamp(seconds=int(at))


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
        kill_switch_disabled_at=seconds(model.kill_switch_disabled_at),
        disabled_reason=model.disabled_reason,
        created_at=seconds(model.created_at),
        updated_at=seconds(model.updated_at),
    )
