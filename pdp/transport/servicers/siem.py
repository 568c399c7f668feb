"""SiemService (the SIEM API)."""

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
    """Lists the SIEM connectors and tests them."""

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
        connectors = await self._directory.connectors()
        return pb.ListSiemConnectorsResponse(
            connectors=[_connector(each) for each in connectors], total=len(connectors)
        )

    async def health(self, call: Call, message: Message) -> pb.GetSiemHealthResponse:
        """Counts the connectors by their health."""
        connectors = await self._directory.connectors()
        counts = Counter(str(each.status) for each in connectors)
        return pb.GetSiemHealthResponse(total=len(connectors), **counts)

    async def test(self, call: Call, message: Message) -> pb.TestSiemConnectorResponse:
        """Sends a test event to a connector's product."""
        request = cast("pb.TestSiemConnectorRequest", message)
        delivery = await self._directory.test(request.connector_id, call.principal.name)
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
