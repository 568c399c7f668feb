"""SiemService (seed 002)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import siem_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.export.siem.directory import ConnectorDirectory, ConnectorState
    from pdp.transport.call import Call, Endpoint


class SiemServicer:
    """Shows the connectors and tests them."""

    def __init__(self, directory: ConnectorDirectory) -> None:
        self._directory = directory

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListSiemConnectors": self.connectors,
            "GetSiemHealth": self.health,
            "TestSiemConnector": self.test,
        }

    async def connectors(self, call: Call, message: Message) -> pb.ListSiemConnectorsResponse:
        """Lists all connectors."""
        found = await self._directory.connectors()
        return pb.ListSiemConnectorsResponse(
            connectors=[_connector(each) for each in found], total=len(found)
        )

    async def health(self, call: Call, message: Message) -> pb.GetSiemHealthResponse:
        """Counts the connectors by their health."""
        found = await self._directory.connectors()
        counts = Counter(str(each.status) for each in found)
        return pb.GetSiemHealthResponse(total=len(found), **counts)

    async def test(self, call: Call, message: Message) -> pb.TestSiemConnectorResponse:
        """Sends a made-up event to a connector's product."""
        asked = cast("pb.TestSiemConnectorRequest", message)
        delivery = await self._directory.test(asked.connector_id, call.principal.name)
        success = delivery.error is None
        return pb.TestSiemConnectorResponse(
            connector_id=delivery.connector_id,
            success=success,
            events_sent=int(success),
            error=delivery.error,
        )


def _connector(state: ConnectorState) -> pb.SiemConnector:
    return pb.SiemConnector(
        connector_id=state.spec.id,
        display_name=state.spec.display_name,
        status=state.status,
        connector_type=state.spec.connector_type,
        config_summary=state.config_summary,
    )
