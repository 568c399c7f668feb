"""Credentials behind all guards, in this process: what needs the store, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.admin.api_keys import ApiKeys
from pdp.admin.workspace import Workspace
from pdp.auth.keys import KeyRing
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.config import load
from pdp.domain.api_key import ApiKey
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
        self.security = Security(load({"auth": "required", **settings}), self.publisher)
        self.wiring = wire(self.publisher, self.workspace, secure=self.security.services)

    async def ask(self, key: str, message: Message | None = None) -> Message:
        """Decides with a key."""
        message = decide_pb2.DecideRequest() if message is None else message
        name = type(message).__name__.removesuffix("Request")
        path = f"/pdp.v1.DecideService/{name}"
        call = Call(self.wiring.methods[path], {"x-api-key": key} if key else {}, "local")
        return await self.wiring.endpoints[path](call, message)

    async def why_not(self, key: str, message: Message | None = None) -> str:
        """Returns why a decision is refused; empty where it is not."""
        try:
            await self.ask(key, message)
        except PdpError as error:
            return error.reason
        return ""

    def close(self) -> None:
        self.workspace.close()
        self.store.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A server that requires credentials."""
    opened = Node(tmp_path)
    yield opened
    opened.close()


async def test_deciding_with_a_key_needs_no_store(node: Node) -> None:
    """Known keys count and others do not while the store is closed, broken or gone."""
    key = (await node.keys.create("me", None, DRAFT)).value.value.text
    await node.ask(key)
    node.close()
    answer = await node.ask(key)
    assert isinstance(answer, decide_pb2.DecideResponse)
    assert answer.allowed
    assert not answer.incomplete
    assert await node.why_not("aa_live_0123456789ab_" + "x" * 43) == "UNAUTHENTICATED"
    assert await node.why_not("") == "UNAUTHENTICATED"


async def test_a_key_is_in_force_when_it_has_been_made(node: Node) -> None:
    """And out of force when it has been revoked; nothing is compiled for either."""
    platform = node.publisher.platform
    assert node.security.locked
    made = (await node.keys.create("me", None, DRAFT)).value.value
    assert not node.security.locked
    assert await node.why_not(made.text) == ""
    await node.keys.revoke("me", None, made.key.id)
    assert await node.why_not(made.text) == "UNAUTHENTICATED"
    assert node.security.locked
    assert node.publisher.platform.akin(platform)
    assert node.publisher.platform.patterns is platform.patterns


async def test_what_others_have_written_is_followed(node: Node, tmp_path: Path) -> None:
    """A key that another process has made or revoked counts, or counts no more, once it is read."""
    other = Node(tmp_path)
    made = (await other.keys.create("me", None, DRAFT)).value.value
    assert await node.why_not(made.text) == "UNAUTHENTICATED"
    await node.workspace.catch_up()
    assert await node.why_not(made.text) == ""
    await other.keys.revoke("me", None, made.key.id)
    await node.workspace.catch_up()
    assert await node.why_not(made.text) == "UNAUTHENTICATED"
    other.close()


async def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """They are read with the policies, at the start."""
    first = Node(tmp_path)
    key = (await first.keys.create("me", None, DRAFT)).value.value.text
    first.close()
    second = Node(tmp_path)
    assert await second.why_not(key) == ""
    second.close()


async def test_a_made_key_does_not_show_itself(node: Node) -> None:
    """Neither a log nor a traceback has it."""
    made = (await node.keys.create("me", None, DRAFT)).value.value
    assert made.text.rpartition("_")[2] not in repr(made)


async def test_a_batch_is_worth_its_items(tmp_path: Path) -> None:
    """One call of a thousand requests is no way around the rate."""
    node = Node(tmp_path, rate_per_s="0.001", rate_burst="5")
    key = (await node.keys.create("me", None, DRAFT)).value.value.text
    batch = decide_pb2.DecideBatchRequest(requests=[decide_pb2.DecideRequest()] * 4)
    assert await node.why_not(key, batch) == ""
    assert await node.why_not(key) == ""
    with pytest.raises(RateLimited):
        await node.ask(key)
    with pytest.raises(Unauthenticated):
        await node.ask("")
    node.close()


def test_a_fault_of_ours_lets_nobody_in(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the message is read, too; it is told by the request's id alone."""

    def broken(_ring: KeyRing, _key: str) -> None:
        raise ZeroDivisionError("a secret of ours")

    monkeypatch.setattr(KeyRing, "principal_of", broken)
    path = "/pdp.v1.DecideService/Decide"
    metadata = {"x-api-key": "any", "x-request-id": "r-1"}
    call = Call(node.wiring.methods[path], metadata, "grpc")
    with pytest.raises(InternalError, match="request id r-1") as refused:
        node.wiring.admissions[path](call)
    assert "secret" not in refused.value.message
    assert not call.admitted
    assert call.reply["x-request-id"] == "r-1"
