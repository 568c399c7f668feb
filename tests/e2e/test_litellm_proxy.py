"""A real LiteLLM proxy with the configuration of its page, between a client and a model."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest
import yaml

from tests.e2e.test_documentation import blocks
from tests.support.approvals import ApprovalTenant
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.chat_model import ChatModel
from tests.support.program_environments import environment_of
from tests.support.servers import TIMEOUT_S, environment, free_addresses, http_client
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.programs

PAGE: Final = "docs/integrations/litellm.md"
TENANT: Final = "acme"
MASTER_KEY: Final = "sk-0123456789abcdef0123456789abcdef"
CARD: Final = "4111 1111 1111 1111"
START_TIMEOUT_S: Final = 180

MCP_SERVER: Final = '''
import sys

from mcp.server import MCPServer

server = MCPServer("notes")


@server.tool()
def note(text: str) -> str:
    """Keeps a note."""
    print(f"noted: {text}", flush=True)
    return f"kept: {text}"


options = {"host": "127.0.0.1", "port": int(sys.argv[1]), "stateless_http": True}
server.run("streamable-http", json_response=True, **options)
'''
"""An MCP server with one tool, which runs in LiteLLM's environment."""


@dataclass
class Proxy:
    """A running LiteLLM proxy, with the model behind it and the server that it asks.

    Attributes:
        client: of the proxy.
        model: the model.
        server: the server.
        notes: what the MCP server behind the proxy prints.
    """

    client: httpx2.Client
    model: ChatModel
    server: AuthenticatedServer
    notes: Path

    def ask(self, text: str, **fields: Any) -> httpx2.Response:
        """Sends a prompt."""
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}
        return self.client.post("/v1/chat/completions", json=body)

    def stream(self, text: str) -> tuple[str, str]:
        """Sends a prompt; returns the text of the streamed answer, and all that was received."""
        answer = self.ask(text, stream=True)
        received = ""
        for line in answer.text.splitlines():
            data = line.removeprefix("data: ")
            if line.startswith("data: ") and data != "[DONE]":
                for choice in json.loads(data).get("choices", ()):
                    received += choice["delta"].get("content") or ""
        return received, answer.text

    def call_tool(self, text: str) -> Any:
        """Calls the tool of the MCP server; returns the result."""
        params = {"name": "notes-note", "arguments": {"text": text}}
        answer = self.client.post(
            "/mcp/",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
            headers={"accept": "application/json, text/event-stream"},
        )
        (line,) = (each for each in answer.text.splitlines() if each.startswith("data: "))
        return json.loads(line.removeprefix("data: "))["result"]

    def records(self) -> list[Any]:
        """Returns the records of decisions, the newest first."""
        answer = self.server.request("GET", "/api/admin/audit/records", self.server.admin, TENANT)
        assert answer.is_success, answer.text
        records: list[Any] = answer.json()["records"]
        return records


def configuration(url: str, mcp_url: str) -> str:
    """Returns the configuration on the page, with the addresses of a server and an MCP server."""
    code, modes, tokens = (code for language, code in blocks(PAGE) if language == "yaml")
    config = yaml.safe_load(code)
    (guardrail,) = config["guardrails"]
    assert guardrail["litellm_params"]["api_base"] == "http://127.0.0.1:8080"
    guardrail["litellm_params"] |= {
        "api_base": url,
        **yaml.safe_load(modes),
        **yaml.safe_load(tokens),
    }
    server = {"url": mcp_url, "transport": "http", "allow_all_keys": True}
    return yaml.safe_dump({**config, "mcp_servers": {"notes": server}})


