"""AccessService (docs/access.md)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pdp._gen.pdp.v1 import access_pb2 as pb
from pdp.domain.access import ALL_TENANTS, ROLES
from pdp.transport.call import Handler
from pdp.transport.servicers.fields import to_optional_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from google.protobuf.message import Message

    from pdp.auth.principal import Principal
    from pdp.transport.call import Call, Endpoint
    from pdp.transport.methods import Method

MAX_TIME: Final = 253_402_300_799.0
"""The last second that a timestamp can hold, in the year 9999."""


class AccessServicer:
    """Describes the caller of a call."""

    def __init__(self, methods: Sequence[Method], version: Callable[[], str]) -> None:
        """Takes what is described.

        Args:
            methods: all RPCs of the server.
            version: returns the version of the server; it may read a file.
        """
        self._methods = methods
        self._version = version

    def handlers(self) -> Mapping[str, Endpoint | Handler]:
        """Returns the handler of each RPC, by its name."""
        # A credential for several tenants need not name one.
        return {"WhoAmI": Handler(self.whoami, settles_tenant=True)}

    async def whoami(self, call: Call, message: Message) -> pb.WhoAmIResponse:
        """Returns the caller, and the methods that it may call."""
        principal = call.principal
        is_platform = principal.tenants is None
        return pb.WhoAmIResponse(
            name=principal.name,
            roles=[role for role in ROLES if role in principal.roles],
            tenant_id="" if is_platform else principal.tenant_id,
            tenants=[ALL_TENANTS] if principal.tenants is None else sorted(principal.tenants),
            platform=is_platform,
            kind=principal.kind,
            expires_at=to_optional_timestamp(_finite(principal.expires_at)),
            person=principal.person,
            version=await asyncio.to_thread(self._version),
            methods=sorted(each.name for each in self._methods if may_call(principal, each)),
        )


def may_call(principal: Principal, method: Method) -> bool:
    """Whether a principal has the role and the scope that a method needs."""
    has_role = not method.callers.isdisjoint(principal.roles)
    return has_role and (method.scope == "tenant" or principal.tenants is None)


def _finite(expires_at: float | None) -> float | None:
    return None if expires_at is None or expires_at > MAX_TIME else expires_at
