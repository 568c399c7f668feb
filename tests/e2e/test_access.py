"""Each role calls each method for its own tenant, for another and for none (docs/access.md).

The methods come from the descriptors of the contracts, so the tests cover new methods too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp.client.remote import failure, open_channel
from pdp.domain.access import ROLES
from pdp.transport.http.binding import bindings
from pdp.transport.methods import methods
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.servers import TIMEOUT_S
from tools import access_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.transport.http.binding import Binding
    from pdp.transport.methods import Method

OWN: Final = "own-tenant"
OTHER: Final = "other-tenant"
ALL: Final = "*"

WAIT_S: Final = 0.2
"""How long to wait for the first response of a stream, which may never come."""

REFUSALS: Final = {"UNAUTHENTICATED", "ACCESS_DENIED", "TENANT_MISMATCH"}


def name_of(method: Method) -> str:
    """Returns the id of a test of a method."""
    return method.name


METHODS: Final = sorted(methods(), key=lambda method: method.path)
ROUTES: Final = [
    pytest.param(method, binding, id=f"{binding.http_method} {binding.template}")
    for method in METHODS
    if not method.bidirectional
    for binding in bindings(method)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("access")) as opened:
        yield opened


@pytest.fixture(scope="module")
def channel(server: AuthenticatedServer) -> Iterator[grpc.Channel]:
    """A gRPC channel to the server."""
    with open_channel(server.server.grpc_address) as channel:
        yield channel


def expected(method: Method, role: str, bound_to: str, tenant: str) -> str:
    """Returns the reason code if the call must be refused; empty if it must be accepted."""
    if not access_table.may_call(role, method):
        return "ACCESS_DENIED"
    if method.scope == "platform" and bound_to != ALL:
        return "ACCESS_DENIED"
    return "TENANT_MISMATCH" if tenant == OTHER and bound_to != ALL else ""


def over_grpc(channel: grpc.Channel, method: Method, key: str, tenant: str, reason: str) -> str:
    """Returns the reason code if an empty message is refused; `OK` if it is accepted.

    A stream of responses that was accepted may send nothing; then this function stops waiting.
    """
    connect = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = connect(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )
    values = {"x-api-key": key, "x-tenant-id": tenant}
    metadata = tuple((name, value) for name, value in values.items() if value)
    timeout = WAIT_S if method.server_streaming and not reason else TIMEOUT_S
    try:
        response: Any = call(method.request(), timeout=timeout, metadata=metadata)
        if method.server_streaming:
            next(response, None)
    except grpc.RpcError as error:
        return failure(error, "").code
    return "OK"


def over_http(
    server: AuthenticatedServer, binding: Binding, key: str, tenant: str
) -> tuple[int, str]:
    """Returns the status and reason code of a request with an empty body and unknown ids."""
    path = binding.template
    for variable in binding.path:
        path = path.replace(f"{{{variable.name}}}", "x")
    body: dict[str, Any] = {"json": {}} if binding.body else {}
    if binding.method.server_streaming:
        return server.start_stream(binding.http_method, path, key, tenant)
    answer = server.request(binding.http_method, path, key, tenant, **body)
    if answer.is_success:
        return answer.status_code, "OK"
    assert answer.headers["x-request-id"]
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    "method", [each for each in METHODS if not each.bidirectional], ids=name_of
)
def test_grpc_calls_need_the_right_role_and_tenant(
    server: AuthenticatedServer, channel: grpc.Channel, method: Method
) -> None:
    """Over gRPC, access is checked before the message, and refused for the right reason."""
    assert over_grpc(channel, method, "", OWN, "UNAUTHENTICATED") == "UNAUTHENTICATED"
    for role in ROLES:
        for bound_to in (OWN, ALL):
            key = server.key(role, bound_to)
            for tenant in (OWN, OTHER, ""):
                reason = expected(method, role, bound_to, tenant)
                code = over_grpc(channel, method, key, tenant, reason)
                assert code == reason if reason else code not in REFUSALS, (
                    role, bound_to, tenant, code,
                )  # fmt: skip


@pytest.mark.parametrize(("method", "binding"), ROUTES)
def test_http_requests_need_the_right_role_and_tenant(
    server: AuthenticatedServer, method: Method, binding: Binding
) -> None:
    """Over HTTP, the same: 401 without a credential, 403 for another role or tenant."""
    assert over_http(server, binding, "", OWN) == (401, "UNAUTHENTICATED")
    for role in ROLES:
        for bound_to in (OWN, ALL):
            key = server.key(role, bound_to)
            for tenant in (OWN, OTHER, ""):
                answer = over_http(server, binding, key, tenant)
                reason = expected(method, role, bound_to, tenant)
                if reason:
                    assert answer == (403, reason), (role, bound_to, tenant)
                else:
                    assert answer[1] not in REFUSALS, (role, bound_to, tenant)
                    assert answer[0] < 500, answer


@pytest.mark.parametrize("method", [each for each in METHODS if each.bidirectional], ids=name_of)
def test_a_stream_is_refused_with_its_first_message(
    server: AuthenticatedServer, channel: grpc.Channel, method: Method
) -> None:
    """A stream of requests is refused with its first message."""

    def ask(key: str) -> str:
        credential = (("x-api-key", key),) if key else ()
        call = channel.stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        answers = call(iter([method.request()]), metadata=credential, timeout=TIMEOUT_S)
        try:
            next(answers)
        except Exception as error:
            return failure(error, "").code
        return "OK"

    assert ask("") == "UNAUTHENTICATED"
    for role in ROLES:
        response = ask(server.key(role, OWN))
        assert response == (expected(method, role, OWN, OWN) or "OK"), role


def test_a_key_for_several_tenants_must_name_one(server: AuthenticatedServer) -> None:
    """The server does not guess the tenant."""
    key = server.key("admin", OWN, "a-third")
    answer = server.request("GET", "/v1/org/policy", key)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"
    assert server.request("GET", "/v1/org/policy", key, "a-third").status_code == 200
    assert server.request("GET", "/v1/org/policy", key, OTHER).status_code == 403


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/docs.js", "/"]
)
def test_public_pages_need_no_credential(server: AuthenticatedServer, path: str) -> None:
    """Health, metrics and the description of the API are public."""
    assert server.request("GET", path).status_code == 200


def test_grpc_health_and_reflection_need_no_credential(channel: grpc.Channel) -> None:
    """Load balancers and tools call them without a credential."""
    from grpc_health.v1 import health_pb2  # noqa: PLC0415 - for this test
    from grpc_reflection.v1alpha import reflection_pb2  # noqa: PLC0415 - as above

    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    assert check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status == 1
    reflect = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    services = next(reflect(iter([request]), timeout=TIMEOUT_S)).list_services_response.service
    assert len(services) > 2


def test_an_unauthenticated_message_is_not_parsed(server: AuthenticatedServer) -> None:
    """An unauthenticated message is not parsed, so that parser errors reveal nothing."""
    answer = server.request(
        "POST", "/v1/decide", content=b"{ no json", headers={"content-type": "x"}
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_table_in_the_docs_is_current() -> None:
    """`docs/access.md` has the same table of access as the contracts."""
    assert access_table.in_page() == access_table.table(), "run python -m tools.access_table"
