"""Admission: the checks that a call must pass before its message is read, as one visible list.

Strangers, and callers that may not do what they ask for, cost little this way: no body is read and
no message is parsed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

import structlog

from pdp.domain.access import ROLES
from pdp.domain.ids import new_id
from pdp.domain.tenant import is_tenant_id
from pdp.errors import (
    AccessDenied,
    DeadlineExceeded,
    InternalError,
    PdpError,
    RateLimited,
    TenantMismatch,
    Unauthenticated,
    Violation,
)
from pdp.strictjson.problems import excerpt
from pdp.transport.beside import caller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.auth.principal import Authenticator
    from pdp.auth.rate_limits import RateLimiter
    from pdp.transport.call import Call
    from pdp.transport.methods import Method
    from pdp.transport.metrics import Metrics

TENANT_HEADER: Final = "x-tenant-id"
REQUEST_ID_HEADER: Final = "x-request-id"
UNTRUSTED_GROUPS_HEADER: Final = "x-untrusted-groups"
"""A follower that passes on a request of a caller whose groups it does not trust sends it."""

MAX_REQUEST_ID_LENGTH: Final = 256

_log: Final = structlog.get_logger("pdp.calls")


@dataclass(frozen=True, slots=True)
class Services:
    """The services that the guards use.

    Attributes:
        authenticator: returns the principal of a call.
        metrics: counts calls.
        rates: limits how often a principal may call; None for no limit.
    """

    authenticator: Authenticator
    metrics: Metrics
    rates: RateLimiter | None = None


Check = Callable[["Call"], None]
"""Fills in its part of the call, or raises `PdpError`."""


def punctual(method: Method, services: Services) -> Check:
    """Refuses a call whose deadline has passed: its caller has stopped waiting."""

    def check(call: Call) -> None:
        if call.deadline is not None and call.deadline <= time.monotonic():
            raise DeadlineExceeded("the deadline passed before the work began")

    return check


def authenticated(method: Method, services: Services) -> Check:
    """Sets the principal of the call."""
    authenticate = services.authenticator.authenticate

    def check(call: Call) -> None:
        try:
            principal = authenticate(call.metadata, call.peer)
        except Unauthenticated:
            call.reply["www-authenticate"] = "Bearer"
            raise
        if call.metadata.get(UNTRUSTED_GROUPS_HEADER):
            principal = replace(principal, groups_trusted=False)
        call.principal = principal
        caller.set(principal.name)

    def check_repeatedly(call: Call) -> None:
        check(call)
        call.still_counts = check

    return check_repeatedly if method.server_streaming else check


def permitted(method: Method, services: Services) -> Check:
    """Checks the principal's roles and tenants against the contract of the RPC."""
    name, callers, of_platform = method.name, method.callers, method.scope == "platform"
    wanted = " or ".join(role for role in ROLES if role in callers)

    def check(call: Call) -> None:
        principal = call.principal
        if callers.isdisjoint(principal.roles):
            raise AccessDenied(f"{name} needs the role {wanted}")
        if of_platform and principal.tenants is not None:
            raise AccessDenied(f"{name} is for all tenants at once; the credential is for some")

    return check


def reaching(method: Method, services: Services) -> Check:
    """Refuses a tenant in a header that the principal may not act for.

    A tenant in the message is checked when the message is read.
    """

    def check(call: Call) -> None:
        tenant_id = call.metadata.get(TENANT_HEADER)
        if tenant_id and not call.principal.may_act_for(tenant_id) and is_tenant_id(tenant_id):
            raise beyond_reach(tenant_id, "X-Tenant-ID")

    return check


def paced(method: Method, services: Services) -> Check:
    """Refuses a call if its principal has called too often."""
    rates = services.rates

    def check(call: Call) -> None:
        try:
            cast("RateLimiter", rates).take(call.principal.name)
        except RateLimited as error:
            call.reply["retry-after"] = str(math.ceil(error.retry_after_s))
            raise

    return check if rates is not None else _unpaced


def _unpaced(call: Call) -> None:
    """Lets every call pass."""


ADMISSION: Final[tuple[Callable[[Method, Services], Check], ...]] = (
    punctual,
    authenticated,
    permitted,
    reaching,
    paced,
)
"""In the order in which they run."""


def admission(method: Method, services: Services) -> Check:
    """Returns the check that an adapter runs before it reads a message.

    It counts the calls that it refuses. If an adapter does not run it, the guards do.
    """
    checks = tuple(make(method, services) for make in ADMISSION)
    count = services.metrics.call

    def admit(call: Call) -> None:
        begin = time.perf_counter()
        try:
            for check in checks:
                check(call)
        except Exception as error:
            refusal = _refusal(call, error)
            call.is_counted = True
            count(call.transport, method.name, refusal.reason, time.perf_counter() - begin)
            raise refusal from error.__cause__
        call.admitted = True

    return admit


def _refusal(call: Call, error: Exception) -> PdpError:
    """Returns the error for a caller that is not admitted; an internal fault admits no caller."""
    request_id = call.metadata.get(REQUEST_ID_HEADER, "")[:MAX_REQUEST_ID_LENGTH] or new_id()
    call.request_id = request_id
    call.reply[REQUEST_ID_HEADER] = printable(request_id)
    if isinstance(error, PdpError):
        return error
    _log.error("call failed", method=call.method.path, request_id=request_id, exc_info=error)
    return InternalError(f"internal error; request id {request_id}")


def beyond_reach(tenant_id: str, field: str) -> TenantMismatch:
    """Returns the error for a tenant that the credential may not act for."""
    return TenantMismatch(
        f'the credential may not act for tenant "{excerpt(tenant_id)}"',
        Violation(field, "not a tenant of the credential"),
    )


def admit_all(call: Call) -> None:
    """Leaves admission to the guards."""


def admissions(methods: Mapping[str, Method], services: Services) -> dict[str, Check]:
    """Returns the admission check of every RPC, by its gRPC path."""
    return {path: admission(method, services) for path, method in methods.items()}


def printable(request_id: str) -> str:
    """Returns an id with a question mark for every character that a header cannot hold."""
    if request_id.isascii() and request_id.isprintable():
        return request_id  # most ids
    return "".join(
        character if character.isascii() and character.isprintable() else "?"
        for character in request_id
    )
