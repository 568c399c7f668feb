"""The guards of every call, as one visible list: `GUARDS`.

Adapters (gRPC, HTTP) build a `Call`, run its endpoint and send the answer. No adapter guards a call
itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import structlog

from pdp.domain.ids import new_id
from pdp.domain.tenant import is_tenant_id
from pdp.errors import (
    InternalError,
    InvalidArgument,
    PdpError,
    TenantMismatch,
    Violation,
)
from pdp.messages.validation import validate
from pdp.strictjson.problems import excerpt
from pdp.transport.admission import (
    ADMISSION,
    MAX_REQUEST_ID_LENGTH,
    REQUEST_ID_HEADER,
    TENANT_HEADER,
    Services,
    beyond_reach,
    printable,
)
from pdp.transport.call import Call, Endpoint, Handler
from pdp.transport.write_warnings import add_to_header, add_to_message, has_warnings

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.transport.methods import Method

MAX_WEIGHT: Final = 1000
"""The most calls that one message counts for. A message with too many items is refused in a moment,
and must not use up its caller's rate for days."""

_log = structlog.get_logger("pdp.calls")

Guard = Callable[[Call, "Message"], None]
"""Fills in its part of the call, or raises `PdpError`. It is a plain function because six
coroutines around each decision would cost as much as the decision."""


def identified(method: Method, handler: Handler, services: Services) -> Guard:
    """Gives the call an id: the caller's, or a new one."""
    in_message = "request_id" in method.request.DESCRIPTOR.fields_by_name
    in_answer = "request_id" in method.response.DESCRIPTOR.fields_by_name

    def guard(call: Call, message: Message) -> None:
        request_id: str = getattr(message, "request_id") if in_message else ""  # noqa: B009
        if not request_id:
            header = call.metadata.get(REQUEST_ID_HEADER, "")
            request_id = header[:MAX_REQUEST_ID_LENGTH] or new_id()
        call.request_id = request_id
        if not in_answer:
            call.reply[REQUEST_ID_HEADER] = printable(request_id)

    return guard


def admitted(method: Method, handler: Handler, services: Services) -> Guard:
    """Runs admission if no adapter has; charges the rest of a message's weight."""
    checks = tuple(make(method, services) for make in ADMISSION)
    rates, weight = services.rates, handler.weight

    def guard(call: Call, message: Message) -> None:
        if not call.admitted:
            for check in checks:
                check(call)
        if weight is not None and rates is not None:
            rates.charge(call.principal.name, min(weight(message), MAX_WEIGHT) - 1)

    return guard


def tenanted(method: Method, handler: Handler, services: Services) -> Guard:
    """Settles which tenant the call acts for (docs/decide.md, Tenants)."""
    fields = method.request.DESCRIPTOR.fields_by_name
    field = next((name for name in ("tenant_id", "org_id") if name in fields), None)

    def guard(call: Call, message: Message) -> None:
        named = getattr(message, field) if field else ""
        call.tenant_id = settle_tenant(call, named, field or TENANT_HEADER)

    def guard_outer(call: Call, message: Message) -> None:
        if call.metadata.get(TENANT_HEADER) or call.principal.tenant_id:
            guard(call, message)

    return guard_outer if handler.settles_tenant else guard


def validated(method: Method, handler: Handler, services: Services) -> Guard:
    """Checks the message against the bounds in its contract."""

    def guard(call: Call, message: Message) -> None:
        validate(message)

    return handler.check or guard


GUARDS: Final[tuple[Callable[[Method, Handler, Services], Guard], ...]] = (
    identified,
    admitted,
    tenanted,
    validated,
)
"""In the order in which they run. Around them all, `guarded` counts calls and contains errors."""


def guarded(method: Method, handler: Endpoint | Handler, services: Services) -> Endpoint:
    """Returns `handler` behind all guards.

    The endpoint raises `PdpError` and nothing else; every other exception is logged and becomes
    an `InternalError` that says nothing but the request id.
    """
    settings = handler if isinstance(handler, Handler) else Handler(handler)
    guards = tuple(make(method, settings, services) for make in GUARDS)
    handle, count = settings.handle, services.metrics.call
    add = add_to_message if has_warnings(method.descriptor.output_type) else add_to_header

    async def endpoint(call: Call, message: Message) -> Message:
        begin = time.perf_counter()
        code = InternalError.reason
        try:
            for guard in guards:
                guard(call, message)
            response = await handle(call, message)
            if call.warnings:
                add(call, response)
            code = "OK"
        except PdpError as error:
            code = error.reason
            raise
        except Exception as error:
            _log.exception("call failed", method=method.path, request_id=call.request_id)
            raise InternalError(f"internal error; request id {call.request_id}") from error
        finally:
            count(call.transport, method.name, code, time.perf_counter() - begin)
        return response

    return endpoint


def endpoints(
    methods: Mapping[str, Method], handlers: Mapping[str, Endpoint | Handler], services: Services
) -> dict[str, Endpoint]:
    """Returns the guarded endpoint of every RPC, by its gRPC path.

    Raises:
        KeyError: an RPC has no handler.
    """
    return {path: guarded(method, handlers[path], services) for path, method in methods.items()}


def settle_tenant(call: Call, named: str, field: str) -> str:
    """Returns the tenant that the call acts for.

    Args:
        call: with its principal.
        named: the tenant in the message; empty for none.
        field: the name of its field in the message.

    Raises:
        InvalidArgument: the header's tenant is malformed, or no tenant is named although the
            credential is for several.
        TenantMismatch: message and header differ, or the principal may not act for the tenant.
    """
    header = call.metadata.get(TENANT_HEADER, "")
    if header and not is_tenant_id(header):
        raise InvalidArgument.of(
            Violation("X-Tenant-ID", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -")
        )
    if named and header and named != header:
        raise TenantMismatch(
            f'{field} is "{excerpt(named)}" and X-Tenant-ID is "{excerpt(header)}"',
            Violation(field, "differs from X-Tenant-ID"),
        )
    tenant_id = named or header or call.principal.tenant_id
    if not tenant_id:
        reason = "is required: the credential is not for one tenant alone"
        raise InvalidArgument.of(Violation(field, reason))
    if not call.principal.may_act_for(tenant_id):
        raise beyond_reach(tenant_id, field)
    return tenant_id
