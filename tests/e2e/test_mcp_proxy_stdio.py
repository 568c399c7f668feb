"""The MCP proxy over stdio, with real processes and pipes."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1.static_policy_pb2 import CreateStaticPolicyRequest
from pdp.adapters.mcp.connection import McpConnection
from pdp.adapters.mcp.exchange import McpSide
from pdp.adapters.mcp.stdio import run_stdio
from pdp.cli.request import to_message
from pdp.client.local import LocalClient
from pdp.errors import ConfigError
from tests.support import servers
from tests.support.mcp import CALLER, WordDecisions, exchange_of
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVER: Final = (
    sys.executable,
    str(Path(__file__).parent.parent / "support" / "mcp_stdio_server.py"),
)


class StdioClient:
    """A client of the proxy.

    Attributes:
        code: the exit code that the proxy will have.
    """

    def __init__(self, write: int, reader: asyncio.StreamReader, code: asyncio.Task[int]) -> None:
        self._write = write
        self._reader = reader
        self.code = code

    async def send(self, message: Any) -> None:
        """Sends a message, or bytes."""
        raw = message
        if not isinstance(raw, bytes):
            raw = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        await asyncio.to_thread(self._write_all, raw)

    def _write_all(self, raw: bytes) -> None:
        while raw:
            raw = raw[os.write(self._write, raw) :]

    async def receive(self) -> dict[str, Any]:
        """Returns the next message."""
        line = await asyncio.wait_for(self._reader.readline(), servers.TIMEOUT_S)
        message: dict[str, Any] = json.loads(line)
        return message

    async def call(self, tool: str, message_id: Any = 1, **arguments: Any) -> None:
        """Calls a tool."""
        params = {"name": tool, "arguments": arguments}
        await self.send({"id": message_id, "method": "tools/call", "params": params})

    async def ended(self) -> int:
        """Returns the exit code when the proxy has ended."""
        return await asyncio.wait_for(self.code, servers.TIMEOUT_S)

    def close(self) -> None:
        """Closes the input of the proxy."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1


@asynccontextmanager
async def proxy(
    decisions: WordDecisions,
    *options: str,
    grace_s: float = 30.0,
    command: tuple[str, ...] = SERVER,
) -> AsyncIterator[StdioClient]:
    """Runs the proxy in this process, in front of a server in another one."""
    stdin, write = os.pipe()
    read, stdout = os.pipe()
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", 0)
    )
    run = run_stdio(
        (*command, *options),
        exchange_of(decisions),
        CALLER,
        stdin=stdin,
        stdout=stdout,
        grace_s=grace_s,
    )
    client = StdioClient(write, reader, asyncio.create_task(run))
    try:
        yield client
    finally:
        client.close()
        await client.ended()
        os.close(stdout)
        os.close(stdin)
        transport.close()


@pytest.fixture
def decisions() -> WordDecisions:
    """Decisions that depend on words."""
    return WordDecisions()


async def test_calls_and_results_pass_in_order(decisions: WordDecisions) -> None:
    async with proxy(decisions) as client:
        for index in range(20):
            await client.call("echo", index, text=f"text {index}")
        answers = [await client.receive() for _ in range(20)]
        assert [each["id"] for each in answers] == list(range(20))
        client.close()
        assert await client.ended() == 0


async def test_a_call_is_one_decision_and_its_result_another(decisions: WordDecisions) -> None:
    async with proxy(decisions) as client:
        await client.call("echo", text="a")
        await client.receive()
    assert decisions.kinds == ["decide", "decide"]
    assert [asked.direction for _, asked in decisions.requests] == ["input", "output"]


async def test_denied_calls_never_reach_the_server(decisions: WordDecisions) -> None:
    async with proxy(decisions) as client:
        await client.call("exit", 1, code="forbidden")
        denied = await client.receive()
        assert (denied["id"], denied["error"]["code"]) == (1, -32001)
        await client.call("echo", 2, text="still there")
        assert (await client.receive())["result"]["content"][0]["text"] == "still there"