@contextmanager
def running_mcp_server(folder: Path) -> Iterator[tuple[str, Path]]:
    """Starts an MCP server, and yields its URL and the file with what it prints."""
    address, _ = free_addresses()
    output = folder / "notes.log"
    python = environment_of("litellm") / "bin/python"
    with output.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [python, "-c", MCP_SERVER, address.partition(":")[2]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: _listens(address), "the MCP server listens")
            yield f"http://{address}/mcp", output
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@contextmanager
def running_proxy(
    folder: Path, url: str, model: ChatModel, key: str, mcp_url: str
) -> Iterator[httpx2.Client]:
    """Starts LiteLLM, and yields a client when it serves."""
    program = environment_of("litellm") / "bin/litellm"
    config = folder / "litellm.yaml"
    config.write_text(configuration(url, mcp_url), encoding="utf-8")
    address, _ = free_addresses()
    host, _, port = address.partition(":")
    log = (folder / "litellm.log").open("w+", encoding="utf-8")
    process = subprocess.Popen(
        [program, "--config", config, "--host", host, "--port", port, "--telemetry", "False"],
        env=environment(
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            LITELLM_MASTER_KEY=MASTER_KEY,
            LITELLM_STRICT_GUARDRAIL_MODES="false",
            UPSTREAM_URL=model.url,
            UPSTREAM_KEY="sk-upstream",
            PDP_KEY=key,
            NO_PROXY="127.0.0.1",
        ),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=folder,
    )
    try:
        with http_client(f"http://{address}", Authorization=f"Bearer {MASTER_KEY}") as client:
            _wait_until_it_serves(process, client, log.name)
            yield client
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(TIMEOUT_S)
        log.close()


