"""ApiKeyService (docs/access.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pdp._gen.pdp.v1 import api_key_pb2 as pb
from pdp.admin.api_keys import DEFAULT_OVERLAP_S
from pdp.domain.api_key import ApiKey
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.servicers.fields import to_optional_timestamp, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from pdp.admin.api_keys import ApiKeys
    from pdp.transport.call import Call, Endpoint


class ApiKeyServicer:
    """Administers the API keys for the tenants that the caller may act for."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListApiKeys": self.list,
            "CreateApiKey": self.create,
            "GetApiKey": self.get,
            "RotateApiKey": self.rotate,
            "RevokeApiKey": self.revoke,
        }

    async def list(self, call: Call, message: Message) -> pb.ListApiKeysResponse:
        """Lists the keys."""
        keys = await self._keys.list(call.principal.tenants)
        return pb.ListApiKeysResponse(keys=[_key(each) for each in keys])

    async def create(self, call: Call, message: Message) -> pb.CreateApiKeyResponse:
        """Creates a key."""
        request = cast("pb.CreateApiKeyRequest", message)
        draft = ApiKey(
            id="",
            name=request.name,
            role=request.role,
            tenants=tuple(request.tenants) or (call.tenant_id,),
            secrets=(),
            expires_at=_seconds(request.expires_at) if request.HasField("expires_at") else None,
            owner=request.owner,
        )
        issued = with_new_etag(
            call, await self._keys.create(call.principal.name, call.principal.tenants, draft)
        )
        return pb.CreateApiKeyResponse(key=issued.text, api_key=_key(issued.key))

    async def get(self, call: Call, message: Message) -> pb.GetApiKeyResponse:
        """Returns a key."""
        request = cast("pb.GetApiKeyRequest", message)
        key = with_etag(call, await self._keys.get(call.principal.tenants, request.key_id))
        return pb.GetApiKeyResponse(api_key=_key(key))

    async def rotate(self, call: Call, message: Message) -> pb.RotateApiKeyResponse:
        """Gives a key a new secret."""
        request = cast("pb.RotateApiKeyRequest", message)
        overlap_s = request.overlap_s if request.HasField("overlap_s") else DEFAULT_OVERLAP_S
        principal = call.principal
        issued = with_new_etag(
            call,
            await self._keys.rotate(principal.name, principal.tenants, request.key_id, overlap_s),
        )
        return pb.RotateApiKeyResponse(key=issued.text, api_key=_key(issued.key))

    async def revoke(self, call: Call, message: Message) -> pb.RevokeApiKeyResponse:
        """Revokes a key."""
        request = cast("pb.RevokeApiKeyRequest", message)
        principal = call.principal
        with_revision(
            call,
            await self._keys.revoke(
                principal.name, principal.tenants, request.key_id, expectation(call)
            ),
        )
        return pb.RevokeApiKeyResponse()


def _key(key: ApiKey) -> pb.ApiKey:
    return pb.ApiKey(
        id=key.id,
        name=key.name,
        role=key.role,
        tenants=key.tenants,
        secrets=[
            pb.ApiKeySecret(
                prefix=each.prefix,
                created_at=to_timestamp(each.created_at),
                expires_at=to_optional_timestamp(each.expires_at),
            )
            for each in key.secrets
        ],
        expires_at=to_optional_timestamp(key.expires_at),
        created_by=key.created_by,
        created_at=to_timestamp(key.created_at),
        updated_at=to_timestamp(key.updated_at),
        owner=key.owner,
    )


def _seconds(time: Timestamp) -> float:
    return time.seconds + time.nanos / 1e9
