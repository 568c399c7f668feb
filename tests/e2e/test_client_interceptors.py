"""The gRPC interceptors of the Python client, around a small service and against a real server."""

from __future__ import annotations

from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
import pdp_client as pdp
import pytest
from google.protobuf import wrappers_pb2
from pdp_client.integrations.grpc_interceptors import (
    AsyncPolicyServerInterceptor,
    PolicyClientInterceptor,
    PolicyServerInterceptor,
    async_client_interceptors,
)

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.servers import Server

CARD: Final = "4111 1111 1111 1111"
ATTACK: Final = "1 UNION SELECT password FROM users"

Text = pdp.Content
"""A message with a text."""


def echo(request: Any, _context: Any) -> Any:
    """Answers with the text; `card` makes it one with a card."""
    return Text(text=f"card {CARD}" if request.text == "card" else request.text)


def many(request: Any, context: Any) -> Iterator[Any]:
    yield echo(request, context)
    yield Text(text="end")


def join(requests: Any, _context: Any) -> Any:
    return Text(text=" ".join(each.text for each in requests))


def handlers(unary: Any, stream: Any, stream_unary: Any) -> Any:
    codec: Any = {
        "request_deserializer": Text.FromString,
        "response_serializer": Text.SerializeToString,
    }
    methods: Any = {
        "Echo": grpc.unary_unary_rpc_method_handler(unary, **codec),
        "Many": grpc.unary_stream_rpc_method_handler(stream, **codec),
        "Join": grpc.stream_unary_rpc_method_handler(stream_unary, **codec),
    }
    return [grpc.method_handlers_generic_handler("demo.Notes", methods)]


def methods_of(channel: Any) -> dict[str, Any]:
    codec = (Text.SerializeToString, Text.FromString)
    return {
        "Echo": channel.unary_unary("/demo.Notes/Echo", *codec),
        "Many": channel.unary_stream("/demo.Notes/Many", *codec),
        "Join": channel.stream_unary("/demo.Notes/Join", *codec),
    }