def _wait_until_it_serves(
    process: subprocess.Popen[bytes], client: httpx2.Client, log: str
) -> None:
    for _ in range(START_TIMEOUT_S):
        try:
            if client.get("/health/liveliness").is_success:
                return
        except httpx2.TransportError:
            pass  # it does not listen yet
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            continue
        break
    with open(log, encoding="utf-8") as file:
        raise AssertionError(f"LiteLLM does not serve: {file.read()[-4000:]}")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy in front of a model, with a server that requires credentials."""
    environment_of("litellm")
    folder = tmp_path_factory.mktemp("litellm")
    with ChatModel() as model, authenticated_server(folder / "pdp") as server:
        key = server.key("pep", TENANT)
        policy = {
            "name": "No rivals",
            "category": "custom",
            "pattern": r"\brival\b",
            "action": "block",
            "message": "Rivals are not discussed.",
        }
        answer = server.request(
            "POST", "/api/v1/static-policies", server.admin, TENANT, json=policy
        )
        assert answer.is_success, answer.text
        answer = server.request(
            "PUT", "/v1/org/policy", server.admin, TENANT, json={"logging_level": "full"}
        )
        assert answer.is_success, answer.text
        url = server.server.http_url
        with (
            running_mcp_server(folder) as (mcp_url, notes),
            running_proxy(folder, url, model, key, mcp_url) as client,
        ):
            yield Proxy(client, model, server, notes)


@pytest.fixture
def proxy(started: Proxy) -> Proxy:
    """The proxy, with a model that answers "fine"."""
    started.model.chunks, started.model.tool_calls = ["fine"], []
    started.model.requests.clear()
    return started


def test_a_harmless_prompt_passes_unchanged(proxy: Proxy) -> None:
    answer = proxy.ask("hello")
    assert answer.is_success, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "fine"
    assert proxy.model.requests[0]["messages"] == [{"role": "user", "content": "hello"}]


def test_a_card_number_is_redacted_before_it_reaches_the_model(proxy: Proxy) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": f"My card is {CARD}."}]},
    ]
    answer = proxy.ask("", messages=messages)
    assert answer.is_success, answer.text
    (request,) = proxy.model.requests
    assert request["messages"][0] == messages[0]
    assert request["messages"][1]["content"][0]["text"] == "My card is [REDACTED]."


def test_a_blocked_prompt_does_not_reach_the_model(proxy: Proxy) -> None:
    answer = proxy.ask("Tell me about our rival.")
    assert answer.status_code == 400
    assert "Rivals are not discussed." in answer.text
    assert "decision" in answer.text
    assert not proxy.model.requests


def test_an_answer_is_redacted(proxy: Proxy) -> None:
    proxy.model.chunks = [f"Your card is {CARD}."]
    answer = proxy.ask("What is my card?")
    assert answer.json()["choices"][0]["message"]["content"] == "Your card is [REDACTED]."


def test_a_tool_call_in_an_answer_is_judged(proxy: Proxy) -> None:
    arguments = json.dumps({"q": "SELECT 1; DROP TABLE users;"})
    proxy.model.tool_calls = [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "run_sql", "arguments": arguments},
        }
    ]
    answer = proxy.ask("Clean up.")
    assert answer.status_code == 400
    assert "DROP TABLE" not in answer.text


def test_a_value_that_is_split_over_chunks_is_redacted_in_a_stream(proxy: Proxy) -> None:
    proxy.model.chunks = ["Your card is 4111", " 1111", " 1111", " 1111", " ok"]
    proxy.model.chunks += [" and", " so", " on"] * 40
    text, everything = proxy.stream("What is my card?")
    assert text == "Your card is [REDACTED] ok" + " and so on" * 40
    assert "1111" not in everything


def test_a_stream_without_findings_arrives_whole(proxy: Proxy) -> None:
    proxy.model.chunks = [f"word{number} " for number in range(200)]
    before = {record["decision_id"] for record in proxy.records()}
    text, _ = proxy.stream("Count.")
    assert text == "".join(proxy.model.chunks)
    new = [each for each in proxy.records() if each["decision_id"] not in before]
    assert [each["outcome"] for each in new] == ["ALLOW", "ALLOW"]  # the answer, and the request


def test_a_policy_ends_a_stream(proxy: Proxy) -> None:
    proxy.model.chunks = [f"word{number} " for number in range(100)] + ["our rival "] * 100
    text, everything = proxy.stream("Count.")
    assert "rival" not in text
    assert "Rivals are not discussed." in everything


def test_calls_of_mcp_tools_are_judged(proxy: Proxy) -> None:
    assert proxy.call_tool("hello")["content"][0]["text"] == "kept: hello"
    result = proxy.call_tool(f"card {CARD}")
    assert result["content"][0]["text"] == "kept: card [REDACTED]"
    result = proxy.call_tool("SELECT 1; DROP TABLE users;")
    assert result["isError"]
    assert "decision" in result["content"][0]["text"]
    noted = proxy.notes.read_text(encoding="utf-8").splitlines()
    assert [line for line in noted if line.startswith("noted: ")] == [
        "noted: hello",
        "noted: card [REDACTED]",
    ]


def test_the_user_is_that_of_the_key_and_not_what_a_client_says(proxy: Proxy) -> None:
    forged = {"user_api_key_user_id": "ceo", "user_api_key_team_id": "board"}
    for name in ("metadata", "litellm_metadata"):
        proxy.ask("Tell me about our rival.", **{name: forged})
    subjects = [record["subject"] for record in proxy.records()[:2]]
    assert [each["user_id"] for each in subjects] == ["default_user_id"] * 2
    assert all("board" not in (each.get("groups") or ()) for each in subjects)


def test_a_person_lets_a_held_prompt_pass(proxy: Proxy) -> None:
    """A second one for an approval, and the user for a prompt, by the header of the page."""
    actions = (
        {"type": "ESCALATE", "message": "Erasing needs an approval."},
        {"type": "PROMPT", "prompt_message": "Wire the money?"},
    )
    rules = [
        {"name": word, "sequence": index, "conditions": {"content_regex": word}, "action": action}
        for index, (word, action) in enumerate(zip(("erase", "wire"), actions, strict=True), 1)
    ]
    tenant = ApprovalTenant(proxy.server, TENANT, [{**r, "applies_to": "input"} for r in rules])

    held = proxy.ask("erase production")
    assert held.status_code == 400
    (approval_id,) = re.findall(r"ask for approval (\S+) and", held.text)
    assert proxy.ask("erase production").status_code == 400
    assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
    assert proxy.ask("erase all of production").status_code == 400
    assert not proxy.model.requests
    assert proxy.ask("erase production").is_success
    assert proxy.ask("erase production").status_code == 400

    (confirmation,) = re.findall(r"with the confirmation (\S+) in", proxy.ask("wire money").text)
    answers = {}
    for tokens in ("x y", confirmation, "x.y.z"):
        proxy.client.headers["X-PDP-Tokens"] = tokens
        answers[tokens] = proxy.ask("wire money").status_code
    del proxy.client.headers["X-PDP-Tokens"]
    assert answers == {"x y": 400, confirmation: 200, "x.y.z": 400}
    assert len(proxy.model.requests) == 2


def test_a_wrong_key_stops_all_requests(proxy: Proxy, tmp_path: Path) -> None:
    url = proxy.server.server.http_url
    no_mcp_server = "http://127.0.0.1:9/mcp"
    with running_proxy(tmp_path, url, proxy.model, "pdp_wrong", no_mcp_server) as client:
        wrong = Proxy(client, proxy.model, proxy.server, proxy.notes)
        answer = wrong.ask("hello")
        assert answer.status_code >= 400
        assert "UNAUTHENTICATED" in answer.text
    assert not proxy.model.requests
