"""What holds for every call, as one visible list: `MIDDLEWARE`.

Each entry wraps an endpoint in another. Adapters (gRPC, HTTP) build a `Call`, run the endpoint
and write the answer down; nothing that guards a call lives in an adapter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from pdp.domain.tenant import is_tenant_id
from pdp.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidArgument,
    PdpError,
    TenantMismatch,
    Violation,
)
from pdp.transport.call import Call, Endpoint, new_id
from pdp.transport.methods import Method
from pdp.transport.validation import validate

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.auth.principal import Authenticator
    from pdp.transport.metrics import Metrics

TENANT_HEADER: Final = "x-tenant-id"
REQUEST_ID_HEADER: Final = "x-request-id"
MAX_REQUEST_ID_LENGTH: Final = 256

_log = structlog.get_logger("pdp.calls")


@dataclass(frozen=True, slots=True)
class Guards:
    """What the middleware works with."""

    authenticator: Authenticator
    metrics: Metrics


Middleware = Callable[[Method, Endpoint, Guards], Endpoint]


def identified(method: Method, inner: Endpoint, guards: Guards) -> Endpoint:
    """Gives the call an id: the caller's own, or a new one."""
    in_message = "request_id" in method.request.DESCRIPTOR.fields_by_name

    async def endpoint(call: Call, message: Message) -> Message:
        request_id = getattr(message, "request_id") if in_message else ""  # noqa: B009
        request_id = request_id or call.metadata.get(REQUEST_ID_HEADER) or new_id()
        call.request_id = call.reply[REQUEST_ID_HEADER] = request_id[:MAX_REQUEST_ID_LENGTH]
        return await inner(call, message)

    return endpoint


def measured(method: Method, inner: Endpoint, guards: Guards) -> Endpoint:
    """Counts the call and its time, and turns whatever is no `PdpError` into an InternalError."""
    count = guards.metrics.call

    async def endpoint(call: Call, message: Message) -> Message:
        begin = time.perf_counter()
        code = "INTERNAL"
        try:
            response = await inner(call, message)
            code = "OK"
        except PdpError as error:
            code = error.reason
            raise
        except Exception as error:
            _log.exception("call failed", method=method.path, request_id=call.request_id)
            message_text = f"internal error; request id {call.request_id}"
            raise InternalError(message_text) from error
        finally:
            count(call.transport, method.name, code, time.perf_counter() - begin)
        return response

    return endpoint


def punctual(method: Method, inner: Endpoint, guards: Guards) -> Endpoint:
    """Begins nothing for a caller that has stopped waiting."""

    async def endpoint(call: Call, message: Message) -> Message:
        if call.deadline is not None and call.deadline <= time.monotonic():
            raise DeadlineExceeded("the deadline passed before the request was judged")
        return await inner(call, message)

    return endpoint


def authenticated(method: Method, inner: Endpoint, guards: Guards) -> Endpoint:
    """Finds out who calls."""
    authenticate = guards.authenticator.authenticate

    async def endpoint(call: Call, message: Message) -> Message:
        call.principal = authenticate(call.metadata)
        return await inner(call, message)

    return endpoint


def validated(method: Method, inner: Endpoint, guards: Guards) -> Endpoint:
    """Holds the message against the bounds in its contract."""

    async def endpoint(call: Call, message: Message) -> Message:
        validate(message)
        return await inner(call, message)

    return endpoint


def tenanted(method: Method, inner: Endpoint, guards: Guards) -> Endpoint:
    """Settles which tenant the call acts for (decide.md, Tenants)."""
    fields = method.request.DESCRIPTOR.fields_by_name
    field = next((name for name in ("tenant_id", "org_id") if name in fields), None)

    async def endpoint(call: Call, message: Message) -> Message:
        named = getattr(message, field) if field else ""
        call.tenant_id = settle_tenant(call, named, field or TENANT_HEADER)
        return await inner(call, message)

    return endpoint


def settle_tenant(call: Call, named: str, field: str) -> str:
    """Returns the tenant that the call acts for.

    Args:
        call: with its principal.
        named: the tenant in the message; empty for none.
        field: where in the message it stands.

    Raises:
        InvalidArgument: the tenant's id is malformed.
        TenantMismatch: message and header differ, or the principal may not act for the tenant.
    """
    header = call.metadata.get(TENANT_HEADER, "")
    if header and not is_tenant_id(header):
        raise InvalidArgument.of(
            Violation("X-Tenant-ID", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -")
        )
    if named and header and named != header:
        raise TenantMismatch(
            f'{field} is "{named}" and X-Tenant-ID is "{header}"',
            Violation(field, "differs from X-Tenant-ID"),
        )
    tenant_id = named or header or call.principal.tenant_id
    if not call.principal.may_act_for(tenant_id):
        raise TenantMismatch(
            f'the credential may not act for tenant "{tenant_id}"',
            Violation(field, "not a tenant of the credential"),
        )
    return tenant_id


MIDDLEWARE: Final[tuple[Middleware, ...]] = (
    identified,
    measured,
    punctual,
    authenticated,
    validated,
    tenanted,
)
"""Outermost first."""


def chain(method: Method, handler: Endpoint, guards: Guards) -> Endpoint:
    """Returns `handler` with every middleware around it."""
    endpoint = handler
    for middleware in reversed(MIDDLEWARE):
        endpoint = middleware(method, endpoint, guards)
    return endpoint


def endpoints(
    methods: Mapping[str, Method], handlers: Mapping[str, Endpoint], guards: Guards
) -> dict[str, Endpoint]:
    """Returns the guarded endpoint of every RPC, by its gRPC path.

    Raises:
        KeyError: an RPC has no handler.
    """
    return {path: chain(method, handlers[path], guards) for path, method in methods.items()}
