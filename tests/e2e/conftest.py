"""Commands as tests run them, in this process against the shared server."""

from __future__ import annotations

import io
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pdp._gen.pdp.v1 import static_policy_pb2
from pdp.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx2

    from pdp.client.remote import RemoteClient
    from tests.support.servers import Server


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, as JSON."""
        return json.loads(self.out)


@pytest.fixture
def client(server: Server, tenant: str) -> Iterator[httpx2.Client]:
    """Speaks HTTP for a tenant that nobody has used, with a credential as the seeds show one."""
    with server.client(tenant, Authorization="Bearer x") as opened:
        yield opened


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: Server
) -> Callable[..., Ran]:
    """Runs a command in this process, with the test's server as the default one."""
    monkeypatch.setenv("PDP_SERVER", server.grpc_address)
    monkeypatch.delenv("PDP_DATABASE_URL", raising=False)

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.run(list(arguments))
        captured = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address where nobody listens, and nobody can while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def blocked(remote: RemoteClient, tenant: str) -> str:
    """A tenant that blocks the word rival."""
    message = static_policy_pb2.CreateStaticPolicyRequest(
        name="No rivals", category="custom", pattern="rival", action="block", message="No!"
    )
    remote.call("CreateStaticPolicy", message, tenant)
    return tenant