async def test_notifications_come_before_the_result_and_are_judged(
    decisions: WordDecisions,
) -> None:
    async with proxy(decisions) as client:
        await client.call("progress", words=["one", "sec" + "ret"])
        messages = [await client.receive() for _ in range(3)]
    texts = [each.get("params", {}).get("message") for each in messages]
    assert texts == ["one", "[REDACTED]", None]
    assert messages[2]["id"] == 1


async def test_a_list_of_tools_is_filtered(decisions: WordDecisions) -> None:
    async with proxy(decisions) as client:
        await client.send({"id": 1, "method": "tools/list"})
        tools = (await client.receive())["result"]["tools"]
        assert [each["name"] for each in tools] == ["echo"]


async def test_requests_of_the_server_are_judged_and_answered(decisions: WordDecisions) -> None:
    async with proxy(decisions) as client:
        await client.call("sample", messages=[], systemPrompt="fine")
        asked = await client.receive()
        assert (asked["id"], asked["method"]) == ("s1", "sampling/createMessage")
        await client.send({"id": "s1", "result": {"role": "assistant", "content": "a secret"}})
        seen = await client.receive()
        assert json.loads(seen["params"]["data"])["result"]["content"] == "a [REDACTED]"


async def test_the_server_gets_an_error_for_a_request_that_is_denied(
    decisions: WordDecisions,
) -> None:
    connection, client_lines, server_lines = _connection(decisions)
    line = {
        "jsonrpc": "2.0",
        "id": 5,
        "method": "sampling/createMessage",
        "params": {"a": "forbidden"},
    }
    await connection.relay(json.dumps(line).encode(), McpSide.SERVER)
    assert client_lines == []
    assert [json.loads(each)["error"]["code"] for each in server_lines] == [-32001]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"no json\n", -32700),
        (b"[]\n", -32600),
        (b'{"jsonrpc":"2.0","id":9,"method":"tools/call","params":[]}\n', -32602),
        (b'{"jsonrpc":"2.0","id":9,"method":"tools/wipe"}\n', -32601),
        (b"x" * 9_000_000 + b"\n", -32600),
    ],
)
async def test_what_is_no_message_is_answered_and_the_proxy_goes_on(
    decisions: WordDecisions, raw: bytes, code: int
) -> None:
    async with proxy(decisions) as client:
        await client.send(raw)
        assert (await client.receive())["error"]["code"] == code
        await client.call("echo", 2, text="fine")
        assert (await client.receive())["id"] == 2


@pytest.mark.parametrize("tool", ["garbage", "huge"])
async def test_what_is_no_message_of_the_server_ends_open_requests(
    decisions: WordDecisions, tool: str
) -> None:
    """It may have been the answer to any of them. A late answer is dropped."""
    async with proxy(decisions) as client:
        await client.call("silent", 1)
        await client.call(tool, 2)
        answers = [await client.receive() for _ in range(2)]
        assert [(each["id"], each["error"]["code"]) for each in answers] == [
            (1, -32603),
            (2, -32603),
        ]
        await client.call("echo", 3, text="fine")
        assert (await client.receive())["id"] == 3


@pytest.mark.parametrize(("tool", "text"), [("stray", "done"), ("twice", "first")])
async def test_an_answer_without_a_request_is_dropped(
    decisions: WordDecisions, tool: str, text: str
) -> None:
    async with proxy(decisions) as client:
        await client.call(tool, 1)
        assert (await client.receive())["result"]["content"][0]["text"] == text
        await client.call("echo", 2, text="next")
        assert (await client.receive())["id"] == 2


