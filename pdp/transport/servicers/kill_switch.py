"""KillSwitchService (the kill switch API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import kill_switch_pb2 as pb
from pdp.transport.etag import with_etag, with_new_etag, with_revision
from pdp.transport.servicers.fields import to_optional_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from pdp.admin.kill_switch import KillSwitches, ProviderState
    from pdp.domain.model_catalog import ModelConfig
    from pdp.transport.call import Call, Endpoint


class KillSwitchServicer:
    """Disables and enables models and providers."""

    def __init__(self, switches: KillSwitches) -> None:
        self._switches = switches

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListProviderKillSwitches": self.providers,
            "DisableProvider": self.disable_provider,
            "EnableProvider": self.enable_provider,
            "GetModelKillSwitch": self.model,
            "DisableModel": self.disable_model,
            "EnableModel": self.enable_model,
            "DisableModelByName": self.disable_model_by_name,
            "EnableModelByName": self.enable_model_by_name,
        }

    async def providers(self, call: Call, message: Message) -> pb.ListProviderKillSwitchesResponse:
        """Lists all providers."""
        providers = await self._switches.providers()
        names = await self._switches.covered_names()
        return pb.ListProviderKillSwitchesResponse(
            providers=[_summary(each, names) for each in providers]
        )

    async def disable_provider(self, call: Call, message: Message) -> pb.DisableProviderResponse:
        """Disables all models of a provider."""
        request = cast("pb.DisableProviderRequest", message)
        written = await self._switches.disable_provider(
            call.principal.name, request.provider, request.reason
        )
        names = await self._switches.covered_names()
        return pb.DisableProviderResponse(summary=_summary(with_revision(call, written), names))

    async def enable_provider(self, call: Call, message: Message) -> pb.EnableProviderResponse:
        """Enables all models of a provider."""
        request = cast("pb.EnableProviderRequest", message)
        written = await self._switches.enable_provider(call.principal.name, request.provider)
        names = await self._switches.covered_names()
        return pb.EnableProviderResponse(summary=_summary(with_revision(call, written), names))

    async def model(self, call: Call, message: Message) -> pb.GetModelKillSwitchResponse:
        """Returns the kill switch state of a model."""
        request = cast("pb.GetModelKillSwitchRequest", message)
        model = with_etag(call, await self._switches.model(request.model_config_id))
        names = await self._switches.covered_names()
        return pb.GetModelKillSwitchResponse(state=_state(model, names))

    async def disable_model(self, call: Call, message: Message) -> pb.DisableModelResponse:
        """Disables a model."""
        request = cast("pb.DisableModelRequest", message)
        written = await self._switches.disable_model(
            call.principal.name, request.model_config_id, request.reason
        )
        names = await self._switches.covered_names()
        return pb.DisableModelResponse(state=_state(with_new_etag(call, written), names))

    async def enable_model(self, call: Call, message: Message) -> pb.EnableModelResponse:
        """Enables a model."""
        request = cast("pb.EnableModelRequest", message)
        written = await self._switches.enable_model(call.principal.name, request.model_config_id)
        names = await self._switches.covered_names()
        return pb.EnableModelResponse(state=_state(with_new_etag(call, written), names))

    async def disable_model_by_name(
        self, call: Call, message: Message
    ) -> pb.DisableModelByNameResponse:
        """Disables the model with a name."""
        request = cast("pb.DisableModelByNameRequest", message)
        written = await self._switches.disable_model_by_name(
            call.principal.name, request.provider, request.model, request.reason, request.note
        )
        names = await self._switches.covered_names()
        return pb.DisableModelByNameResponse(state=_state(with_new_etag(call, written), names))

    async def enable_model_by_name(
        self, call: Call, message: Message
    ) -> pb.EnableModelByNameResponse:
        """Enables the model with a name."""
        request = cast("pb.EnableModelByNameRequest", message)
        written = await self._switches.enable_model_by_name(
            call.principal.name, request.provider, request.model, request.reason, request.note
        )
        names = await self._switches.covered_names()
        return pb.EnableModelByNameResponse(state=_state(with_new_etag(call, written), names))


def _summary(
    provider: ProviderState, names: Mapping[str, Sequence[str]]
) -> pb.ProviderKillSwitchSummary:
    return pb.ProviderKillSwitchSummary(
        provider=provider.provider,
        total_models=len(provider.models),
        kill_switch_disabled_count=provider.killed_count,
        kill_switch_active=provider.killed,
        models=[_state(model, names) for model in provider.models],
    )


def _state(model: ModelConfig, names: Mapping[str, Sequence[str]]) -> pb.KillSwitchState:
    return pb.KillSwitchState(
        id=model.id,
        provider=model.provider,
        model_id=model.model_id,
        display_name=model.display_name,
        is_active=model.is_active,
        kill_switch_active=model.killed,
        kill_switch_disabled_at=to_optional_timestamp(model.kill_switch_disabled_at),
        disabled_reason=model.disabled_reason,
        covered_names=names.get(model.id, ()),
    )
