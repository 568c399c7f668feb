"""gRPC interceptors: judge the messages of calls to and from other services.

    server = grpc.server(pool, interceptors=[PolicyServerInterceptor(client)])
    channel = grpc.intercept_channel(channel, PolicyClientInterceptor(client))

Each message is judged as the arguments of a tool with the full name of the method.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

import grpc
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import Message

from pdp_client.async_client import AsyncClient
from pdp_client.client import Client
from pdp_client.enforcement import Denied, Held, NotPermitted
from pdp_client.failures import UNAVAILABLE, CallFailed
from pdp_client.judging import judge, judge_async
from pdp_client.requests import RequestLike, request_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator

    from pdp_client._gen.pdp.v1 import decide_pb2 as pb
    from pdp_client.judging import Judged

    Context = Callable[[str], RequestLike]

OWN_SERVICES: Final = ("grpc.health.v1.", "grpc.reflection.", "pdp.v1.")
"""Services whose calls are not judged."""


C = TypeVar("C", Client, AsyncClient)


class _Rules(Generic[C]):
    """What messages are judged with."""

    def __init__(
        self,
        client: C,
        *,
        context: Context | None = None,
        check_responses: bool = True,
        skip: Collection[str] = OWN_SERVICES,
    ) -> None:
        """Stores how to judge.

        Args:
            client: asks for decisions.
            context: returns what is known of a call, by the name of its method.
            check_responses: whether to judge responses, too.
            skip: beginnings of the names of methods that are not judged.
        """
        self._client: C = client
        self._context = context
        self.check_responses = check_responses
        self._skip = tuple(skip)

    def judges(self, method: str) -> bool:
        return not method.lstrip("/").startswith(self._skip) if self._skip else True

    def request(self, method: str, message: Any, direction: str) -> pb.DecideRequest:
        if not isinstance(message, Message):
            raise TypeError(f"{method}: only messages of protobuf can be judged")
        request = request_of(self._context(method) if self._context else {})
        request.tool = method.lstrip("/")
        request.direction = direction
        text = MessageToJson(message, preserving_proto_field_name=True, indent=None)
        request.arguments_json = text if text.startswith("{") else f'{{"value": {text}}}'
        return request

    def refuse_stream(self, method: str) -> None:
        """Raises an error for a call with a stream, which a client cannot judge.

        Raises:
            NotImplementedError: the method is not one of those that are not judged.
        """
        if self.judges(method):
            raise NotImplementedError(
                f"{method} has a stream, which is not judged on the side of the client. Judge it "
                "on the side of the server, or name the method in skip to let it pass."
            )


def _permitted(message: Any, judged: Judged) -> Any:
    """Returns the message that may go out."""
    arguments = judged.permit.arguments_json
    if arguments == judged.decision.request.arguments_json:
        return message
    try:
        if not MessageToJson(message).startswith("{"):  # a number or a text of its own
            arguments = json.dumps((judged.permit.arguments or {})["value"])
        return Parse(arguments, type(message)())
    except ParseError:
        reason = "the message must be redacted in a field that is not a text"
        raise Denied(judged.decision.raw, reason) from None


def status_of(error: NotPermitted | CallFailed) -> tuple[grpc.StatusCode, str]:
    """Returns the status to answer a call with that was not permitted."""
    if isinstance(error, CallFailed):
        return grpc.StatusCode.UNAVAILABLE, "the request could not be checked"
    if isinstance(error, Held):
        return grpc.StatusCode.FAILED_PRECONDITION, error.reason
    if error.response.reason_code == UNAVAILABLE:
        return grpc.StatusCode.UNAVAILABLE, error.reason
    if error.response.HasField("retry_after_s"):
        return grpc.StatusCode.RESOURCE_EXHAUSTED, error.reason
    return grpc.StatusCode.PERMISSION_DENIED, error.reason


class PolicyClientInterceptor(
    _Rules[Client],
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Judges the request of a call before it is sent, and the response.

    It judges unary calls, and refuses calls with streams.
    """

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Makes a call.

        Raises:
            Denied: the request is stopped. That of the response is raised by `result`.
            Held: it must wait for a person.
            CallFailed: the server of the decisions refused the request.
        """
        method = client_call_details.method
        if not self.judges(method):
            return continuation(client_call_details, request)
        permitted = _permitted(request, judge(self._client, self.request(method, request, "input")))
        call = continuation(client_call_details, permitted)
        return _JudgedCall(call, self, self._client, method) if self.check_responses else call

    def _intercept_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self.refuse_stream(client_call_details.method)
        return continuation(client_call_details, request)

    intercept_unary_stream: Any = _intercept_stream
    intercept_stream_unary: Any = _intercept_stream
    intercept_stream_stream: Any = _intercept_stream


_Future: Any = grpc.Future  # it has type arguments only in its stubs


class _JudgedCall(grpc.Call, _Future):  # type: ignore[misc] # see above
    """A call whose result is judged."""

    def __init__(self, call: Any, rules: _Rules[Client], client: Client, method: str) -> None:
        self._call = call
        self._rules = rules
        self._client = client
        self._method = method

    def result(self, timeout: float | None = None) -> Any:
        message = self._call.result(timeout)
        judged = judge(self._client, self._rules.request(self._method, message, "output"))
        return _permitted(message, judged)

    def exception(self, timeout: float | None = None) -> Any:
        return self._call.exception(timeout)

    def traceback(self, timeout: float | None = None) -> Any:
        return self._call.traceback(timeout)

    def add_done_callback(self, fn: Any) -> None:
        self._call.add_done_callback(lambda _call: fn(self))

    def add_callback(self, callback: Any) -> Any:
        return self._call.add_callback(callback)

    def cancel(self) -> Any:
        return self._call.cancel()

    def cancelled(self) -> Any:
        return self._call.cancelled()

    def running(self) -> Any:
        return self._call.running()

    def done(self) -> Any:
        return self._call.done()

    def is_active(self) -> Any:
        return self._call.is_active()

    def time_remaining(self) -> Any:
        return self._call.time_remaining()

    def initial_metadata(self) -> Any:
        return self._call.initial_metadata()

    def trailing_metadata(self) -> Any:
        return self._call.trailing_metadata()

    def code(self) -> Any:
        return self._call.code()

    def details(self) -> Any:
        return self._call.details()


class _AsyncUnary(_Rules[AsyncClient], grpc.aio.UnaryUnaryClientInterceptor):
    """Judges the unary calls of a `grpc.aio` channel."""

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Makes a call; see `PolicyClientInterceptor`."""
        method = client_call_details.method
        method = method.decode() if isinstance(method, bytes) else method
        if not self.judges(method):
            return await continuation(client_call_details, request)
        judged = await judge_async(self._client, self.request(method, request, "input"))
        call = await continuation(client_call_details, _permitted(request, judged))
        if not self.check_responses:
            return call
        message = await call
        judged = await judge_async(self._client, self.request(method, message, "output"))
        return _permitted(message, judged)


