"""TenantSettingsService (docs/decide.md, Fail closed and Layers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pdp._gen.pdp.v1 import tenant_settings_pb2 as pb
from pdp.domain.tenant_settings import body_of
from pdp.transport.etag import expectation, with_etag, with_new_etag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.tenant_settings import TenantSettingsAdmin
    from pdp.domain.tenant_settings import TenantSettings
    from pdp.transport.call import Call, Endpoint


class TenantSettingsServicer:
    """Administers the settings of the tenant that a call acts for."""

    def __init__(self, settings: TenantSettingsAdmin) -> None:
        self._settings = settings

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"GetTenantSettings": self.get, "UpdateTenantSettings": self.update}

    async def get(self, call: Call, message: Message) -> pb.GetTenantSettingsResponse:
        """Returns the settings."""
        settings = with_etag(call, await self._settings.get(call.tenant_id))
        return pb.GetTenantSettingsResponse(settings=_message(settings))

    async def update(self, call: Call, message: Message) -> pb.UpdateTenantSettingsResponse:
        """Changes the settings that are set in the request."""
        request = cast("pb.UpdateTenantSettingsRequest", message)
        changes: dict[str, Any] = {field.name: value for field, value in request.ListFields()}
        if request.HasField("document_tools"):
            changes["document_tools"] = list(request.document_tools.document_tools)
        if request.HasField("tool_actions"):
            changes["tool_actions"] = [
                {"tool": each.tool, "action": each.action}
                for each in request.tool_actions.tool_actions
            ]
        written = await self._settings.update(
            call.tenant_id, call.principal.name, changes, expectation(call)
        )
        return pb.UpdateTenantSettingsResponse(settings=_message(with_new_etag(call, written)))


def _message(settings: TenantSettings) -> pb.TenantSettings:
    fields = body_of(settings)
    tools = fields.pop("document_tools")
    if tools is not None:
        fields["document_tools"] = pb.DocumentTools(document_tools=tools)
    actions = fields.pop("tool_actions")
    if actions is not None:
        entries = [pb.ToolAction(**each) for each in actions]
        fields["tool_actions"] = pb.ToolActions(tool_actions=entries)
    return pb.TenantSettings(**fields)
