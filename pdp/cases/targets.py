"""The targets on which cases run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pdp.client.base import CallFailed, Client, rpc
from pdp.errors import PdpError
from pdp.jsonpb import decode, encode
from pdp.messages.conversion import to_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.cases.model import JsonObject
    from pdp.embedded import Engine

REVISION_HEADER = "x-pdp-revision"


class CaseTarget(Protocol):
    """A decision point that accepts policies."""

    def administer(self, tenant_id: str, name: str, body: JsonObject) -> tuple[JsonObject, int]:
        """Calls the RPC `name` for a tenant; returns the response and the new revision.

        Raises:
            CallFailed: the call was refused.
        """

    def decide(self, tenant_id: str, request: JsonObject) -> JsonObject:
        """Returns the DecideResponse.

        Raises:
            CallFailed: the request was refused, or the target cannot be reached.
        """


class ClientTarget:
    """Decides and administers by a client: a server, or its endpoints in this process."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def administer(self, tenant_id: str, name: str, body: JsonObject) -> tuple[JsonObject, int]:
        """See `CaseTarget.administer`."""
        answer, metadata = self._call(tenant_id, name, body)
        return answer, int(metadata.get(REVISION_HEADER, 0))

    def decide(self, tenant_id: str, request: JsonObject) -> JsonObject:
        """See `CaseTarget.decide`."""
        # If the request names a tenant, the header must not name another one.
        return self._call("" if request.get("tenant_id") else tenant_id, "Decide", request)[0]

    def _call(
        self, tenant_id: str, name: str, body: JsonObject
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        message = rpc(name).request()
        try:
            decode(dict(body), message)
        except PdpError as error:
            raise CallFailed.of(error) from None
        answer = self._client.call(name, message, tenant_id)
        return encode(answer.message), answer.metadata


class EngineTarget:
    """Decides by an `Engine`, and administers the same database by a client."""

    def __init__(self, engine: Engine, client: Client) -> None:
        self._engine = engine
        self._admin = ClientTarget(client)

    def administer(self, tenant_id: str, name: str, body: JsonObject) -> tuple[JsonObject, int]:
        """See `CaseTarget.administer`."""
        return self._admin.administer(tenant_id, name, body)

    def decide(self, tenant_id: str, request: JsonObject) -> JsonObject:
        """See `CaseTarget.decide`."""
        body = dict(request)
        if body.get("tenant_id") is None:
            body["tenant_id"] = tenant_id
        try:
            decision = self._engine.decide(body)
        except PdpError as error:
            raise CallFailed.of(error) from None
        return encode(to_response(decision))
