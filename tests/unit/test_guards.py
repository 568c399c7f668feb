"""The guards of every call: each runs once, and the result is counted."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.auth.principal import DevelopmentAuthenticator
from pdp.auth.rate_limits import RateLimiter
from pdp.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidArgument,
    PdpError,
    RateLimited,
    StoreUnavailable,
    TenantMismatch,
    Unauthenticated,
)
from pdp.transport.admission import REQUEST_ID_HEADER, Services, admission
from pdp.transport.call import Call
from pdp.transport.guards import guarded
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.auth.principal import Authenticator, Principal

DECIDE = next(method for method in methods() if method.name == "Decide")
REQUEST = decide_pb2.DecideRequest(request_id="r1")


class CountingMetrics(Metrics):
    """Metrics that count the codes of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: Counter[str] = Counter()

    def call(self, transport: str, method: str, code: str, seconds: float) -> None:
        self.codes[code] += 1
        super().call(transport, method, code, seconds)


class FailingAuthenticator:
    """An authenticator that always raises an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        raise self._error


def services_of(
    authenticator: Authenticator | None = None, rates: RateLimiter | None = None
) -> tuple[Services, Counter[str]]:
    metrics = CountingMetrics()
    return Services(authenticator or DevelopmentAuthenticator(), metrics, rates), metrics.codes


def call(deadline: float | None = None, **metadata: str) -> Call:
    headers = {name.replace("_", "-"): value for name, value in metadata.items()}
    return Call(DECIDE, headers, "grpc", deadline)


async def respond(call: Call, message: Message) -> Message:
    """Returns a response with the id of the call, like a handler."""
    return decide_pb2.DecideResponse(request_id=call.request_id)


@pytest.mark.parametrize("by_adapter", [True, False])
async def test_a_call_after_its_deadline_does_not_start(by_adapter: bool) -> None:
    """Whether the adapter or the endpoint checks admission."""
    services, codes = services_of()
    endpoint = guarded(DECIDE, respond, services)

    async def send(new_call: Call) -> Message:
        if by_adapter:
            admission(DECIDE, services)(new_call)
        return await endpoint(new_call, REQUEST)

    with pytest.raises(DeadlineExceeded):
        await send(call(time.monotonic()))
    assert codes == {"DEADLINE_EXCEEDED": 1}
    in_time = call(time.monotonic() + 3600)
    assert await send(in_time) == decide_pb2.DecideResponse(request_id="r1")
    assert codes == {"DEADLINE_EXCEEDED": 1, "OK": 1}


async def test_an_admitted_call_is_not_admitted_again() -> None:
    """Otherwise it would count twice for the rate limit."""
    services, codes = services_of(rates=RateLimiter(0.3, 2, lambda: 0.0))
    admit, endpoint = admission(DECIDE, services), guarded(DECIDE, respond, services)
    for _ in range(2):
        admitted = call()
        admit(admitted)
        await endpoint(admitted, REQUEST)
    limited_call = call()
    with pytest.raises(RateLimited):
        admit(limited_call)
    assert limited_call.reply["retry-after"] == "4"  # rounded up to whole seconds
    assert codes == {"OK": 2, "RATE_LIMITED": 1}


def test_an_unauthenticated_caller_gets_the_challenge() -> None:
    services, codes = services_of(FailingAuthenticator(Unauthenticated("who?")))
    refused_call = call()
    with pytest.raises(Unauthenticated):
        admission(DECIDE, services)(refused_call)
    assert refused_call.reply["www-authenticate"] == "Bearer"
    assert refused_call.reply[REQUEST_ID_HEADER]
    assert codes == {"UNAUTHENTICATED": 1}


def test_an_internal_error_refuses_the_call_and_is_not_shown() -> None:
    services, codes = services_of(FailingAuthenticator(ValueError("a secret")))
    refused_call = call()
    with pytest.raises(InternalError) as caught:
        admission(DECIDE, services)(refused_call)
    assert not refused_call.admitted
    assert caught.value.message == f"internal error; request id {refused_call.request_id}"
    assert codes == {"INTERNAL": 1}


def test_a_refusal_has_the_callers_request_id_in_ascii() -> None:
    services, _ = services_of(FailingAuthenticator(Unauthenticated("who?")))
    refused_call = call(x_request_id="é\n" + "x" * 300)
    with pytest.raises(PdpError):
        admission(DECIDE, services)(refused_call)
    assert refused_call.request_id == "é\n" + "x" * 254
    assert refused_call.reply[REQUEST_ID_HEADER] == "??" + "x" * 254


class TestTenants:
    """The tenant of a call, from the message and the header (docs/decide.md, Tenants)."""

    @staticmethod
    async def tenant(tenant_id: str, header: str | None) -> str:
        """Returns the tenant of the call that the handler gets."""
        services, _ = services_of()
        metadata = {} if header is None else {"x-tenant-id": header}
        local_call = Call(DECIDE, metadata, "local")
        message = decide_pb2.DecideRequest(tenant_id=tenant_id)
        await guarded(DECIDE, respond, services)(local_call, message)
        return local_call.tenant_id

    @pytest.mark.parametrize(
        ("tenant_id", "header", "tenant"),
        [("", None, "default"), ("", "a", "a"), ("a", None, "a"), ("a", "a", "a"), ("a", "", "a")],
    )
    async def test_the_message_and_the_header_name_the_tenant(
        self, tenant_id: str, header: str | None, tenant: str
    ) -> None:
        assert await self.tenant(tenant_id, header) == tenant

    @pytest.mark.parametrize(("tenant_id", "header"), [("a", "b"), ("acme", "Acme")])
    async def test_two_different_tenants_are_refused(self, tenant_id: str, header: str) -> None:
        with pytest.raises(TenantMismatch):
            await self.tenant(tenant_id, header)

    @pytest.mark.parametrize("header", ["a b", "../a", "é", "a" * 129, " "])
    async def test_an_invalid_header_is_refused(self, header: str) -> None:
        with pytest.raises(InvalidArgument) as caught:
            await self.tenant("", header)
        assert [each.field for each in caught.value.violations] == ["X-Tenant-ID"]


class TestFaults:
    """Errors that a handler raises."""

    async def call_with(self, error: Exception) -> tuple[PdpError, Counter[str]]:
        async def fail(call: Call, message: Message) -> Message:
            raise error

        services, codes = services_of()
        with pytest.raises(PdpError) as caught:
            await guarded(DECIDE, fail, services)(call(), REQUEST)
        return caught.value, codes

    async def test_an_error_of_the_product_is_raised_and_counted_unchanged(self) -> None:
        error = StoreUnavailable("gone")
        assert await self.call_with(error) == (error, {error.reason: 1})

    async def test_any_other_error_shows_only_the_id_of_the_request(self) -> None:
        error, codes = await self.call_with(ValueError("a secret"))
        assert error.message == "internal error; request id r1"
        assert codes == {"INTERNAL": 1}
