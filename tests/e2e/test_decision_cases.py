"""Runs every decision case on an engine in this process, over gRPC and over HTTP."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.cases import ClientTarget, EngineTarget
from pdp.client import CallFailed
from pdp.client.local import LocalClient
from pdp.embedded import Engine
from pdp.errors import PdpError, Violation
from pdp.jsonpb import decode, encode
from tests.support.decision_cases import case_checks, cases, each_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx2

    from pdp.cases import Case, CaseTarget, Suite
    from pdp.client.remote import RemoteClient
    from tests.support.decision_cases import CaseCheck
    from tests.support.servers import Server

ROUTES: Final = {
    "CreateModelConfig": ("POST", "/api/admin/models"),
    "DeleteModelConfig": ("DELETE", "/api/admin/models/{model_config_id}"),
    "DisableModel": ("POST", "/api/admin/kill-switch/models/{model_config_id}/disable"),
    "EnableModel": ("POST", "/api/admin/kill-switch/models/{model_config_id}/enable"),
    "ImportPolicyFile": ("POST", "/v1/policy-file/import"),
}
"""The routes as documented; not read from the descriptors, as the server does."""


class HttpTarget:
    """Decides and administers over HTTP."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def administer(
        self, tenant_id: str, name: str, body: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], int]:
        """See `CaseTarget.administer`."""
        verb, path = ROUTES[name]
        sent = dict(body)
        path = re.sub(r"{(\w+)}", lambda match: quote(sent.pop(match[1]), safe=""), path)
        headers = {"X-Tenant-ID": tenant_id}
        answer = self._client.request(verb, path, json=sent or None, headers=headers)
        return _checked(answer), int(answer.headers.get("x-pdp-revision", 0))

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `CaseTarget.decide`."""
        headers = {} if request.get("tenant_id") else {"X-Tenant-ID": tenant_id}
        return _checked(self._client.post("/v1/decide", json=request, headers=headers))


class StructTarget(ClientTarget):
    """Decides over gRPC, with documents as Structs and not as JSON text."""

    def __init__(self, client: RemoteClient) -> None:
        super().__init__(client)
        self._remote = client

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `CaseTarget.decide`."""
        message = decide_pb2.DecideRequest()
        try:
            decode(dict(request), message)
        except PdpError as error:
            raise CallFailed.of(error) from None
        for parent in (message, message.subject) if message.HasField("subject") else (message,):
            _use_structs(parent)
        sent = self._remote.call("Decide", message, "" if message.tenant_id else tenant_id)
        response = cast("decide_pb2.DecideResponse", sent.message)
        assert not response.redacted_arguments_json
        return encode(response)


def _use_structs(message: Any) -> None:
    """Replaces the documents of a message that are JSON text by Structs."""
    for name in ("arguments", "context", "attributes"):
        text = getattr(message, f"{name}_json", "")
        if text:
            message.ClearField(f"{name}_json")
            getattr(message, name).SetInParent()
            getattr(message, name).update(json.loads(text))


def _checked(answer: httpx2.Response) -> Mapping[str, Any]:
    if answer.is_success:
        body: Mapping[str, Any] = answer.json() if answer.content else {}
        return body
    error = answer.json()["error"]
    details = [Violation(each["field"], each["reason"]) for each in error["details"]]
    unavailable = answer.is_server_error
    raise CallFailed(error["code"], error["message"], details, unavailable=unavailable)


@pytest.fixture(scope="module")
def engine_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaseTarget]:
    """An engine in this process, and a client that writes to its database."""
    url = f"sqlite:///{tmp_path_factory.mktemp('cases')}/pdp.db"
    with Engine.open(url) as engine, LocalClient(url) as local:
        yield EngineTarget(engine, local)


@pytest.fixture(scope="module")
def grpc_target(remote: RemoteClient) -> CaseTarget:
    """The server, over gRPC."""
    return ClientTarget(remote)


@pytest.fixture(scope="module")
def http_target(server: Server) -> Iterator[CaseTarget]:
    """The server, over HTTP."""
    with server.client() as client:
        yield HttpTarget(client)


@pytest.fixture(scope="module", params=["engine", "grpc", "http"])
def target(request: pytest.FixtureRequest) -> CaseTarget:
    """Each target."""
    case_target: CaseTarget = request.getfixturevalue(f"{request.param}_target")
    return case_target


@pytest.fixture(scope="module")
def check(target: CaseTarget) -> Iterator[CaseCheck]:
    """Checks cases on the target."""
    yield from case_checks(target)


@pytest.fixture(scope="module")
def check_with_structs(remote: RemoteClient) -> Iterator[CaseCheck]:
    """Checks cases on a `StructTarget`."""
    yield from case_checks(StructTarget(remote))


def _has_document(case: Case) -> bool:
    subject = case.request.get("subject")
    attributes = isinstance(subject, dict) and subject.get("attributes")
    return any((attributes, case.request.get("arguments"), case.request.get("context")))


@each_case
def test_a_case_gets_the_expected_decision(suite: Suite, case: Case, check: CaseCheck) -> None:
    """Every target makes the decision that the case expects."""
    check(suite, case)


@pytest.mark.usefixtures("same_day")
@pytest.mark.parametrize(
    ("suite", "case"),
    [
        each
        for each in cases()
        if each.values[0].file.stem != "exact_numbers" and _has_document(each.values[1])
    ],
)
def test_a_case_with_structs_gets_the_expected_decision(
    suite: Suite, case: Case, check_with_structs: CaseCheck
) -> None:
    """Over gRPC, documents are Structs or JSON text; only JSON text has exact numbers."""
    check_with_structs(suite, case)