@pytest.fixture
def client(server: Server, tenant: str) -> Iterator[pdp.Client]:
    with pdp.Client(server.grpc_address, tenant=tenant, timeout=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture
async def async_client(server: Server, tenant: str) -> AsyncIterator[pdp.AsyncClient]:
    async with pdp.AsyncClient(server.grpc_address, tenant=tenant, timeout=TIMEOUT_S) as opened:
        yield opened


@contextmanager
def notes(*interceptors: Any) -> Iterator[str]:
    served = grpc.server(
        futures.ThreadPoolExecutor(4),
        handlers=handlers(echo, many, join),
        interceptors=list(interceptors),
    )
    port = served.add_insecure_port("127.0.0.1:0")
    served.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        served.stop(None).wait(TIMEOUT_S)


class TestServer:
    def test_messages_are_redacted(self, client: pdp.Client) -> None:
        with (
            notes(PolicyServerInterceptor(client)) as address,
            grpc.insecure_channel(address) as channel,
        ):
            methods = methods_of(channel)
            assert methods["Echo"](Text(text=f"my {CARD}")).text == "my [REDACTED]"
            assert methods["Echo"](Text(text="card")).text == "card [REDACTED]"
            many_ = [each.text for each in methods["Many"](Text(text="card"))]
            assert many_ == ["card [REDACTED]", "end"]
            parts = iter([Text(text="a"), Text(text=CARD)])
            assert methods["Join"](parts).text == "a [REDACTED]"

    @pytest.mark.parametrize("name", ["Echo", "Many", "Join"])
    def test_calls_are_stopped(self, client: pdp.Client, name: str) -> None:
        with (
            notes(PolicyServerInterceptor(client)) as address,
            grpc.insecure_channel(address) as channel,
        ):
            message: Any = Text(text=ATTACK)
            call = methods_of(channel)[name]
            with pytest.raises(grpc.RpcError) as error:
                list(call(iter([message]) if name == "Join" else message))
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED

    def test_own_methods_can_be_left_out(self, client: pdp.Client) -> None:
        with (
            notes(PolicyServerInterceptor(client, skip=["demo."])) as address,
            grpc.insecure_channel(address) as channel,
        ):
            assert methods_of(channel)["Echo"](Text(text=ATTACK)).text == ATTACK

    def test_without_a_server_nothing_passes(self) -> None:
        with (
            pdp.Client("127.0.0.1:1", timeout=0.5) as lonely,
            notes(PolicyServerInterceptor(lonely)) as address,
            grpc.insecure_channel(address) as channel,
        ):
            with pytest.raises(grpc.RpcError) as error:
                methods_of(channel)["Echo"](Text(text="hi"))
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE

    async def test_with_asyncio(self, async_client: pdp.AsyncClient) -> None:
        async def a_echo(request: Any, context: Any) -> Any:
            return echo(request, context)

        async def a_many(request: Any, context: Any) -> AsyncIterator[Any]:
            for each in many(request, context):
                yield each

        async def a_join(requests: Any, _context: Any) -> Any:
            return Text(text=" ".join([each.text async for each in requests]))

        served = grpc.aio.server(interceptors=[AsyncPolicyServerInterceptor(async_client)])
        served.add_generic_rpc_handlers(tuple(handlers(a_echo, a_many, a_join)))
        port = served.add_insecure_port("127.0.0.1:0")
        await served.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            methods = methods_of(channel)
            assert (await methods["Echo"](Text(text=f"my {CARD}"))).text == "my [REDACTED]"
            assert [each.text async for each in methods["Many"](Text(text="card"))] == [
                "card [REDACTED]",
                "end",
            ]
            joined = await methods["Join"](iter([Text(text="a"), Text(text=CARD)]))
            assert joined.text == "a [REDACTED]"
            for name in ("Echo", "Join"):
                message: Any = Text(text=ATTACK)
                with pytest.raises(grpc.RpcError) as error:
                    await methods[name](iter([message]) if name == "Join" else message)
                assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
        await served.stop(None)


class TestClient:
    def test_calls(self, client: pdp.Client) -> None:
        with notes() as address, grpc.insecure_channel(address) as channel:
            guarded = grpc.intercept_channel(channel, PolicyClientInterceptor(client))
            call = methods_of(guarded)["Echo"]
            assert call(Text(text=f"my {CARD}")).text == "my [REDACTED]"
            assert call(Text(text="card")).text == "card [REDACTED]"
            assert call.future(Text(text="card")).result().text == "card [REDACTED]"
            with pytest.raises(pdp.Denied):
                call(Text(text=ATTACK))

    async def test_with_asyncio(self, async_client: pdp.AsyncClient) -> None:
        interceptors = async_client_interceptors(async_client)
        with notes() as address:
            async with grpc.aio.insecure_channel(address, interceptors=interceptors) as channel:
                call = methods_of(channel)["Echo"]
                assert (await call(Text(text=f"my {CARD}"))).text == "my [REDACTED]"
                assert (await call(Text(text="card"))).text == "card [REDACTED]"
                with pytest.raises(pdp.Denied):
                    await call(Text(text=ATTACK))

    def test_calls_with_streams_are_refused(self, client: pdp.Client) -> None:
        with notes() as address, grpc.insecure_channel(address) as channel:
            guarded = methods_of(grpc.intercept_channel(channel, PolicyClientInterceptor(client)))
            with pytest.raises(NotImplementedError, match=r"demo\.Notes/Many has a stream"):
                list(guarded["Many"](Text(text="hello")))
            with pytest.raises(NotImplementedError, match=r"demo\.Notes/Join has a stream"):
                guarded["Join"](iter([Text(text="hello")]))
            interceptor = PolicyClientInterceptor(client, skip=["demo.Notes/Many"])
            skipped = methods_of(grpc.intercept_channel(channel, interceptor))
            assert [each.text for each in skipped["Many"](Text(text="hello"))] == ["hello", "end"]

    async def test_calls_with_streams_are_refused_with_asyncio(
        self, async_client: pdp.AsyncClient
    ) -> None:
        for skip in ((), ("demo.Notes/",)):
            interceptors = async_client_interceptors(async_client, skip=skip)
            with notes() as address:
                async with grpc.aio.insecure_channel(address, interceptors=interceptors) as channel:
                    many, join = methods_of(channel)["Many"], methods_of(channel)["Join"]
                    if skip:
                        got = [each.text async for each in many(Text(text="hello"))]
                        assert got == ["hello", "end"]
                        assert (await join(iter([Text(text="hello")]))).text == "hello"
                        continue
                    with pytest.raises(NotImplementedError):
                        [each async for each in many(Text(text="hello"))]
                    with pytest.raises(NotImplementedError):
                        await join(iter([Text(text="hello")]))

    def test_a_field_that_cannot_be_redacted(self, client: pdp.Client) -> None:
        """A number that is redacted becomes a text, which its field cannot hold."""
        with notes() as address, grpc.insecure_channel(address) as channel:
            guarded = grpc.intercept_channel(channel, PolicyClientInterceptor(client))
            codec = (wrappers_pb2.UInt64Value.SerializeToString, Text.FromString)
            call = guarded.unary_unary("/demo.Notes/Echo", *codec)
            assert call(wrappers_pb2.UInt64Value(value=7)).text == ""
            with pytest.raises(pdp.Denied, match="not a text"):
                call(wrappers_pb2.UInt64Value(value=4111111111111111))
