"""The MCP proxy between clients and servers that are made with the official SDK."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support import servers
from tests.support.program_environments import environment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.programs

SDK: Final = Path(__file__).parent.parent / "support" / "mcp_sdk"
TIMEOUT_S: Final = 180

VERSIONS: Final = {
    "2026-07-28": "2026-07-28",
    "auto": "2026-07-28",
    "legacy": "2025-11-25",
}
"""How the client connects, with the version that it then speaks."""

PACK: Final = {
    "name": "Tools",
    "rules": [
        {
            "name": "Off",
            "conditions": {"expression": "action = 'mcp:demo:switched_off'"},
            "action": {"type": "BLOCK", "message": "This tool is off."},
        }
    ],
}


@pytest.fixture(scope="module")
def python() -> str:
    """The interpreter that has the SDK."""
    return str(environment_of("mcp") / "bin/python")


@pytest.fixture
def denying_tenant(server: servers.Server, tenant: str) -> str:
    """A tenant whose policies deny one tool."""
    with server.client(tenant) as http:
        pack = http.post("/api/admin/policy-packs", json=PACK)
        assert pack.is_success, pack.text
        chain = {"packs": [{"id": pack.json()["id"], "sequence": 1}]}
        answer = http.put("/api/admin/policy-chains/org", json=chain)
        assert answer.is_success, answer.text
    return tenant


def proxy_command(server: servers.Server, tenant: str, *options: str) -> tuple[str, ...]:
    """Returns the command of a proxy that asks a server."""
    target = ("--server", server.grpc_address, "--tenant", tenant, "--server-name", "demo")
    return (*servers.COMMAND, "mcp-proxy", *target, *options)


def run_client(python: str, mode: str, *target: str) -> dict[str, Any]:
    """Runs the client of the SDK, and returns what it got."""
    done = subprocess.run(
        (python, str(SDK / "client.py"), mode, *target),
        env=servers.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def check(report: dict[str, Any], mode: str) -> None:
    """Checks what a client has got through the proxy."""
    assert report["version"] == VERSIONS[mode]
    assert report["tools"] == ["add", "contact", "run_sql", "weather"]
    assert report["add"]["structuredContent"] == {"result": 3}
    assert report["sql"]["structuredContent"] == {"result": "eu: SELECT 1"}
    assert report["header"]["structuredContent"] == {"result": "größe: SELECT 1"}
    assert report["redacted_header"]["structuredContent"] == {"result": "[REDACTED]: SELECT 1"}
    injection, denied = report["injection"]["error"], report["denied"]["error"]
    assert (injection["code"], injection["data"]["reason"]) == (-32001, "STATIC_POLICY_BLOCK")
    assert (denied["code"], denied["message"]) == (-32001, "This tool is off.")
    assert denied["data"]["reason"] == "CHAIN_BLOCK"
    assert denied["data"]["decisionId"]
    assert report["contact"]["content"][0]["text"] == "Ada, card [REDACTED]"
    assert report["contact"]["structuredContent"] == {"result": "Ada, card [REDACTED]"}
    assert report["progress"] == ["found [REDACTED]"]
    assert report["weather"]["structuredContent"] == {"result": "Sun in Paris"}
    assert report["memo"]["contents"][0]["text"] == "The card is [REDACTED]"
    assert report["greet"]["messages"][0]["content"]["text"] == "Greet Ada, card [REDACTED]"
    assert (report["prompts"], report["resources"]) == (1, 1)
    assert "4111" not in json.dumps(report)


@pytest.mark.parametrize("mode", VERSIONS)
def test_stdio(server: servers.Server, denying_tenant: str, python: str, mode: str) -> None:
    program = (python, str(SDK / "server.py"))
    environment = ("env", f"PYTHONPATH={SDK.parents[2]}")
    command = proxy_command(server, denying_tenant, "--", *program)
    check(run_client(python, mode, *environment, *command), mode)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Runs a program until the end of the context."""
    with subprocess.Popen(
        command, env=servers.environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=servers.TIMEOUT_S)


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """Returns the first line of stderr that has a text."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"the program has ended without {text}")


@pytest.mark.parametrize("mode", VERSIONS)
def test_http(server: servers.Server, denying_tenant: str, python: str, mode: str) -> None:
    """The same over HTTP, with sessions and streams, or with headers and without a session."""
    _, address = servers.free_addresses()
    port = address.rpartition(":")[2]
    listen = ("--upstream", f"http://{address}/mcp", "--listen", "127.0.0.1:0")
    command = proxy_command(server, denying_tenant, *listen)
    with running(python, str(SDK / "server.py"), port) as upstream:
        line_with(upstream, "Uvicorn running")
        with running(*command) as proxy:
            url = line_with(proxy, "listens on").split()[-1]
            check(run_client(python, mode, url), mode)


def test_lists_neither_count_nor_are_recorded(
    server: servers.Server, denying_tenant: str, python: str
) -> None:
    program = (python, str(SDK / "server.py"))
    environment = ("env", f"PYTHONPATH={SDK.parents[2]}")
    command = proxy_command(server, denying_tenant, "--user", "ada", "--", *program)
    run_client(python, "2026-07-28", *environment, *command)
    with server.client(denying_tenant) as http:
        records = http.get("/api/admin/audit/records", params={"limit": 100}).json()["records"]
    documents = [json.dumps(each) for each in records]
    assert [each for each in documents if "tools/call" in each]
    assert [each for each in documents if "tools/list" in each or "inputSchema" in each] == []
