"""What holds for every call, as one visible list: `GUARDS`.

Adapters (gRPC, HTTP) build a `Call`, run its endpoint and write the answer down; nothing that
guards a call lives in an adapter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

import structlog

from pdp._gen.pdp.v1 import decide_pb2
from pdp.domain.ids import new_id
from pdp.domain.tenant import is_tenant_id
from pdp.errors import (
    InternalError,
    InvalidArgument,
    PdpError,
    TenantMismatch,
    Violation,
)
from pdp.jsonpb.problems import excerpt
from pdp.messages.conversion import to_request
from pdp.messages.validation import validate
from pdp.transport.admission import (
    ADMISSION,
    MAX_REQUEST_ID_LENGTH,
    REQUEST_ID_HEADER,
    TENANT_HEADER,
    Services,
    beyond_reach,
    printable,
)
from pdp.transport.call import Call, Endpoint

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.transport.methods import Method

MAX_ITEMS: Final = 1000
"""Of a batch, as its contract has it."""

_log = structlog.get_logger("pdp.calls")

Guard = Callable[[Call, "Message"], None]
"""Fills in its part of the call, or raises `PdpError`. A plain function, not a coroutine: most
calls are decisions, and six coroutines around each would cost as much as deciding does."""


def identified(method: Method, services: Services) -> Guard:
    """Gives the call an id: the caller's own, or a new one."""
    in_message = "request_id" in method.request.DESCRIPTOR.fields_by_name
    in_answer = "request_id" in method.response.DESCRIPTOR.fields_by_name

    def guard(call: Call, message: Message) -> None:
        request_id: str = getattr(message, "request_id") if in_message else ""  # noqa: B009
        if not request_id:
            given = call.metadata.get(REQUEST_ID_HEADER, "")
            request_id = given[:MAX_REQUEST_ID_LENGTH] or new_id()
        call.request_id = request_id
        if not in_answer:
            call.reply[REQUEST_ID_HEADER] = printable(request_id)

    return guard


def admitted(method: Method, services: Services) -> Guard:
    """Asks for admission where no adapter has; charges a batch for all that is in it."""
    checks = tuple(make(method, services) for make in ADMISSION)
    rates, is_batch = services.rates, method.request is decide_pb2.DecideBatchRequest

    def guard(call: Call, message: Message) -> None:
        if not call.admitted:
            for check in checks:
                check(call)
        if is_batch and rates is not None:
            # One that has too many is refused in a moment, and should not leave a debt for days.
            items = min(len(cast("decide_pb2.DecideBatchRequest", message).requests), MAX_ITEMS)
            rates.charge(call.principal.name, items - 1)

    return guard


def tenanted(method: Method, services: Services) -> Guard:
    """Settles which tenant the call acts for (decide.md, Tenants)."""
    fields = method.request.DESCRIPTOR.fields_by_name
    field = next((name for name in ("tenant_id", "org_id") if name in fields), None)

    def guard(call: Call, message: Message) -> None:
        named = getattr(message, field) if field else ""
        call.tenant_id = settle_tenant(call, named, field or TENANT_HEADER)

    def outer(call: Call, message: Message) -> None:
        # The DecideRequest within may name the tenant: its handler settles that, and answers a
        # fault in its place.
        if call.metadata.get(TENANT_HEADER) or call.principal.tenant_id:
            guard(call, message)

    request = fields.get("request")
    within = request is not None and request.message_type is decide_pb2.DecideRequest.DESCRIPTOR
    return outer if within else guard


def validated(method: Method, services: Services) -> Guard:
    """Holds the message against the bounds in its contract, and converts what is to be judged."""

    def guard(call: Call, message: Message) -> None:
        validate(message)

    def decide_guard(call: Call, message: Message) -> None:
        asked = cast("decide_pb2.DecideRequest", message)
        call.request = to_request(asked, call.tenant_id, call.request_id)

    return decide_guard if method.request is decide_pb2.DecideRequest else guard


GUARDS: Final[tuple[Callable[[Method, Services], Guard], ...]] = (
    identified,
    admitted,
    tenanted,
    validated,
)
"""In the order in which they run. Around them all, `guarded` counts the call and contains what
goes wrong."""


def guarded(method: Method, handler: Endpoint, services: Services) -> Endpoint:
    """Returns `handler` behind all guards.

    The endpoint raises `PdpError` and nothing else; every other exception is logged and becomes
    an `InternalError` that says nothing but the request id.
    """
    guards = tuple(make(method, services) for make in GUARDS)
    count = services.metrics.call

    async def endpoint(call: Call, message: Message) -> Message:
        begin = time.perf_counter()
        code = InternalError.reason
        try:
            for guard in guards:
                guard(call, message)
            response = await handler(call, message)
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
    methods: Mapping[str, Method], handlers: Mapping[str, Endpoint], services: Services
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
        field: where in the message it stands.

    Raises:
        InvalidArgument: the header's tenant is malformed, or none is named where several are
            possible.
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
