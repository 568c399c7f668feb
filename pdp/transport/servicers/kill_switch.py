"""KillSwitchService (seed 002)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import kill_switch_pb2 as pb
from pdp.transport.etag import with_etag, with_new_etag, with_revision
from pdp.transport.servicers.model_catalog import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.models.kill_switch import KillSwitches, ProviderState
    from pdp.domain.model_catalog import ModelConfig
    from pdp.transport.call import Call, Endpoint


class KillSwitchServicer:
    """Switches models and providers off and on."""

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
        }

    async def providers(self, call: Call, message: Message) -> pb.ListProviderKillSwitchesResponse:
        """Lists all providers."""
        found = await self._switches.providers()
        return pb.ListProviderKillSwitchesResponse(providers=[_summary(each) for each in found])

    async def disable_provider(self, call: Call, message: Message) -> pb.DisableProviderResponse:
        """Switches all models of a provider off."""
        asked = cast("pb.DisableProviderRequest", message)
        written = await self._switches.disable_provider(
            call.principal.name, asked.provider, asked.reason
        )
        return pb.DisableProviderResponse(summary=_summary(with_revision(call, written)))

    async def enable_provider(self, call: Call, message: Message) -> pb.EnableProviderResponse:
        """Switches all models of a provider on."""
        asked = cast("pb.EnableProviderRequest", message)
        written = await self._switches.enable_provider(call.principal.name, asked.provider)
        return pb.EnableProviderResponse(summary=_summary(with_revision(call, written)))

    async def model(self, call: Call, message: Message) -> pb.GetModelKillSwitchResponse:
        """Returns the state of a model."""
        asked = cast("pb.GetModelKillSwitchRequest", message)
        model = with_etag(call, await self._switches.model(asked.model_config_id))
        return pb.GetModelKillSwitchResponse(state=_state(model))

    async def disable_model(self, call: Call, message: Message) -> pb.DisableModelResponse:
        """Switches a model off."""
        asked = cast("pb.DisableModelRequest", message)
        written = await self._switches.disable_model(
            call.principal.name, asked.model_config_id, asked.reason
        )
        return pb.DisableModelResponse(state=_state(with_new_etag(call, written)))

    async def enable_model(self, call: Call, message: Message) -> pb.EnableModelResponse:
        """Switches a model on."""
        asked = cast("pb.EnableModelRequest", message)
        written = await self._switches.enable_model(call.principal.name, asked.model_config_id)
        return pb.EnableModelResponse(state=_state(with_new_etag(call, written)))


def _summary(provider: ProviderState) -> pb.ProviderKillSwitchSummary:
    return pb.ProviderKillSwitchSummary(
        provider=provider.provider,
        total_models=len(provider.models),
        kill_switch_disabled_count=provider.killed_count,
        kill_switch_active=provider.killed,
        models=[_state(model) for model in provider.models],
    )


def _state(model: ModelConfig) -> pb.KillSwitchState:
    return pb.KillSwitchState(
        id=model.id,
        provider=model.provider,
        model_id=model.model_id,
        display_name=model.display_name,
        is_active=model.is_active,
        kill_switch_active=model.killed,
        kill_switch_disabled_at=seconds(model.kill_switch_disabled_at),
        disabled_reason=model.disabled_reason,
    )
