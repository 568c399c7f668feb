"""`Request.caller` follows the principal, on every way of a request to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.decisions import evaluator
from pdp.engine import evaluate as engine
from pdp.transport.call import Call, Session
from tests.unit.test_security import DRAFT, Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot

LARGE: Final = "x" * 70_000
"""A message with such a text is converted in a thread."""


def request(text: str = "hello") -> pb.DecideRequest:
    return pb.DecideRequest(content=pb.Content(text=text), subject=pb.Subject(groups=["sre"]))


MESSAGES: Final[dict[str, list[Any]]] = {
    "decision": [request()],
    "large decision": [request(LARGE)],
    "batch": [pb.DecideBatchRequest(requests=[request(), request(LARGE), request()])],
    "stream": [pb.DecideStreamRequest(request=request())],
    "large message of a stream": [pb.DecideStreamRequest(request=request(LARGE))],
    "chunks": [
        pb.DecideStreamRequest(request=request(""), chunk=pb.StreamChunk(text="hello")),
        pb.DecideStreamRequest(chunk=pb.StreamChunk(text=" world", last=True)),
    ],
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, auth="local-pep", local_tenant="acme")
    yield node
    node.close()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests that the engine evaluates."""
    requests: list[Request] = []
    real = engine.begin

    def begin(snapshot: Snapshot, request: Request, *rest: Any) -> Any:
        requests.append(request)
        return real(snapshot, request, *rest)

    for module in (engine, evaluator):
        monkeypatch.setattr(module, "begin", begin)
    return requests


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("has_key", [False, True], ids=["local", "with a key"])
async def test_groups_are_trusted_with_a_credential_only(
    node: Node, judged: list[Request], kind: str, has_key: bool
) -> None:
    key = (await node.keys.create("me", None, DRAFT)).value.value.text if has_key else ""
    messages = MESSAGES[kind]
    name = type(messages[0]).__name__.removesuffix("Request")
    path = f"/pdp.v1.DecideService/{name}"
    session = Session()
    for message in messages:
        metadata = {"x-api-key": key} if key else {}
        call = Call(node.wiring.served.methods[path], metadata, "local", session=session)
        await node.wiring.endpoints[path](call, message)
    session.end()
    assert judged
    assert {each.caller.groups_trusted for each in judged} == {has_key}
    assert {each.subject.groups for each in judged} == {("sre",)}
    assert {each.tenant_id for each in judged} == {"acme"}
