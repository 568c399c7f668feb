"""Every method, asked by every role for its own tenant, another's and none (docs/access.md).

The methods come from the contracts' descriptors, so one that is new is held to this, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp.client.remote import failure, open_channel
from pdp.domain.access import ROLES
from pdp.transport.http.binding import bindings
from pdp.transport.methods import methods
from tests.support.secured_servers import Locked, locked
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
"""How long a stream of answers that nothing is in is listened to."""

KEPT_OUT: Final = {"UNAUTHENTICATED", "ACCESS_DENIED", "TENANT_MISMATCH"}


def named(method: Method) -> str:
    """Returns what a test of a method is called."""
    return method.name


METHODS: Final = sorted(methods(), key=lambda method: method.path)
ROUTES: Final = [
    pytest.param(method, binding, id=f"{binding.http_method} {binding.template}")
    for method in METHODS
    if not method.bidirectional
    for binding in bindings(method)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """A server that requires credentials."""
    with locked(tmp_path_factory.mktemp("access")) as opened:
        yield opened


def expected(method: Method, role: str, bound_to: str, tenant: str) -> str:
    """Returns the reason that a call is refused for; empty where it is let in."""
    if not access_table.may_call(role, method):
        return "ACCESS_DENIED"
    if method.scope == "platform" and bound_to != ALL:
        return "ACCESS_DENIED"
    return "TENANT_MISMATCH" if tenant == OTHER and bound_to != ALL else ""


def over_grpc(server: Locked, method: Method, key: str, tenant: str, wanted: str) -> str:
    """Returns the reason that an empty message is refused for; `OK` where it is not.

    One that is let in to a stream of answers may wait for them as long as it likes.
    """
    credential = (("x-api-key", key),) if key else ()
    with open_channel(server.server.grpc_address) as channel:
        connect = channel.unary_stream if method.server_streaming else channel.unary_unary
        call = connect(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        metadata = (*credential, *((("x-tenant-id", tenant),) if tenant else ()))
        timeout = WAIT_S if method.server_streaming and not wanted else TIMEOUT_S
        try:
            answer: Any = call(method.request(), timeout=timeout, metadata=metadata)
            if method.server_streaming:
                next(answer, None)
        except grpc.RpcError as error:
            return failure(error, "").code
    return "OK"


def over_http(server: Locked, binding: Binding, key: str, tenant: str) -> tuple[int, str]:
    """Returns status and reason of a request with an empty body, and ids that do not exist."""
    path = binding.template
    for variable in binding.path:
        path = path.replace(f"{{{variable.name}}}", "x")
    body: dict[str, Any] = {"json": {}} if binding.body else {}
    if binding.method.server_streaming:
        return server.begin(binding.http_method, path, key, tenant)
    answer = server.ask(binding.http_method, path, key, tenant, **body)
    if answer.is_success:
        return answer.status_code, "OK"
    assert answer.headers["x-request-id"]
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("method", [each for each in METHODS if not each.bidirectional], ids=named)
def test_grpc(server: Locked, method: Method) -> None:
    """Over gRPC, each is let in, or kept out for the right reason, before its message counts."""
    assert over_grpc(server, method, "", OWN, "UNAUTHENTICATED") == "UNAUTHENTICATED"
    for role in ROLES:
        for bound_to in (OWN, ALL):
            key = server.key(role, bound_to)
            for tenant in (OWN, OTHER, ""):
                wanted = expected(method, role, bound_to, tenant)
                found = over_grpc(server, method, key, tenant, wanted)
                assert found == wanted if wanted else found not in KEPT_OUT, (
                    role, bound_to, tenant, found,
                )  # fmt: skip


@pytest.mark.parametrize(("method", "binding"), ROUTES)
def test_http(server: Locked, method: Method, binding: Binding) -> None:
    """Over HTTP, the same: 401 without a credential, 403 beyond its role and its tenants."""
    assert over_http(server, binding, "", OWN) == (401, "UNAUTHENTICATED")
    for role in ROLES:
        for bound_to in (OWN, ALL):
            key = server.key(role, bound_to)
            for tenant in (OWN, OTHER, ""):
                found = over_http(server, binding, key, tenant)
                wanted = expected(method, role, bound_to, tenant)
                if wanted:
                    assert found == (403, wanted), (role, bound_to, tenant)
                else:
                    assert found[1] not in KEPT_OUT, (role, bound_to, tenant)
                    assert found[0] < 500, found


@pytest.mark.parametrize("method", [each for each in METHODS if each.bidirectional], ids=named)
def test_streams(server: Locked, method: Method) -> None:
    """A stream is refused with its first message."""

    def ask(key: str) -> str:
        credential = (("x-api-key", key),) if key else ()
        with open_channel(server.server.grpc_address) as channel:
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
        found = ask(server.key(role, OWN))
        assert found == (expected(method, role, OWN, OWN) or "OK"), role


def test_a_key_for_several_tenants_has_to_say_for_which(server: Locked) -> None:
    """Nobody guesses whose policies are meant."""
    key = server.key("admin", OWN, "a-third")
    answer = server.ask("GET", "/v1/org/policy", key)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"
    assert server.ask("GET", "/v1/org/policy", key, "a-third").status_code == 200
    assert server.ask("GET", "/v1/org/policy", key, OTHER).status_code == 403


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/docs.js", "/"]
)
def test_what_needs_no_credential(server: Locked, path: str) -> None:
    """Health, metrics and the description of the API are no one's own."""
    assert server.ask("GET", path).status_code == 200


def test_grpc_health_and_reflection_need_no_credential(server: Locked) -> None:
    """Load balancers and tools ask for them before they have any."""
    from grpc_health.v1 import health_pb2  # noqa: PLC0415 - for this test
    from grpc_reflection.v1alpha import reflection_pb2  # noqa: PLC0415 - as above

    with open_channel(server.server.grpc_address) as channel:
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
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        listed = next(reflect(iter([asked]), timeout=TIMEOUT_S))
        assert len(listed.list_services_response.service) > 2


def test_a_stranger_is_refused_before_the_message_is_read(server: Locked) -> None:
    """What has not been let in is not parsed: there is nothing to learn from how it fails."""
    answer = server.ask("POST", "/v1/decide", content=b"{ no json", headers={"content-type": "x"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_table_is_current() -> None:
    """`docs/access.md` says who may call what, as the contracts do."""
    assert access_table.in_page() == access_table.table(), "run python -m tools.access_table"
