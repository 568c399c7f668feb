"""Approvals and prompts over the MCP proxy: stdio and HTTP, a server and a database of its own."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest

from tests.support import servers
from tests.support.approvals import ApprovalTenant
from tests.support.authenticated_servers import AuthenticatedServer, authenticated_server
from tests.support.doc_blocks import blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE: Final = "integrations/mcp.md"
TOKENS: Final = "dev.pdp/tokens"
LIST: Final = {"method": "tools/list"}

RULES: Final = (
    {
        "name": "deleting in production needs approval",
        "conditions": {"actions": ["mcp:prod:delete_rows"]},
        "action": {"type": "ESCALATE", "message": "Deleting in production needs an approval."},
    },
    {
        "name": "sending mail is asked for",
        "sequence": 2,
        "conditions": {"actions": ["mcp:prod:send_mail"]},
        "action": {"type": "PROMPT", "prompt_message": "Send this mail?"},
    },
    {
        "name": "tables are not dropped",
        "sequence": 3,
        "conditions": {"actions": ["mcp:prod:drop_table"]},
        "action": {"type": "BLOCK", "message": "No."},
    },
)

TOOLS: Final = ("delete_rows", "send_mail", "drop_table", "read_rows")

SERVER: Final = f"""
import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "tools/list":
        schema = {{"type": "object"}}
        result = {{"tools": [{{"name": name, "inputSchema": schema}} for name in {TOOLS!r}]}}
    else:
        result = {{"content": [], "structuredContent": {{"got": json.dumps(message)}}}}
    print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": result}}), flush=True)
"""
"""An MCP server over stdio whose tools return the request that they got."""

_numbers = itertools.count(1)


class Agent(ABC):
    """A client of a proxy.

    Attributes:
        log: what the proxy has written to stderr, complete after its end.
    """

    def __init__(self, log: list[str]) -> None:
        self.log = log

    @abstractmethod
    def send(self, message: Mapping[str, Any]) -> Any:
        """Sends a request, and returns the answer."""

    def call(self, tool: str = "delete_rows", *tokens: Any, **arguments: Any) -> Any:
        """Calls a tool with a new id, and with tokens if there are some; returns the answer."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if tokens:
            params["_meta"] = {TOKENS: list(tokens)}
        return self.send({"id": next(_numbers), "method": "tools/call", "params": params})

    def denied(self, *args: Any, **arguments: Any) -> dict[str, Any]:
        """Calls a tool, and returns the data of the denial."""
        error = self.call(*args, **arguments)["error"]
        assert error["code"] == -32001
        data: dict[str, Any] = error["data"]
        return data

    def tools(self) -> list[str]:
        """Returns the names of the tools that are listed."""
        answer = self.send({"id": next(_numbers), **LIST})
        return [each["name"] for each in answer["result"]["tools"]]


def got_by_server(answer: Any) -> Any:
    """Returns the request that reached the MCP server; fails if none did."""
    return json.loads(answer["result"]["structuredContent"]["got"])


