"""The decorator for tools of the Python client, against a real server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pdp_client as pdp
import pytest

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.servers import Server

CARD: Final = "4111 1111 1111 1111"
ATTACK: Final = "1 UNION SELECT password FROM users"


@pytest.fixture
def client(server: Server, tenant: str) -> Iterator[pdp.Client]:
    with pdp.Client(server.grpc_address, tenant=tenant, timeout=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture(params=["threads", "asyncio"])
def tool(
    request: pytest.FixtureRequest, server: Server, tenant: str, client: pdp.Client
) -> Iterator[Callable[..., Callable[..., Any]]]:
    """A function that guards a tool, as a function or as a coroutine function."""
    if request.param == "threads":
        guard: Any = pdp.Guard(client)
        yield lambda function, **options: guard.tool(**options)(function)
        return
    with asyncio.Runner() as runner:
        another = pdp.AsyncClient(server.grpc_address, tenant=tenant, timeout=TIMEOUT_S)

        def guarded(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
            async def run(text: Any, *, n: int = 1) -> Any:
                return function(text, n=n)

            guard: Any = pdp.Guard(another)
            wrapped = guard.tool(**options)(run)
            return lambda *args, **kwargs: runner.run(wrapped(*args, **kwargs))

        yield guarded
        runner.run(another.close())


def test_calls_and_results_are_redacted(tool: Callable[..., Any]) -> None:
    calls: list[Any] = []

    def note(text: str, *, n: int = 1) -> list[str]:
        calls.append((text, n))
        return [f"card {CARD}", "ok"]

    guarded = tool(note)
    assert guarded(f"my card is {CARD}", n=2) == ["card [REDACTED]", "ok"]
    assert calls == [("my card is [REDACTED]", 2)]


def test_a_call_that_is_stopped_does_not_run(tool: Callable[..., Any]) -> None:
    calls: list[Any] = []

    def run(text: str, *, n: int = 1) -> str:
        calls.append((text, n))
        return "ok"

    with pytest.raises(pdp.Denied):
        tool(run)(ATTACK)
    assert calls == []


def test_values_without_a_form_in_json(tool: Callable[..., Any]) -> None:
    @dataclass
    class Note:
        text: str

    def read(text: Note, *, n: int = 1) -> Note:
        return Note("fine" if n == 1 else CARD)

    assert tool(read)(Note("hi")) == Note("fine")
    with pytest.raises(pdp.Denied, match="is not a JSON value"):
        tool(read)(Note(f"card {CARD}"))
    with pytest.raises(pdp.Denied, match="is not a JSON value"):
        tool(read)(Note("hi"), n=2)


def test_results_can_be_left_out(tool: Callable[..., Any]) -> None:
    def read(text: str, *, n: int = 1) -> str:
        return f"{text} {CARD}"

    assert tool(read, check_result=False)("hi") == f"hi {CARD}"


def test_a_tool_must_fit_the_client(client: pdp.Client) -> None:
    async def wait() -> None: ...

    def each() -> Iterator[int]:
        yield 1

    guard = pdp.Guard(client)
    with pytest.raises(TypeError, match="needs a guard with an AsyncClient"):
        guard.tool(wait)
    with pytest.raises(TypeError, match="is a generator"):
        guard.tool(each)


def test_without_a_server_no_tool_runs() -> None:
    calls: list[int] = []
    with pdp.Client("127.0.0.1:1", timeout=0.5) as lonely:

        @pdp.Guard(lonely, {"subject": {"user_id": "ann"}}).tool(name="sql")
        def query() -> None:
            calls.append(1)

        with pytest.raises(pdp.Denied) as denied:
            query()
    assert denied.value.response.reason_code == "PDP_UNAVAILABLE"
    assert calls == []
