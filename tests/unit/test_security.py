"""Credentials behind all guards, in this process: which steps need the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.admin.api_keys import ApiKeys
from pdp.admin.workspace import Workspace
from pdp.auth.keys import KeyRing
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.config import load
from pdp.domain.api_key import KIND, ApiKey
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.errors import InternalError, PdpError, RateLimited, Unauthenticated
from pdp.server.security import Security
from pdp.server.wiring import wire
from pdp.transport.call import Call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

DRAFT = ApiKey(id="", name="gateway", role="pep", tenants=("acme",), secrets=())


class Node:
    """A server without its transports."""

    def __init__(self, path: Path, **settings: str) -> None:
        self.store = open_policies(f"sqlite:///{path}/pdp.db")
        self.publisher = create_publisher(self.store, DEFAULT_RISK_TABLE)
        self.workspace = Workspace(self.store, self.publisher)
        self.keys = ApiKeys(self.workspace)
        self.security = Security(
            load({"auth": "required", **settings}),
            lambda: self.publisher.platform.policies.of_kind(KIND),
        )
        self.wiring = wire(self.publisher, self.workspace, secure=self.security.services)

    async def decide(self, key: str, message: Message | None = None) -> Message:
        """Decides with a key."""
        message = decide_pb2.DecideRequest() if message is None else message
        name = type(message).__name__.removesuffix("Request")
        path = f"/pdp.v1.DecideService/{name}"
        call = Call(self.wiring.served.methods[path], {"x-api-key": key} if key else {}, "local")
        return await self.wiring.endpoints[path](call, message)

    async def refusal(self, key: str, message: Message | None = None) -> str:
        """Returns the reason why a decision is refused; empty if it is not."""
        try:
            await self.decide(key, message)
        except PdpError as error:
            return error.reason
        return ""

    def close(self) -> None:
        self.workspace.close()
        self.store.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A server that requires credentials."""
    node = Node(tmp_path)
    yield node
    node.close()


async def test_deciding_with_a_key_needs_no_store(node: Node) -> None:
    """While the store is closed, known keys are accepted and others are refused."""
    key = (await node.keys.create("me", None, DRAFT)).value.value.text
    await node.decide(key)
    node.close()
    response = await node.decide(key)
    assert isinstance(response, decide_pb2.DecideResponse)
    assert response.allowed
    assert not response.incomplete
    assert await node.refusal("aa_live_0123456789ab_" + "x" * 43) == "UNAUTHENTICATED"
    assert await node.refusal("") == "UNAUTHENTICATED"


async def test_a_new_key_is_valid_at_once(node: Node) -> None:
    """A revoked key is invalid at once. Neither change compiles policies."""
    platform = node.publisher.platform
    assert node.security.locked
    created = (await node.keys.create("me", None, DRAFT)).value.value
    assert not node.security.locked
    assert await node.refusal(created.text) == ""
    await node.keys.revoke("me", None, created.key.id)
    assert await node.refusal(created.text) == "UNAUTHENTICATED"
    assert node.security.locked
    assert node.publisher.platform.compatible_with(platform)
    assert node.publisher.platform.patterns is platform.patterns


async def test_changes_of_other_processes_are_followed(node: Node, tmp_path: Path) -> None:
    """A key that another process creates or revokes is in effect once the change has been read."""
    other = Node(tmp_path)
    created = (await other.keys.create("me", None, DRAFT)).value.value
    assert await node.refusal(created.text) == "UNAUTHENTICATED"
    await node.workspace.catch_up()
    assert await node.refusal(created.text) == ""
    await other.keys.revoke("me", None, created.key.id)
    await node.workspace.catch_up()
    assert await node.refusal(created.text) == "UNAUTHENTICATED"
    other.close()


async def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """Keys are read with the policies when the server starts."""
    first = Node(tmp_path)
    key = (await first.keys.create("me", None, DRAFT)).value.value.text
    first.close()
    second = Node(tmp_path)
    assert await second.refusal(key) == ""
    second.close()


async def test_the_secret_of_a_new_key_is_not_in_its_repr(node: Node) -> None:
    """So it appears in no log and in no traceback."""
    created = (await node.keys.create("me", None, DRAFT)).value.value
    assert created.text.rpartition("_")[2] not in repr(created)


async def test_a_batch_counts_all_its_items(tmp_path: Path) -> None:
    """A batch of a thousand requests cannot bypass the rate limit."""
    node = Node(tmp_path, rate_per_s="0.001", rate_burst="5")
    key = (await node.keys.create("me", None, DRAFT)).value.value.text
    batch = decide_pb2.DecideBatchRequest(requests=[decide_pb2.DecideRequest()] * 4)
    assert await node.refusal(key, batch) == ""
    assert await node.refusal(key) == ""
    with pytest.raises(RateLimited):
        await node.decide(key)
    with pytest.raises(Unauthenticated):
        await node.decide("")
    node.close()


def test_an_internal_error_refuses_the_call(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even before the message is read. The caller sees only the id of the request."""

    def broken(_ring: KeyRing, _key: str) -> None:
        raise ZeroDivisionError("an internal secret")

    monkeypatch.setattr(KeyRing, "principal_of", broken)
    path = "/pdp.v1.DecideService/Decide"
    metadata = {"x-api-key": "any", "x-request-id": "r-1"}
    call = Call(node.wiring.served.methods[path], metadata, "grpc")
    with pytest.raises(InternalError, match="request id r-1") as caught:
        node.wiring.served.admissions[path](call)
    assert "secret" not in caught.value.message
    assert not call.admitted
    assert call.reply["x-request-id"] == "r-1"