class StdioAgent(Agent):
    """A client over stdio."""

    def __init__(self, process: subprocess.Popen[str], log: list[str]) -> None:
        super().__init__(log)
        self._process = process

    def send(self, message: Mapping[str, Any]) -> Any:
        """See `Agent`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class HttpAgent(Agent):
    """A client over HTTP."""

    def __init__(self, url: str, client: httpx2.Client, log: list[str]) -> None:
        super().__init__(log)
        self._url = url
        self._client = client

    def send(self, message: Mapping[str, Any]) -> Any:
        """See `Agent`."""
        headers = {"accept": "application/json, text/event-stream"}
        body = {"jsonrpc": "2.0", **message}
        return self._client.post(self._url, json=body, headers=headers).json()


@contextmanager
def started(*arguments: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Starts the proxy; the list has its stderr when it has ended."""
    log: list[str] = []
    with subprocess.Popen(
        (*servers.COMMAND, "mcp-proxy", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=servers.environment(**settings),
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        reader = threading.Thread(target=lambda: log.extend(process.stderr or ()))
        if "--upstream" in arguments:
            log.append(process.stderr.readline())
        reader.start()
        try:
            yield process, log
        finally:
            process.stdin.close()
            process.terminate()
            process.wait(servers.TIMEOUT_S)
            reader.join()


@contextmanager
def http_mcp_server() -> Iterator[str]:
    """Runs an MCP server over HTTP with the same tools; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            result: Any = {"content": [], "structuredContent": {"got": json.dumps(message)}}
            if message["method"] == "tools/list":
                schema = {"type": "object"}
                result = {"tools": [{"name": name, "inputSchema": schema} for name in TOOLS]}
            body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/mcp"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    with authenticated_server(tmp_path_factory.mktemp("approvals")) as opened:
        yield opened


@pytest.fixture
def tenant(server: AuthenticatedServer) -> ApprovalTenant:
    return ApprovalTenant(server, f"tenant-{next(_numbers)}", RULES)


@contextmanager
def agent_of(tenant: ApprovalTenant, transport: str = "stdio", *options: str) -> Iterator[Agent]:
    """Runs a proxy for Ada's agent: over `stdio` or `http`, or `embedded` on the same database."""
    server = tenant.server.server
    caller = ("--tenant", tenant.tenant, "--user", "ann", "--agent", "bot", "--server-name", "prod")
    decisions: tuple[str, ...] = ("--server", server.grpc_address)
    settings = {"PDP_API_KEY": tenant.pep}
    if "--count-lists" not in options:
        settings["PDP_MCP_AUDITOR_KEY"] = tenant.server.key("auditor", tenant.tenant)
    if transport == "embedded":
        decisions = ("--embedded", "--database-url", server.database_url)
        settings = {"PDP_DATA_DIR": str(server.data_dir)}
    arguments = (*decisions, *caller, *options)
    if transport != "http":
        with started(*arguments, "--", sys.executable, "-c", SERVER, **settings) as (process, log):
            yield StdioAgent(process, log)
        return
    listen = ("--listen", "127.0.0.1:0")
    with (
        http_mcp_server() as url,
        started(*arguments, "--upstream", url, *listen, **settings) as (_, log),
        httpx2.Client(timeout=servers.TIMEOUT_S, trust_env=False) as client,
    ):
        yield HttpAgent(log[0].split()[-1], client, log)


def approvals_of(tenant: ApprovalTenant) -> list[Any]:
    """Returns all approvals of a tenant."""
    answer = tenant.server.request("GET", "/v1/approvals", tenant.bob)
    assert answer.is_success, answer.text
    approvals: list[Any] = answer.json()
    return approvals


@pytest.mark.parametrize("transport", ["stdio", "http", "embedded"])
def test_deleting_in_production_needs_an_approval(tenant: ApprovalTenant, transport: str) -> None:
    """Ann's agent asks, Bob approves, and the same call passes once."""
    with agent_of(tenant, transport) as agent:
        answer = agent.call(table="users", id=7)
        assert answer["error"]["code"] == -32001
        assert "eyJ" not in json.dumps(answer), "a token is in the answer"
        data = answer["error"]["data"]
        approval_id = data["approvalId"]
        assert answer["error"]["message"] == (
            f"Deleting in production needs an approval; ask for approval {approval_id} "
            "and call again"
        )
        assert (data["outcome"], data["approvalState"]) == ("ESCALATE", "pending")
        assert data["expiresAt"] == tenant.approval(approval_id)["expires_at"]

        # It is not approved yet, and Ann may not do it.
        waiting = agent.denied(table="users", id=7)
        assert (waiting["approvalId"], waiting["approvalState"]) == (approval_id, "pending")
        status, refusal = tenant.answer("approve", approval_id, tenant.ann)
        assert (status, refusal["error"]["code"]) == (403, "APPROVAL_REFUSED")
        assert agent.denied(table="users", id=7)["approvalId"] == approval_id

        status, _ = tenant.answer("approve", approval_id, tenant.bob)
        assert status == 200
        changed = agent.denied(table="users", id=8)
        assert changed["approvalId"] != approval_id
        assert changed["approvalState"] == "pending"

        passed = agent.call(table="users", id=7)
        got = got_by_server(passed)
        assert got["params"] == {"name": "delete_rows", "arguments": {"table": "users", "id": 7}}
        assert tenant.approval(approval_id)["state"] == "used"
        anew = agent.denied(table="users", id=7)
        assert anew["approvalId"] not in (approval_id, changed["approvalId"])
    assert not any("eyJ" in line for line in agent.log), "a token is in the log"


def test_a_denied_approval_stops_the_call(tenant: ApprovalTenant) -> None:
    with agent_of(tenant) as agent:
        approval_id = agent.denied(id=7)["approvalId"]
        status, _ = tenant.answer("deny", approval_id, tenant.bob, "not today")
        assert status == 200
        answer = agent.call(id=7)["error"]
    assert answer["data"]["outcome"] == "BLOCK"
    assert "not today" in answer["message"]
    assert not answer["data"].keys() & {"approvalId", "approvalState", "expiresAt"}


def test_an_approval_of_one_proxy_is_used_by_another(tenant: ApprovalTenant) -> None:
    """No proxy remembers anything: what counts is who asks, and for what."""
    with agent_of(tenant, "stdio") as asking:
        approval_id = asking.denied(id=7)["approvalId"]
    assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
    with agent_of(tenant, "http") as agent:
        assert got_by_server(agent.call(id=7))["params"]["arguments"] == {"id": 7}
        assert agent.denied(id=7)["approvalState"] == "pending"


@pytest.mark.parametrize("transport", ["stdio", "embedded"])
def test_a_list_opens_no_approval(tenant: ApprovalTenant, transport: str) -> None:
    """It has the tools that need one, and not those that are blocked."""
    with agent_of(tenant, transport) as agent:
        assert agent.tools() == ["delete_rows", "send_mail", "read_rows"]
        assert approvals_of(tenant) == []
        agent.denied()
        (opened,) = approvals_of(tenant)
        # A list uses no approval, either: it tries the same call, without arguments.
        assert tenant.answer("approve", opened["id"], tenant.bob)[0] == 200
        assert "delete_rows" in agent.tools()
        assert tenant.approval(opened["id"])["state"] == "approved"
        assert got_by_server(agent.call())["params"]["arguments"] == {}


def test_a_list_that_counts_opens_no_approval(tenant: ApprovalTenant) -> None:
    """Each call is decided on without arguments, and no person is asked."""
    with agent_of(tenant, "stdio", "--count-lists") as agent:
        assert agent.tools() == ["delete_rows", "send_mail", "read_rows"]
        assert approvals_of(tenant) == []
        assert agent.denied("drop_table")["outcome"] == "BLOCK"
        assert agent.denied()["approvalId"] == approvals_of(tenant)[0]["id"]


@pytest.mark.parametrize("transport", ["stdio", "http", "embedded"])
def test_a_prompt_is_confirmed_by_the_client(tenant: ApprovalTenant, transport: str) -> None:
    with agent_of(tenant, transport) as agent:
        answer = agent.call("send_mail", to="bob")["error"]
        assert answer["message"] == (
            "Send this mail? Ask the user, and call again with the confirmation"
        )
        data = answer["data"]
        assert data["outcome"] == "PROMPT"
        assert data["expiresAt"].endswith("Z")
        confirmation = data["confirmation"]

        # Nothing confirms it by itself, and it fits no other call.
        assert agent.denied("send_mail", to="bob")["outcome"] == "PROMPT"
        assert agent.denied("send_mail", confirmation, to="eve")["reason"] == "TOKEN_MISMATCH"

        got = got_by_server(agent.call("send_mail", confirmation, to="bob"))
        assert got["params"] == {"name": "send_mail", "arguments": {"to": "bob"}}
        assert agent.denied("send_mail", confirmation, to="bob")["reason"] == "TOKEN_USED"
    assert not any(confirmation in line for line in agent.log)


def test_the_rest_of_the_metadata_reaches_the_server(tenant: ApprovalTenant) -> None:
    with agent_of(tenant) as agent:
        call = {"name": "send_mail", "arguments": {}, "_meta": {"progressToken": 1}}
        request = {"method": "tools/call", "params": call}
        data = agent.send({"id": "a", **request})["error"]["data"]
        call["_meta"] = {"progressToken": 1, TOKENS: [data["confirmation"]]}
        got = got_by_server(agent.send({"id": "b", **request}))
    assert got["params"] == {**call, "_meta": {"progressToken": 1}}


MALFORMED: Final[dict[str, Any]] = {
    "no list": "x.y.z",
    "no texts": ["x.y.z", 7],
    "null": [None],
    "too many": ["x.y.z"] * 9,
    "too long": ["x" * 8193],
    "no token": ["x y"],
    "a line end": ["x\n"],
    "an empty text": [""],
}


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_malformed_tokens_are_refused(tenant: ApprovalTenant, transport: str) -> None:
    """Also beside a call that needs none."""
    with agent_of(tenant, transport) as agent:
        for name, value in MALFORMED.items():
            params = {"name": "read_rows", "arguments": {}, "_meta": {TOKENS: value}}
            answer = agent.send({"id": name, "method": "tools/call", "params": params})
            assert answer["id"] == name
            assert answer["error"]["code"] == -32602
            assert TOKENS in answer["error"]["message"]
            assert "x.y.z" not in answer["error"]["message"]
        # A token that this server has not given, and a call that needs none.
        assert agent.denied("read_rows", "x.y.z")["reason"] == "TOKEN_INVALID"
        assert got_by_server(agent.call("read_rows"))["params"]["name"] == "read_rows"


def test_a_model_sees_the_approval_and_not_the_confirmation(tenant: ApprovalTenant) -> None:
    """With --tool-denials result, the text is for the model, and the metadata for its client."""
    with agent_of(tenant, "stdio", "--tool-denials", "result") as agent:
        held = agent.call(id=7)["result"]
        asked = agent.call("send_mail", to="bob")["result"]
        blocked = agent.call("drop_table")["result"]
        confirmation = asked["_meta"]["dev.pdp/held"]["confirmation"]
        assert got_by_server(agent.call("send_mail", confirmation, to="bob"))
    notice = held["_meta"]["dev.pdp/held"]
    assert notice.keys() == {"approvalId", "approvalState", "expiresAt"}
    assert f"ask for approval {notice['approvalId']}" in held["content"][0]["text"]
    assert held["isError"]
    assert confirmation not in json.dumps(asked["content"])
    assert "_meta" not in blocked


def test_an_approved_call_may_still_need_the_user(tenant: ApprovalTenant) -> None:
    """The approval is used only when the call passes: the user may take time."""
    rule = {**RULES[1], "name": "and asked", "sequence": 4, "conditions": RULES[0]["conditions"]}
    tenant.add_rule(rule)
    tenant.write(
        "PUT",
        "/api/admin/policy-chains/org",
        {"packs": [{"id": tenant.pack_id}], "combining_algorithm": "deny_overrides"},
    )
    with agent_of(tenant) as agent:
        approval_id = agent.denied(id=7)["approvalId"]
        assert tenant.answer("approve", approval_id, tenant.bob)[0] == 200
        asked = agent.denied(id=7)
        assert asked["outcome"] == "PROMPT"
        assert tenant.approval(approval_id)["state"] == "approved"
        assert got_by_server(agent.call("delete_rows", asked["confirmation"], id=7))
        assert tenant.approval(approval_id)["state"] == "used"
        assert agent.denied(id=7)["approvalId"] != approval_id


def test_the_answers_on_the_page_are_those_of_the_proxy(tenant: ApprovalTenant) -> None:
    examples = [json.loads(code) for code in blocks_of(PAGE, "text", '"expiresAt"')]
    with agent_of(tenant) as agent:
        errors = [agent.call(tool)["error"] for tool in ("delete_rows", "send_mail")]
    assert len(examples) == len(errors)
    for example, error in zip(examples, errors, strict=True):
        assert example.keys() == error.keys()
        assert example["data"].keys() == error["data"].keys()
        shown = example["data"].get("approvalId", "-")
        told = error["data"].get("approvalId", "-")
        assert example["message"].replace(shown, told) == error["message"]
    (confirmed,) = (json.loads(code) for code in blocks_of(PAGE, "text", TOKENS))
    assert confirmed["params"]["_meta"] == {TOKENS: [examples[1]["data"]["confirmation"]]}
