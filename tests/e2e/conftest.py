"""Fixtures that run commands in this process, against the shared server."""

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
class CommandResult:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output, parsed as JSON."""
        return json.loads(self.out)


@pytest.fixture
def client(server: Server, tenant: str) -> Iterator[httpx2.Client]:
    """An HTTP client for a new tenant, with a bearer token in the header."""
    with server.client(tenant, Authorization="Bearer x") as opened:
        yield opened


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: Server
) -> Callable[..., CommandResult]:
    """Runs a command in this process; the shared server is its default server."""
    monkeypatch.setenv("PDP_SERVER", server.grpc_address)
    monkeypatch.delenv("PDP_DATABASE_URL", raising=False)

    def run(*arguments: str, stdin: str = "") -> CommandResult:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main.run(list(arguments))
        captured = capsys.readouterr()
        code = exit_info.value.code
        return CommandResult(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address without a listener; no other process can listen there while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def blocked(remote: RemoteClient, tenant: str) -> str:
    """A tenant with a policy that blocks the word rival."""
    message = static_policy_pb2.CreateStaticPolicyRequest(
        name="No rivals", category="custom", pattern="rival", action="block", message="No!"
    )
    remote.call("CreateStaticPolicy", message, tenant)
    return tenant
