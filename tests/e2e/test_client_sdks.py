"""The hooks of the Python client for the real SDKs of OpenAI and Anthropic, and the Agents SDK.

The SDKs call a provider that the test serves. It repeats the last message of a request, or has a
card in its answer. The PDP is a real server.
"""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support import servers
from tests.support.program_environments import environment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server

pytestmark = pytest.mark.programs

CLIENT: Final = Path(__file__).parents[2] / "clients/python"
SPLIT_CARD: Final = ("it is 4111 11", "11 1111 ", "1111, ok")


def _chat(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return {**head, "choices": [choice]}


def _chat_events(parts: tuple[str, ...]) -> list[dict[str, Any]]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    deltas: list[dict[str, Any]] = [{"content": part} for part in parts]
    events = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    return [*events, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]


def _message(text: str) -> dict[str, Any]:
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _message_events(parts: tuple[str, ...]) -> list[dict[str, Any]]:
    start = {**_message(""), "content": [], "stop_reason": None}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
        for part in parts
    ]
    return [
        {"type": "message_start", "message": start},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 1},
        },
        {"type": "message_stop"},
    ]


def _response(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {
        "id": "o1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }
    return {
        "id": "r1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o",
        "status": "completed",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


class Provider(ThreadingHTTPServer):
    """A provider of models.

    Attributes:
        bodies: the bodies of the requests that have reached it.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        answer, events = self._answers(body)
        if body.get("stream"):
            text = "".join(
                f"event: {each['type']}\ndata: {json.dumps(each)}\n\n"
                if "type" in each
                else f"data: {json.dumps(each)}\n\n"
                for each in events
            )
            self._send("text/event-stream", text + ("" if "type" in events[0] else _DONE))
        else:
            self._send("application/json", json.dumps(answer))

    def _answers(self, body: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if self.path.endswith("/responses"):
            return _response(_said(str(body["input"]))), []
        text = _said(body["messages"][-1]["content"])
        if self.path.endswith("/messages"):
            return _message(text), _message_events(SPLIT_CARD)
        return _chat(text), _chat_events(SPLIT_CARD)

    def _send(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - see the library
        """Writes nothing."""


_DONE: Final = "data: [DONE]\n\n"


def _said(text: str) -> str:
    return "the card is 4111 1111 1111 1111" if text == "which card?" else f"echo: {text}"


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider of models."""
    with Provider() as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            served.shutdown()
            thread.join()


def run(code: str, server: Server, tenant: str, provider: Provider) -> list[Any]:
    """Runs a program with the SDKs, and returns the JSON lines that it writes."""
    done = subprocess.run(
        [environment_of("python-client") / "bin/python", "-c", _PROLOGUE + code],
        env=servers.environment(
            PYTHONPATH=str(CLIENT),
            PDP_SERVER=server.grpc_address,
            TENANT=tenant,
            PROVIDER=f"http://127.0.0.1:{provider.server_port}",
        ),
        capture_output=True,
        text=True,
        timeout=servers.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


_PROLOGUE: Final = """
import asyncio, json, os
import pdp_client as pdp

PROVIDER, TENANT = os.environ["PROVIDER"], os.environ["TENANT"]
CARD, ATTACK = "4111 1111 1111 1111", "1 UNION SELECT password FROM users"

def show(value):
    print(json.dumps(value))

def stopped(call):
    try:
        call()
    except pdp.Denied:
        show("denied")
    except NotImplementedError:
        show("not implemented")
"""

_OPENAI: Final = """
from openai import AsyncOpenAI, OpenAI
from pdp_client.integrations.openai import guard_openai

settings = {"base_url": PROVIDER + "/v1", "api_key": "k", "max_retries": 0}

def user(text):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}

with pdp.Client(tenant=TENANT, timeout=30) as client, OpenAI(**settings) as inner:
    openai = guard_openai(inner, client, {"subject": {"user_id": "ann"}})
    answer = openai.chat.completions.create(**user("my card is " + CARD))
    show([type(answer).__name__, answer.choices[0].message.content])
    answer = openai.chat.completions.create(**user("which card?"))
    show([type(answer.choices[0].message).__name__, answer.choices[0].message.content])
    stream = openai.chat.completions.create(**user("hi"), stream=True)
    events = list(stream)
    show([type(events[0]).__name__, "".join(e.choices[0].delta.content or "" for e in events)])
    answer = openai.responses.create(model="gpt-4o", input="which card?")
    show([type(answer).__name__, answer.output_text])
    answer = openai.with_options(timeout=30).chat.completions.create(
        **user("hi"), extra_body={"note": CARD}, timeout=30
    )
    show(answer.choices[0].message.content)
    stopped(lambda: openai.chat.completions.create(**user(ATTACK)))
    stopped(lambda: openai.chat.completions.parse(**user("hi")))
    stopped(lambda: openai.chat.completions.with_raw_response.create(**user("hi")))
    stopped(lambda: openai.with_raw_response.chat.completions.create(**user("hi")))
    stopped(lambda: openai.beta.assistants.create(model="gpt-4o"))
    stopped(lambda: openai.responses.stream(model="gpt-4o", input="hi"))

async def main():
    async with (
        pdp.AsyncClient(tenant=TENANT, timeout=30) as client,
        AsyncOpenAI(**settings) as inner,
    ):
        openai = guard_openai(inner, client)
        answer = await openai.chat.completions.create(**user("which card?"))
        show(answer.choices[0].message.content)
        stream = await openai.chat.completions.create(**user("hi"), stream=True)
        show("".join([e.choices[0].delta.content or "" async for e in stream]))
        try:
            guard_openai(OpenAI(**settings), client)
        except TypeError:
            show("type error")

asyncio.run(main())
"""


def test_openai(server: Server, tenant: str, provider: Provider) -> None:
    assert run(_OPENAI, server, tenant, provider) == [
        ["ChatCompletion", "echo: my card is [REDACTED]"],
        ["ChatCompletionMessage", "the card is [REDACTED]"],
        ["ChatCompletionChunk", "it is [REDACTED], ok"],
        ["Response", "the card is [REDACTED]"],
        "echo: hi",
        "denied",
        *["not implemented"] * 5,
        "the card is [REDACTED]",
        "it is [REDACTED], ok",
        "type error",
    ]
    assert provider.bodies[0]["messages"] == [{"role": "user", "content": "my card is [REDACTED]"}]
    assert provider.bodies[4]["note"] == "[REDACTED]"
    assert "UNION" not in json.dumps(provider.bodies)


_ANTHROPIC: Final = """
from anthropic import Anthropic, AsyncAnthropic
from pdp_client.integrations.anthropic import guard_anthropic

settings = {"base_url": PROVIDER, "api_key": "k", "max_retries": 0}

def user(text):
    messages = [{"role": "user", "content": text}]
    return {"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": messages}

with pdp.Client(tenant=TENANT, timeout=30) as client, Anthropic(**settings) as inner:
    anthropic = guard_anthropic(inner, client)
    answer = anthropic.messages.create(**user("my card is " + CARD))
    show([type(answer).__name__, answer.content[0].text])
    answer = anthropic.messages.create(**user("which card?"))
    show([type(answer.content[0]).__name__, answer.content[0].text])
    with anthropic.messages.create(**user("hi"), stream=True) as stream:
        events = list(stream)
    show(events[-1].type)
    show("".join(e.delta.text for e in events if e.type == "content_block_delta"))
    stopped(lambda: anthropic.messages.create(**user(ATTACK)))
    stopped(lambda: anthropic.messages.stream(**user("hi")))
    stopped(lambda: anthropic.messages.batches.create(requests=[]))
    stopped(lambda: anthropic.beta.messages.create(**user("hi")))

async def main():
    async with (
        pdp.AsyncClient(tenant=TENANT, timeout=30) as client,
        AsyncAnthropic(**settings) as inner,
    ):
        anthropic = guard_anthropic(inner, client)
        answer = await anthropic.messages.create(**user("which card?"))
        show(answer.content[0].text)
        async with await anthropic.messages.create(**user("hi"), stream=True) as stream:
            deltas = [e.delta.text async for e in stream if e.type == "content_block_delta"]
        show("".join(deltas))

asyncio.run(main())
"""


def test_anthropic(server: Server, tenant: str, provider: Provider) -> None:
    assert run(_ANTHROPIC, server, tenant, provider) == [
        ["Message", "echo: my card is [REDACTED]"],
        ["TextBlock", "the card is [REDACTED]"],
        "message_stop",
        "it is [REDACTED], ok",
        "denied",
        *["not implemented"] * 3,
        "the card is [REDACTED]",
        "it is [REDACTED], ok",
    ]
    assert "4111 1111" not in json.dumps(provider.bodies)
    assert "UNION" not in json.dumps(provider.bodies)


_AGENTS: Final = """
from agents import Agent, Runner, function_tool, set_tracing_disabled
from agents.items import ModelResponse
from agents.models.interface import Model
from agents.usage import Usage
from openai.types.responses import (
    ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
)
from pdp_client.integrations.openai_agents import PolicyGuardrails

set_tracing_disabled(True)

class Script(Model):
    # Calls the tool with one argument, then says what came back.
    def __init__(self, argument):
        self.argument = argument

    async def get_response(self, system_instructions, input, *args, **kwargs):
        results = [i["output"] for i in input if i.get("type") == "function_call_output"]
        if results:
            text = ResponseOutputText(text=str(results[-1]), type="output_text", annotations=[])
            item = ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )
        else:
            item = ResponseFunctionToolCall(
                call_id="c", name="note", type="function_call",
                arguments=json.dumps({"text": self.argument}),
            )
        return ModelResponse(output=[item], usage=Usage(), response_id=None)

    def stream_response(self, *args, **kwargs):
        raise NotImplementedError

async def main():
    calls = []
    async with pdp.AsyncClient(tenant=TENANT, timeout=30) as client:
        rails = PolicyGuardrails(client, lambda data: {"subject": {"agent_id": data.agent.name}})

        @function_tool(tool_input_guardrails=[rails.input], tool_output_guardrails=[rails.output])
        def note(text: str) -> str:
            calls.append(text)
            return "card " + CARD if text == "which?" else "noted " + text

        for argument in ("hi", "which?", ATTACK, "card " + CARD):
            agent = Agent(name="bot", tools=[note], model=Script(argument))
            show((await Runner.run(agent, "go")).final_output)
    show(calls)

asyncio.run(main())
"""


def test_openai_agents(server: Server, tenant: str, provider: Provider) -> None:
    hi, card, attack, redacted, calls = run(_AGENTS, server, tenant, provider)
    assert hi == "noted hi"
    assert card == "card [REDACTED]"
    assert "UNION SELECT" in attack
    assert redacted == "The arguments hold values that the tool must not get."
    assert calls == ["hi", "which?"]


_FASTAPI: Final = """
import sys
sys.path.insert(0, os.environ["EXAMPLES"])
from fastapi.testclient import TestClient
from fastapi_app import app

with TestClient(app) as http:
    show(http.get("/healthz").json())
    show(http.post("/notes", json={"topic": "card " + CARD}).json())
    answer = http.post("/notes", json={"topic": ATTACK})
    show([answer.status_code, answer.json()["error"]["code"]])
"""


def test_the_fastapi_example(server: Server, tenant: str, provider: Provider) -> None:
    code = f"os.environ['EXAMPLES'] = {str(CLIENT / 'examples')!r}\n{_FASTAPI}"
    assert run(code, server, tenant, provider) == [
        {"status": "ok"},
        {"notes": ["a note on card [REDACTED]"]},
        [403, "STATIC_POLICY_BLOCK"],
    ]
