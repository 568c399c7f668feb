"""The hooks for SDKs, with objects of the shape of an SDK's client, against a real server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pdp_client as pdp
import pytest
from pdp_client.integrations.anthropic import guard_anthropic
from pdp_client.integrations.openai import guard_openai

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server

CARD: Final = "4111 1111 1111 1111"
ATTACK: Final = "1 UNION SELECT password FROM users"


class FakeOpenAI:
    """Repeats the last message, as dictionaries.

    Attributes:
        calls: the arguments of the calls.
        answer: what it answers in place of the last message.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.answer = ""
        self.closed = False
        completions = SimpleNamespace(create=self._create, parse=self._create, list=list)
        self.chat = SimpleNamespace(completions=completions)
        self.embeddings = SimpleNamespace(create=lambda **kwargs: kwargs)

    def _create(self, **kwargs: Any) -> Any:
        self.calls.append(kwargs)
        text = self.answer or kwargs["messages"][-1]["content"]
        if kwargs.get("stream"):
            return FakeStream(self, text.split("|"))
        message = {"role": "assistant", "content": text}
        return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}


class FakeStream:
    """A streamed answer."""

    def __init__(self, sdk: FakeOpenAI, parts: list[str]) -> None:
        self._sdk = sdk
        self._parts = parts

    def __iter__(self) -> Iterator[Any]:
        for part in self._parts:
            yield {"choices": [{"index": 0, "delta": {"content": part}}]}

    def close(self) -> None:
        """Ends the answer."""
        self._sdk.closed = True


def user(text: str) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}


def said(events: Any) -> str:
    return "".join(each["choices"][0]["delta"].get("content", "") for each in events)


@pytest.fixture
def client(server: Server, tenant: str) -> Iterator[pdp.Client]:
    with pdp.Client(server.grpc_address, tenant=tenant, timeout=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture
def sdk() -> FakeOpenAI:
    return FakeOpenAI()


def test_requests_and_answers_are_redacted(client: pdp.Client, sdk: FakeOpenAI) -> None:
    openai = guard_openai(sdk, client)
    openai.chat.completions.create(**user(f"card {CARD}"), timeout=3)
    assert sdk.calls == [{**user("card [REDACTED]"), "timeout": 3}]
    sdk.answer = f"it is {CARD}"
    answer = openai.chat.completions.create(**user("hi"))
    assert answer["choices"][0]["message"]["content"] == "it is [REDACTED]"


def test_requests_and_answers_are_stopped(client: pdp.Client, sdk: FakeOpenAI) -> None:
    openai = guard_openai(sdk, client, lambda: {"subject": {"user_id": "ann"}})
    with pytest.raises(pdp.Denied):
        openai.chat.completions.create(**user(ATTACK))
    assert sdk.calls == []
    sdk.answer = "{"
    assert openai.chat.completions.create(**user("hi"))["choices"][0]["message"]["content"] == "{"


def test_streams_are_redacted(client: pdp.Client, sdk: FakeOpenAI) -> None:
    openai = guard_openai(sdk, client)
    sdk.answer = "it is 4111 11|11 1111 |1111, ok"
    with openai.chat.completions.create(**user("hi"), stream=True) as events:
        assert said(events) == "it is [REDACTED], ok"
    assert sdk.closed


def test_a_stream_can_be_left_early(client: pdp.Client, sdk: FakeOpenAI) -> None:
    sdk.answer = "one.| two.| three."
    guard_openai(sdk, client).chat.completions.create(**user("hi"), stream=True).close()
    assert sdk.closed


def test_what_is_not_judged_is_refused(client: pdp.Client, sdk: FakeOpenAI) -> None:
    openai: Any = guard_openai(sdk, client)
    with pytest.raises(NotImplementedError, match=r"chat\.completions\.parse"):
        openai.chat.completions.parse(**user("hi"))
    assert openai.embeddings.create(input="hi") == {"input": "hi"}
    with pytest.raises(ValueError, match="iterator"):
        openai.chat.completions.create(model="gpt-4o", messages=iter(()))
    assert sdk.calls == []


def test_without_a_server_nothing_passes(sdk: FakeOpenAI) -> None:
    with pdp.Client("127.0.0.1:1", timeout=0.5) as lonely:
        openai = guard_openai(sdk, lonely)
        for stream in (False, True):
            with pytest.raises(pdp.Denied):
                openai.chat.completions.create(**user("hi"), stream=stream)
    assert sdk.calls == []


def test_anthropic(client: pdp.Client) -> None:
    def create(**kwargs: Any) -> Any:
        content = [{"type": "text", "text": kwargs["messages"][-1]["content"] + CARD}]
        return {"type": "message", "role": "assistant", "model": "m", "content": content}

    sdk = SimpleNamespace(messages=SimpleNamespace(create=create))
    anthropic = guard_anthropic(sdk, client)
    answer = anthropic.messages.create(**user("card "), max_tokens=1)
    assert answer["content"][0]["text"] == "card [REDACTED]"
