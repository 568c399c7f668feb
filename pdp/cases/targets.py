"""What cases are run on."""

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
    """Something that decides, and the way to give it policies."""

    def administer(self, tenant_id: str, name: str, body: JsonObject) -> tuple[JsonObject, int]:
        """Calls the RPC `name` for a tenant; returns its answer and the revision that it made.

        Raises:
            CallFailed: it was refused.

        """

    def decide(self, tenant_id: str, request: JsonObject) -> JsonObject:
        """Returns the DecideResponse.

        Raises:
            CallFailed: the request could not be judged.

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
        # A request that names a tenant is left to say so itself: two names would have to agree.
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
        asked = dict(request)
        if asked.get("tenant_id") is None:
            asked["tenant_id"] = tenant_id
        try:
            decision = self._engine.decide(asked)
        except PdpError as error:
            raise CallFailed.of(error) from None
        return encode(to_response(decision))
