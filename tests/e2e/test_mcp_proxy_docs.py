"""The configurations on the page about MCP work as they are."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.test_documentation import blocks
from tests.support import servers
from tests.support.authenticated_servers import authenticated_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAGE: Final = "docs/integrations/mcp.md"
FILES: Final = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/home/ada/notes"]
SERVER: Final = [
    sys.executable,
    str(Path(__file__).parent.parent / "support" / "mcp_stdio_server.py"),
]


def configurations() -> dict[str, Mapping[str, Any]]:
    """Returns the servers in the JSON on the page, by the kind of client and their names."""
    found: dict[str, Mapping[str, Any]] = {}
    for language, code in blocks(PAGE):
        if language == "json":
            for kind, entries in json.loads(code).items():
                found |= {f"{kind}.{name}": entry for name, entry in entries.items()}
    return found


def exchange(
    arguments: Sequence[str], replaced: Mapping[str, str], environment: Mapping[str, str]
) -> list[Any]:
    """Runs the proxy with the arguments of a configuration, and returns the answers to calls."""
    separator = arguments.index("--")
    assert arguments[separator + 1 :] == FILES
    options = [replaced.get(each, each) for each in arguments[:separator]]
    calls = [
        {"id": 1, "method": "tools/list"},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "echo", "arguments": {"text": CARD_TEXT}},
        },
        {"id": 3, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": SQL}}},
    ]
    answers = []
    with subprocess.Popen(
        (*servers.COMMAND, *options, "--", *SERVER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=servers.environment(**environment),
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for each in calls:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **each}) + "\n")
            answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(servers.TIMEOUT_S) == 0
    return answers


CARD_TEXT: Final = "card 4111 1111 1111 1111"
SQL: Final = "x'; DROP TABLE users; --"


def check(answers: Sequence[Any]) -> None:
    """Checks the answers of `exchange`."""
    listed, echoed, denied = answers
    assert {each["name"] for each in listed["result"]["tools"]} == {"echo", "forbidden"}
    assert echoed["result"]["content"][0]["text"] == "card [REDACTED]"
    assert denied["error"]["code"] == -32001


def test_the_configuration_without_a_server(tmp_path: Path) -> None:
    configuration = configurations()["mcpServers.files"]
    assert configuration["command"] == "pdp"
    database = {"sqlite:////var/lib/pdp/pdp.db": f"sqlite:///{tmp_path}/pdp.db"}
    check(exchange(configuration["args"], database, {"PDP_DATA_DIR": str(tmp_path)}))


def test_the_configuration_with_a_server_and_two_keys(tmp_path: Path) -> None:
    """A key with the role pep cannot simulate lists; the message says what to do."""
    configuration = configurations()["servers.files"]
    assert configuration["env"].keys() == {"PDP_API_KEY", "PDP_MCP_AUDITOR_KEY"}
    pins = tmp_path / "pins.json"
    with authenticated_server(tmp_path / "data") as server:
        replaced = {
            "pdp.internal:50051": server.server.grpc_address,
            "/home/ada/.config/pdp-pins.json": str(pins),
        }
        pep = {"PDP_API_KEY": server.key("pep", "acme")}
        both = {**pep, "PDP_MCP_AUDITOR_KEY": server.key("auditor", "acme")}
        check(exchange(configuration["args"], replaced, both))
        assert json.loads(pins.read_text())["servers"]["files"].keys() == {"echo", "forbidden"}

        listed, unlisted, _ = exchange(configuration["args"], replaced, pep)
        assert listed["error"]["code"] == -32603
        assert "--auditor-key" in listed["error"]["message"]
        assert unlisted["error"]["data"] == {"reason": "TOOL_NOT_LISTED"}

        counted = [*configuration["args"]]
        counted.insert(1, "--count-lists")
        check(exchange(counted, replaced, pep))

        none = exchange(configuration["args"], replaced, {})
        assert [each["error"]["code"] for each in none] == [-32603, -32001, -32001]


@pytest.mark.parametrize("tenants", [("acme",), ("other",)])
def test_a_tenant_is_one_of_the_credential(tmp_path: Path, tenants: tuple[str, ...]) -> None:
    with authenticated_server(tmp_path / "data") as server:
        options = ["mcp-proxy", "--server", server.server.grpc_address, "--tenant", "acme"]
        keys = {
            "PDP_API_KEY": server.key("pep", *tenants),
            "PDP_MCP_AUDITOR_KEY": server.key("auditor", *tenants),
        }
        answers = exchange([*options, "--", *FILES], {}, keys)
    if tenants == ("acme",):
        check(answers)
    else:
        assert [each["error"]["code"] for each in answers] == [-32603] * 3


def test_the_command_for_a_remote_server(tmp_path: Path) -> None:
    (code,) = (code for language, code in blocks(PAGE) if language == "sh")
    arguments = shlex.split(code)
    assert arguments[0] == "pdp"
    arguments[arguments.index("--listen") + 1] = "127.0.0.1:0"
    with subprocess.Popen(
        (*servers.COMMAND, *arguments[1:]),
        stderr=subprocess.PIPE,
        env=servers.environment(PDP_DATA_DIR=str(tmp_path)),
        text=True,
    ) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        process.terminate()
        assert process.wait(servers.TIMEOUT_S) == 0
    assert configurations()["servers.example"]["url"].endswith(":8090/mcp")
    assert url.endswith("/mcp")


def test_the_reasons_on_the_page_are_those_of_the_proxy() -> None:
    page = (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8")
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).parents[2] / "pdp/adapters/mcp").glob("*.py")
    )
    for reason in ("NOT_REDACTABLE", "TOOL_NOT_LISTED", "TOOL_NOT_PINNED"):
        assert f"`{reason}`" in page
        assert f'"{reason}"' in source
