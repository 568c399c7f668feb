"""ApiKeyService (docs/access.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import api_key_pb2 as pb
from pdp.admin.api_keys import DEFAULT_OVERLAP_S
from pdp.domain.api_key import ApiKey
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.api_keys import ApiKeys
    from pdp.transport.call import Call, Endpoint


class ApiKeyServicer:
    """Administers the API keys that a caller may give away."""

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
        found = await self._keys.list(call.principal.tenants)
        return pb.ListApiKeysResponse(keys=[_key(each) for each in found])

    async def create(self, call: Call, message: Message) -> pb.CreateApiKeyResponse:
        """Makes a key."""
        asked = cast("pb.CreateApiKeyRequest", message)
        draft = ApiKey(
            id="",
            name=asked.name,
            role=asked.role,
            tenants=tuple(asked.tenants) or (call.tenant_id,),
            secrets=(),
            expires_at=_seconds(asked.expires_at) if asked.HasField("expires_at") else None,
        )
        made = with_new_etag(
            call, await self._keys.create(call.principal.name, call.principal.tenants, draft)
        )
        return pb.CreateApiKeyResponse(key=made.text, api_key=_key(made.key))

    async def get(self, call: Call, message: Message) -> pb.GetApiKeyResponse:
        """Returns a key."""
        asked = cast("pb.GetApiKeyRequest", message)
        key = with_etag(call, await self._keys.get(call.principal.tenants, asked.key_id))
        return pb.GetApiKeyResponse(api_key=_key(key))

    async def rotate(self, call: Call, message: Message) -> pb.RotateApiKeyResponse:
        """Gives a key a new secret."""
        asked = cast("pb.RotateApiKeyRequest", message)
        overlap_s = asked.overlap_s if asked.HasField("overlap_s") else DEFAULT_OVERLAP_S
        principal = call.principal
        made = with_new_etag(
            call,
            await self._keys.rotate(principal.name, principal.tenants, asked.key_id, overlap_s),
        )
        return pb.RotateApiKeyResponse(key=made.text, api_key=_key(made.key))

    async def revoke(self, call: Call, message: Message) -> pb.RevokeApiKeyResponse:
        """Makes a key count no more."""
        asked = cast("pb.RevokeApiKeyRequest", message)
        principal = call.principal
        with_revision(
            call,
            await self._keys.revoke(
                principal.name, principal.tenants, asked.key_id, expectation(call)
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
                created_at=_time(each.created_at),
                expires_at=_time(each.expires_at),
            )
            for each in key.secrets
        ],
        expires_at=_time(key.expires_at),
        created_by=key.created_by,
        created_at=_time(key.created_at),
        updated_at=_time(key.updated_at),
    )


def _time(seconds: float | None) -> Timestamp | None:
    """Whole seconds, as the seeds show times."""
    return None if seconds is None else Timestamp(seconds=int(seconds))


def _seconds(time: Timestamp) -> float:
    return time.seconds + time.nanos / 1e9
