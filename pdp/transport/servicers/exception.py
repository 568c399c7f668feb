"""ExceptionService: for whom, where and until when policies are lifted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

from pdp._gen.pdp.v1 import exception_pb2 as pb
from pdp.domain.policy_exception import APPROVED, PolicyException
from pdp.transport.etag import expectation, with_etag, with_new_etag, with_revision
from pdp.transport.paging import answer_list
from pdp.transport.servicers.fields import to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from pdp.admin.exceptions import Exceptions
    from pdp.transport.call import Call, Endpoint

_TEXTS: Final = ("name", "description", "reason", "ticket", "owner", "expression")
_FLAGS: Final = ("everyone", "org_risk")
_LISTS: Final = (
    "groups",
    "users",
    "agents",
    "customers",
    "policies",
    "families",
    "dlp_rules",
    "entity_types",
    "rules",
    "models",
    "tools",
    "scope",
    "values",
    "value_patterns",
)


class ExceptionServicer:
    """Administers exceptions for the tenant that a call acts for."""

    def __init__(self, exceptions: Exceptions) -> None:
        self._exceptions = exceptions

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "ListExceptions": self.list,
            "CreateException": self.create,
            "GetException": self.get,
            "UpdateException": self.update,
            "ApproveException": self.approve,
            "DeleteException": self.delete,
        }

    async def list(self, call: Call, message: Message) -> pb.ListExceptionsResponse:
        """Lists exceptions."""
        request = cast("pb.ListExceptionsRequest", message)
        return await answer_list(
            call,
            request,
            "exceptions",
            read=lambda page: self._exceptions.list(call.tenant_id, page),
            build=lambda page: pb.ListExceptionsResponse(exceptions=map(_message, page.items)),
        )

    async def create(self, call: Call, message: Message) -> pb.CreateExceptionResponse:
        """Creates an exception."""
        request = cast("pb.CreateExceptionRequest", message)
        written = await self._exceptions.create(
            call.tenant_id,
            call.principal.name,
            _draft(request, ""),
            may_be_permanent=_acts_for_all_tenants(call),
        )
        return pb.CreateExceptionResponse(exception=_message(with_new_etag(call, written)))

    async def get(self, call: Call, message: Message) -> pb.GetExceptionResponse:
        """Returns an exception."""
        request = cast("pb.GetExceptionRequest", message)
        exception = with_etag(call, await self._exceptions.get(call.tenant_id, request.id))
        return pb.GetExceptionResponse(exception=_message(exception))

    async def update(self, call: Call, message: Message) -> pb.UpdateExceptionResponse:
        """Replaces an exception."""
        request = cast("pb.UpdateExceptionRequest", message)
        written = await self._exceptions.update(
            call.tenant_id,
            call.principal.name,
            _draft(request, request.id),
            may_be_permanent=_acts_for_all_tenants(call),
            precondition=expectation(call),
        )
        return pb.UpdateExceptionResponse(exception=_message(with_new_etag(call, written)))

    async def approve(self, call: Call, message: Message) -> pb.ApproveExceptionResponse:
        """Approves an exception."""
        request = cast("pb.ApproveExceptionRequest", message)
        written = await self._exceptions.approve(
            call.tenant_id, call.principal.name, request.id, expectation(call)
        )
        return pb.ApproveExceptionResponse(exception=_message(with_new_etag(call, written)))

    async def delete(self, call: Call, message: Message) -> pb.DeleteExceptionResponse:
        """Deletes an exception."""
        request = cast("pb.DeleteExceptionRequest", message)
        written = await self._exceptions.delete(
            call.tenant_id, call.principal.name, request.id, expectation(call)
        )
        with_revision(call, written)
        return pb.DeleteExceptionResponse()


def _acts_for_all_tenants(call: Call) -> bool:
    return call.principal.tenants is None


def _draft(
    request: pb.CreateExceptionRequest | pb.UpdateExceptionRequest, exception_id: str
) -> PolicyException:
    fields: dict[str, Any] = {name: getattr(request, name) for name in (*_TEXTS, *_FLAGS)}
    fields |= {name: list(getattr(request, name)) for name in _LISTS}
    for name in ("valid_from", "valid_until"):
        fields[name] = _seconds(getattr(request, name)) if request.HasField(name) else None
    return PolicyException(exception_id, **fields)


def _message(exception: PolicyException) -> pb.PolicyException:
    fields: dict[str, Any] = {
        name: getattr(exception, name) for name in (*_TEXTS, *_FLAGS, *_LISTS)
    }
    for name in ("valid_from", "valid_until"):
        seconds = getattr(exception, name)
        if seconds is not None:
            fields[name] = to_timestamp(seconds)
    return pb.PolicyException(
        id=exception.id,
        state=exception.state,
        proposed_by=exception.proposed_by,
        approved_by=exception.approved_by,
        active=exception.state == APPROVED and _is_now(exception),
        created_at=to_timestamp(exception.created_at),
        updated_at=to_timestamp(exception.updated_at),
        **fields,
    )


def _is_now(exception: PolicyException) -> bool:
    now = time.time()
    begins, ends = exception.valid_from, exception.valid_until
    return (begins is None or begins <= now) and (ends is None or now < ends)


def _seconds(timestamp: Timestamp) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9