async def test_the_server_does_not_get_the_keys_of_the_proxy(
    decisions: WordDecisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PDP_API_KEY", "PDP_TOKEN", "PDP_MCP_AUDITOR_KEY", "pdp_api_key", "OWN_KEY"):
        monkeypatch.setenv(name, "a")
    async with proxy(decisions) as client:
        await client.call("environment")
        names = (await client.receive())["result"]["names"]
    assert {"OWN_KEY", "PATH"} <= set(names)
    assert [name for name in names if name.upper().startswith("PDP_")] == []


async def test_a_late_answer_to_a_cancelled_request_is_dropped(decisions: WordDecisions) -> None:
    async with proxy(decisions) as client:
        await client.call("silent", 1)
        await client.send({"method": "notifications/cancelled", "params": {"requestId": 1}})
        await client.call("echo", 2, text="next")
        assert (await client.receive())["id"] == 2


def is_running(pid: int) -> bool:
    """Returns whether a process has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _connection(
    decisions: WordDecisions, max_in_flight: int = 2
) -> tuple[McpConnection, list[bytes], list[bytes]]:
    """Returns a connection, and the lines that it writes to each side."""
    client_lines: list[bytes] = []
    server_lines: list[bytes] = []

    async def to_client(line: bytes) -> None:
        client_lines.append(line)

    async def to_server(line: bytes) -> None:
        server_lines.append(line)

    exchange = exchange_of(decisions)
    connection = McpConnection(exchange, CALLER, to_client, to_server, max_in_flight)
    return connection, client_lines, server_lines


@pytest.mark.parametrize("side", McpSide)
async def test_requests_in_flight_are_bounded(decisions: WordDecisions, side: McpSide) -> None:
    connection, client_lines, server_lines = _connection(decisions)
    for index in (1, 2, 2, 3):
        await connection.relay(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % index, side)
    mine, other = client_lines, server_lines
    if side is McpSide.SERVER:
        mine, other = other, mine
    assert [json.loads(each)["id"] for each in other] == [1, 2]
    errors = [json.loads(each) for each in mine]
    assert [(each["id"], each["error"]["code"]) for each in errors] == [(2, -32600), (3, -32600)]


async def test_a_message_over_several_lines_is_forwarded_in_one(decisions: WordDecisions) -> None:
    """JSON may have line ends between its values, of which a client sends only carriage returns."""
    connection, _, server_lines = _connection(decisions)
    await connection.relay(b'{"jsonrpc":"2.0",\r"id":1,\r"method":"ping"}', McpSide.CLIENT)
    assert server_lines == [b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n']


async def test_a_fault_of_the_proxy_lets_nothing_pass(
    decisions: WordDecisions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_request: object) -> None:
        raise RuntimeError("a card: 4111")

    monkeypatch.setattr(decisions, "decide", fail)
    monkeypatch.setattr(decisions, "simulate", fail)
    connection, client_lines, server_lines = _connection(decisions)
    for side in McpSide:
        mine, other = client_lines, server_lines
        if side is McpSide.SERVER:
            mine, other = other, mine
        await connection.relay(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', _other(side))
        other_before = len(other)
        await connection.relay(b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}', side)
        assert json.loads(other[other_before])["error"]["code"] == -32603
        method = "tools/call" if side is McpSide.CLIENT else "elicitation/create"
        asked = {"jsonrpc": "2.0", "id": 2, "method": method, "params": {"name": "a"}}
        await connection.relay(json.dumps(asked).encode(), side)
        assert json.loads(mine[-1])["error"]["code"] == -32603
        assert json.loads(mine[-1])["id"] == 2
        lines_before = len(mine), len(other)
        note = b'{"jsonrpc":"2.0","method":"notifications/x","params":{"a":1}}'
        await connection.relay(note, side)
        assert (len(mine), len(other)) == lines_before
    assert "4111" not in caplog.text


def _other(side: McpSide) -> McpSide:
    return McpSide.SERVER if side is McpSide.CLIENT else McpSide.CLIENT


LINES = st.binary(max_size=40) | st.sampled_from(
    [
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forbidden"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"a":"forbidden"}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"forbidden"}]}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"content":"forbidden"}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"forbidden"}}',
        b'{"jsonrpc":"2.0","error":{"code":1,"message":"forbidden"}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
        b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"forbidden"}}',
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"forbidden"}',
    ]
)


@given(st.lists(st.tuples(LINES, st.sampled_from(McpSide)), max_size=8))
async def test_whatever_both_sides_send_nothing_denied_passes(
    sent: list[tuple[bytes, McpSide]],
) -> None:
    """Every line that is written is a message, and each request has one answer at most."""
    connection, client_lines, server_lines = _connection(WordDecisions())
    for line, side in sent:
        await connection.relay(line, side)
    for written in (client_lines, server_lines):
        for line in written:
            assert line.count(b"\n") == 1
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0"
            echoed = message.get("error", {}).get("code") in (-32601, -32700, -32600)
            assert b"forbidden" not in line or echoed
        results = [json.loads(line) for line in written if b'"result"' in line]
        other = McpSide.CLIENT if written is client_lines else McpSide.SERVER
        asked = [line for line, side in sent if side is other and b'"method"' in line]
        assert len(results) <= len(asked)


class TestEnds:
    """How the proxy and the server end."""

    async def test_the_exit_code_is_that_of_the_server(self, decisions: WordDecisions) -> None:
        async with proxy(decisions) as client:
            await client.call("exit", code=7)
            answer = await client.receive()
            assert (answer["id"], answer["error"]["code"]) == (1, -32603)
            assert await client.ended() == 7

    async def test_a_server_that_is_killed_ends_with_the_number_of_the_signal(
        self, decisions: WordDecisions
    ) -> None:
        async with proxy(decisions) as client:
            await client.call("die")
            assert (await client.receive())["error"]["code"] == -32603
            assert await client.ended() == 128 + signal.SIGKILL

    async def test_a_server_that_stays_is_terminated(self, decisions: WordDecisions) -> None:
        async with proxy(decisions, "--stay", grace_s=0.5) as client:
            await client.call("echo", text="a")
            await client.receive()
            client.close()
            assert await client.ended() == 128 + signal.SIGTERM

    async def test_a_server_that_ignores_that_is_killed(self, decisions: WordDecisions) -> None:
        async with proxy(decisions, "--stay", "--ignore-sigterm", grace_s=0.5) as client:
            await client.call("echo", text="a")
            await client.receive()
            client.close()
            assert await client.ended() == 128 + signal.SIGKILL

    async def test_what_the_server_has_started_ends_with_it(self, decisions: WordDecisions) -> None:
        """A shell that starts the server does not pass SIGTERM on."""
        shell = ("sh", "-c", f"{shlex.join((*SERVER, '--stay'))}; true")
        async with proxy(decisions, command=shell, grace_s=0.5) as client:
            await client.call("environment")
            pid = (await client.receive())["result"]["pid"]
            client.close()
            assert await client.ended() == 128 + signal.SIGTERM
        await asyncio.to_thread(wait_until, lambda: not is_running(pid), "the server has ended")

    async def test_answers_that_are_under_way_when_the_client_closes_arrive(
        self, decisions: WordDecisions
    ) -> None:
        async with proxy(decisions) as client:
            await client.call("echo", text="last")
            client.close()
            assert (await client.receive())["result"]["content"][0]["text"] == "last"

    async def test_a_command_that_does_not_exist(self, decisions: WordDecisions) -> None:
        with pytest.raises(ConfigError, match="cannot start /no/such/program"):
            await run_stdio(("/no/such/program",), exchange_of(decisions), CALLER)


def start(tmp_path: Path, *options: str) -> subprocess.Popen[bytes]:
    """Starts `pdp mcp-proxy` with a database of its own, in front of the server."""
    database = ("--embedded", "--database-url", f"sqlite:///{tmp_path / 'pdp.db'}")
    return subprocess.Popen(
        (*servers.COMMAND, "mcp-proxy", *database, *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=servers.environment(PDP_DATA_DIR=str(tmp_path)),
        cwd=tmp_path,
    )


def lines(*messages: Any) -> bytes:
    """Returns messages as lines."""
    return b"".join(json.dumps({"jsonrpc": "2.0", **each}).encode() + b"\n" for each in messages)


def tool_call(message_id: int, tool: str, **arguments: Any) -> dict[str, Any]:
    """Returns a call of a tool."""
    params = {"name": tool, "arguments": arguments}
    return {"id": message_id, "method": "tools/call", "params": params}


def test_the_command_decides_by_the_policies_of_the_database(tmp_path: Path) -> None:
    """The real engine, without a server: a card is redacted, and SQL injection is denied."""
    raw = lines(
        tool_call(1, "echo", text="card 4111 1111 1111 1111"),
        tool_call(2, "echo", text="x'; DROP TABLE users; --"),
        tool_call(3, "stderr", text="a line of the server"),
        {"id": 4, "method": "tools/list"},
    )
    with start(tmp_path, "--", *SERVER) as process:
        out, err = process.communicate(raw, timeout=servers.TIMEOUT_S)
    assert process.returncode == 0, err.decode()
    answers = {each["id"]: each for each in map(json.loads, out.splitlines())}
    assert answers[1]["result"]["content"][0]["text"] == "card [REDACTED]"
    assert answers[2]["error"]["code"] == -32001
    assert answers[2]["error"]["data"]["reason"] == "STATIC_POLICY_BLOCK"
    assert answers[2]["error"]["data"]["decisionId"]
    assert len(answers[4]["result"]["tools"]) == 2
    stderr = err.decode()
    assert "a line of the server" in stderr
    assert answers[2]["error"]["data"]["decisionId"] in stderr
    for content in ("DROP TABLE", "4111"):
        assert content not in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_proxy_and_the_server(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, "--", *SERVER, "--stay") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines(tool_call(1, "echo", text="a")))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(number)
        assert process.wait(servers.TIMEOUT_S) == 128 + number
        assert process.stdout.read() == b""  # the server has closed it too


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "give either -- COMMAND or --upstream URL"),
        (("--upstream", "http://127.0.0.1:1/mcp", "--", "true"), 2, "give either"),
        (("--server-name", "a b", "--", "true"), 2, "--server-name"),
        (("--pin-changes", "ask", "--", "true"), 2, "use report or block"),
        (("--tool-denials", "no", "--", "true"), 2, "use error or result"),
        (("--pins-locked", "--", "true"), 78, "--pins FILE"),
        (("--pins", "no/such/pins.json", "--pins-locked", "--", "true"), 78, "does not exist"),
        (("--", "/no/such/program"), 78, "cannot start /no/such/program"),
        (("--upstream", "ftp://host/mcp"), 78, "--upstream"),
        (("--upstream", "http://user:word@host/mcp"), 78, "credentials"),
        (("--upstream", "http://127.0.0.1:1/mcp", "--listen", "0.0.0.0:0"), 78, "--listen"),
    ],
)
def test_what_prevents_the_start(
    tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    with start(tmp_path, *options) as process:
        out, err = process.communicate(b"", timeout=servers.TIMEOUT_S)
    assert (process.returncode, out) == (code, b"")
    assert message in err.decode()
    assert "Traceback" not in err.decode()


def test_a_tool_is_an_action_of_its_server(tmp_path: Path) -> None:
    """So customer policies and chains hold for it, and lists leave it out."""
    rule = {
        "name": "No echo",
        "conditions": {"expression": "action = 'mcp:my_files:echo'"},
        "action": {"type": "BLOCK", "message": "No echo here."},
    }
    with LocalClient(f"sqlite:///{tmp_path / 'pdp.db'}") as admin:
        body = {"name": "Tools", "rules": [rule]}
        made: Any = admin.call("CreatePolicyPack", to_message("CreatePolicyPack", body), "acme")
        chain = {"packs": [{"id": made.message.pack.id, "sequence": 1}]}
        admin.call("ReplaceOrgPolicyChain", to_message("ReplaceOrgPolicyChain", chain), "acme")
    raw = lines(tool_call(1, "echo", text="a"), {"id": 2, "method": "tools/list"})
    options = ("--tenant", "acme", "--server-name", "My-Files")
    with start(tmp_path, *options, "--", *SERVER) as process:
        out, err = process.communicate(raw, timeout=servers.TIMEOUT_S)
    assert process.returncode == 0, err.decode()
    denied, listed = (json.loads(each) for each in out.splitlines())
    assert denied["error"]["message"] == "No echo here."
    assert [each["name"] for each in listed["result"]["tools"]] == ["forbidden"]


@pytest.mark.usefixtures("same_day")
def test_lists_use_nothing_of_a_limit_but_respect_it(tmp_path: Path) -> None:
    """A call and its result are two requests to the limit."""
    limit = {"scope": "user", "subject_id": "ada", "daily_request_limit": 2}
    with LocalClient(f"sqlite:///{tmp_path / 'pdp.db'}") as admin:
        admin.call("CreateLimit", to_message("CreateLimit", limit), "acme")
    with start(tmp_path, "--tenant", "acme", "--user", "ada", "--", *SERVER) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(message: Any) -> Any:
            stdin.write(lines(message))
            stdin.flush()
            return json.loads(stdout.readline())

        for index in range(5):
            listed = ask({"id": index, "method": "tools/list"})
            assert len(listed["result"]["tools"]) == 2
        assert "result" in ask(tool_call(5, "echo", text="a"))
        for message in (tool_call(6, "echo", text="a"), {"id": 7, "method": "tools/list"}):
            data = ask(message)["error"]["data"]
            assert data["reason"] == "LIMIT_EXCEEDED"
            assert data["retryAfterS"] > 0
        stdin.close()
        assert process.wait(servers.TIMEOUT_S) == 0


def test_a_policy_that_another_process_changes_comes_into_force(tmp_path: Path) -> None:
    """The proxy follows the database, so a kill switch reaches it while it runs."""
    with start(tmp_path, "--tenant", "acme", "--", *SERVER) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(message_id: int) -> Any:
            stdin.write(lines(tool_call(message_id, "echo", text="a rival")))
            stdin.flush()
            return json.loads(stdout.readline())

        assert "result" in ask(0)
        policy = CreateStaticPolicyRequest(
            name="No rivals", category="custom", pattern="rival", action="block"
        )
        with LocalClient(f"sqlite:///{tmp_path / 'pdp.db'}") as admin:
            admin.call("CreateStaticPolicy", policy, "acme")
        ids = iter(range(1, 10_000))
        wait_until(lambda: "error" in ask(next(ids)), "the policy is in force")
        stdin.close()
        assert process.wait(servers.TIMEOUT_S) == 0


def test_without_a_server_nothing_passes(tmp_path: Path) -> None:
    """The proxy starts, so that its client gets an error that it can show."""
    command = (*servers.COMMAND, "mcp-proxy", "--server", f"unix:{tmp_path}/none.sock")
    done = subprocess.run(
        (*command, "--", *SERVER),
        input=lines(tool_call(1, "echo", text="a"), {"id": 2, "method": "initialize"}),
        capture_output=True,
        timeout=servers.TIMEOUT_S,
        env=servers.environment(),
        check=False,
    )
    assert done.returncode == 0
    errors = [json.loads(each)["error"] for each in done.stdout.splitlines()]
    assert [each["code"] for each in errors] == [-32603, -32603]
    assert {each["data"]["reason"] for each in errors} == {"UNAVAILABLE"}
