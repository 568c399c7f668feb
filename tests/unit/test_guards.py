"""The guards around every call: what it must pass, once, and how its end is counted."""

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
ASKED = decide_pb2.DecideRequest(request_id="r1")


class Counted(Metrics):
    """Metrics that tell how calls ended."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: Counter[str] = Counter()

    def call(self, transport: str, method: str, code: str, seconds: float) -> None:
        self.codes[code] += 1
        super().call(transport, method, code, seconds)


class Refusing:
    """Knows nobody, or fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def authenticate(self, metadata: Mapping[str, str], peer: tuple[str, ...] = ()) -> Principal:
        raise self._error


def services_of(
    authenticator: Authenticator | None = None, rates: RateLimiter | None = None
) -> tuple[Services, Counter[str]]:
    metrics = Counted()
    return Services(authenticator or DevelopmentAuthenticator(), metrics, rates), metrics.codes


def call(deadline: float | None = None, **metadata: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in metadata.items()}
    return Call(DECIDE, named, "grpc", deadline)


async def answered(asked: Call, message: Message) -> Message:
    """Stands for a handler."""
    return decide_pb2.DecideResponse(request_id=asked.request_id)


@pytest.mark.parametrize("by_adapter", [True, False])
async def test_nothing_is_begun_for_who_has_stopped_waiting(by_adapter: bool) -> None:
    """Whether an adapter asks for admission, or the chain itself."""
    services, codes = services_of()
    endpoint = guarded(DECIDE, answered, services)

    async def ask(asked: Call) -> Message:
        if by_adapter:
            admission(DECIDE, services)(asked)
        return await endpoint(asked, ASKED)

    with pytest.raises(DeadlineExceeded):
        await ask(call(time.monotonic()))
    assert codes == {"DEADLINE_EXCEEDED": 1}
    in_time = call(time.monotonic() + 3600)
    assert await ask(in_time) == decide_pb2.DecideResponse(request_id="r1")
    assert codes == {"DEADLINE_EXCEEDED": 1, "OK": 1}


async def test_a_call_that_was_admitted_is_not_asked_again() -> None:
    """It would pay its rate twice."""
    services, codes = services_of(rates=RateLimiter(0.3, 2, lambda: 0.0))
    admit, endpoint = admission(DECIDE, services), guarded(DECIDE, answered, services)
    for _ in range(2):
        asked = call()
        admit(asked)
        await endpoint(asked, ASKED)
    refused = call()
    with pytest.raises(RateLimited):
        admit(refused)
    assert refused.reply["retry-after"] == "4"  # whole seconds, and none too few
    assert codes == {"OK": 2, "RATE_LIMITED": 1}


def test_who_is_not_known_is_told_how_to_be_known() -> None:
    services, codes = services_of(Refusing(Unauthenticated("who?")))
    asked = call()
    with pytest.raises(Unauthenticated):
        admission(DECIDE, services)(asked)
    assert asked.reply["www-authenticate"] == "Bearer"
    assert asked.reply[REQUEST_ID_HEADER]
    assert codes == {"UNAUTHENTICATED": 1}


def test_a_fault_of_ours_lets_nobody_in_and_shows_nothing() -> None:
    services, codes = services_of(Refusing(ValueError("a secret")))
    asked = call()
    with pytest.raises(InternalError) as failed:
        admission(DECIDE, services)(asked)
    assert not asked.admitted
    assert failed.value.message == f"internal error; request id {asked.request_id}"
    assert codes == {"INTERNAL": 1}


def test_a_refusal_names_the_callers_own_id_as_far_as_a_header_can() -> None:
    services, _ = services_of(Refusing(Unauthenticated("who?")))
    asked = call(x_request_id="é\n" + "x" * 300)
    with pytest.raises(PdpError):
        admission(DECIDE, services)(asked)
    assert asked.request_id == "é\n" + "x" * 254
    assert asked.reply[REQUEST_ID_HEADER] == "??" + "x" * 254


class TestTenants:
    """Which tenant a call acts for, by message and header (decide.md, Tenants)."""

    @staticmethod
    async def tenant(named: str, header: str | None) -> str:
        """Returns the tenant that the handler is called for."""
        services, _ = services_of()
        metadata = {} if header is None else {"x-tenant-id": header}
        asked = Call(DECIDE, metadata, "local")
        message = decide_pb2.DecideRequest(tenant_id=named)
        await guarded(DECIDE, answered, services)(asked, message)
        return asked.tenant_id

    @pytest.mark.parametrize(
        ("named", "header", "tenant"),
        [("", None, "default"), ("", "a", "a"), ("a", None, "a"), ("a", "a", "a"), ("a", "", "a")],
    )
    async def test_one_that_is_named(self, named: str, header: str | None, tenant: str) -> None:
        assert await self.tenant(named, header) == tenant

    @pytest.mark.parametrize(("named", "header"), [("a", "b"), ("acme", "Acme")])
    async def test_two_that_differ(self, named: str, header: str) -> None:
        with pytest.raises(TenantMismatch):
            await self.tenant(named, header)

    @pytest.mark.parametrize("header", ["a b", "../a", "é", "a" * 129, " "])
    async def test_a_header_that_names_none(self, header: str) -> None:
        with pytest.raises(InvalidArgument) as refused:
            await self.tenant("", header)
        assert [each.field for each in refused.value.violations] == ["X-Tenant-ID"]


class TestFaults:
    """What a handler raises."""

    async def ask(self, error: Exception) -> tuple[PdpError, Counter[str]]:
        async def failing(asked: Call, message: Message) -> Message:
            raise error

        services, codes = services_of()
        with pytest.raises(PdpError) as failed:
            await guarded(DECIDE, failing, services)(call(), ASKED)
        return failed.value, codes

    async def test_an_error_of_ours_is_told_and_counted_as_it_is(self) -> None:
        error = StoreUnavailable("gone")
        assert await self.ask(error) == (error, {error.reason: 1})

    async def test_any_other_shows_the_requests_id_and_nothing_else(self) -> None:
        error, codes = await self.ask(ValueError("a secret"))
        assert error.message == "internal error; request id r1"
        assert codes == {"INTERNAL": 1}