class _AsyncStreams(_Rules[AsyncClient]):
    """Refuses the calls with streams of a `grpc.aio` channel, which takes one kind at a time."""

    async def _intercept(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        method = client_call_details.method
        self.refuse_stream(method.decode() if isinstance(method, bytes) else method)
        return await continuation(client_call_details, request)


class _AsyncUnaryStream(_AsyncStreams, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream: Any = _AsyncStreams._intercept


class _AsyncStreamUnary(_AsyncStreams, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary: Any = _AsyncStreams._intercept


class _AsyncStreamStream(_AsyncStreams, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream: Any = _AsyncStreams._intercept


def async_client_interceptors(
    client: AsyncClient,
    *,
    context: Context | None = None,
    check_responses: bool = True,
    skip: Collection[str] = OWN_SERVICES,
) -> list[grpc.aio.ClientInterceptor]:
    """Returns the interceptors of a `grpc.aio` channel; see `PolicyClientInterceptor`.

    channel = grpc.aio.insecure_channel(address, interceptors=async_client_interceptors(client))
    """
    kinds = (_AsyncUnary, _AsyncUnaryStream, _AsyncStreamUnary, _AsyncStreamStream)
    return [
        each(client, context=context, check_responses=check_responses, skip=skip) for each in kinds
    ]


class PolicyServerInterceptor(_Rules[Client], grpc.ServerInterceptor):
    """Judges the messages of calls before the service gets them, and its answers."""

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Returns the handler of a call."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not self.judges(method):
            return handler
        return _HANDLERS[handler.request_streaming, handler.response_streaming](
            self._behavior(handler, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _behavior(self, handler: Any, method: str) -> Any:
        inner = _inner(handler)

        def messages(request: Any, context: Any) -> Any:
            if not handler.request_streaming:
                return self._judged(method, request, "input", context)
            return (self._judged(method, each, "input", context) for each in request)

        def answers(responses: Any, context: Any) -> Iterator[Any]:
            for each in responses:
                yield self._answer(method, each, context)

        def respond(request: Any, context: Any) -> Any:
            response = inner(messages(request, context), context)
            if handler.response_streaming:
                return answers(response, context)
            return self._answer(method, response, context)

        return respond

    def _answer(self, method: str, message: Any, context: Any) -> Any:
        if not self.check_responses:
            return message
        return self._judged(method, message, "output", context)

    def _judged(self, method: str, message: Any, direction: str, context: Any) -> Any:
        try:
            judged = judge(self._client, self.request(method, message, direction))
            return _permitted(message, judged)
        except (NotPermitted, CallFailed) as error:
            _abort(context, error)


class AsyncPolicyServerInterceptor(_Rules[AsyncClient], grpc.aio.ServerInterceptor):
    """Judges the calls of a `grpc.aio` server; see `PolicyServerInterceptor`.

    It judges services that yield their answers or return them, and read requests as an iterator.
    """

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Returns the handler of a call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not self.judges(method):
            return handler
        return _HANDLERS[handler.request_streaming, handler.response_streaming](
            self._behavior(handler, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _behavior(self, handler: Any, method: str) -> Any:
        inner = _inner(handler)

        async def requests(stream: Any, context: Any) -> AsyncIterator[Any]:
            async for each in stream:
                yield await self._judged(method, each, "input", context)

        async def messages(request: Any, context: Any) -> Any:
            if handler.request_streaming:
                return requests(request, context)
            return await self._judged(method, request, "input", context)

        async def respond(request: Any, context: Any) -> Any:
            response = await inner(await messages(request, context), context)
            return await self._answer(method, response, context)

        async def respond_many(request: Any, context: Any) -> AsyncIterator[Any]:
            async for each in inner(await messages(request, context), context):
                yield await self._answer(method, each, context)

        return respond_many if handler.response_streaming else respond

    async def _answer(self, method: str, message: Any, context: Any) -> Any:
        if not self.check_responses:
            return message
        return await self._judged(method, message, "output", context)

    async def _judged(self, method: str, message: Any, direction: str, context: Any) -> Any:
        try:
            judged = await judge_async(self._client, self.request(method, message, direction))
            return _permitted(message, judged)
        except (NotPermitted, CallFailed) as error:
            await context.abort(*status_of(error))


def _abort(context: Any, error: NotPermitted | CallFailed) -> NoReturn:
    context.abort(*status_of(error))
    raise AssertionError("abort raises")


def _inner(handler: Any) -> Any:
    kinds = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    return next(each for each in kinds if each is not None)


_HANDLERS: Final[Any] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
