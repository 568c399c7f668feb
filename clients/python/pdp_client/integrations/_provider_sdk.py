"""What the hooks for the SDKs of model providers share: they wrap the client object of an SDK.

The requests and answers of the SDKs are the documents of the provider. They are judged as payloads,
in the format of the provider.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

from pdp_client._gen.pdp.v1 import decide_pb2 as pb
from pdp_client.async_client import AsyncClient
from pdp_client.client import Client
from pdp_client.enforcement import Denied
from pdp_client.judging import Judged, judge, judge_async
from pdp_client.requests import RequestLike, json_text, request_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from pdp_client.async_streams import AsyncTextStream
    from pdp_client.streams import TextStream

    Context = RequestLike | Callable[[], RequestLike]

_NOT_BODY: Final = frozenset({"timeout", "extra_headers", "extra_query", "idempotency_key"})
"""Arguments of the methods that are not sent in the body."""

_log: Final = logging.getLogger("pdp_client")


class Provider(NamedTuple):
    """What is judged of an SDK.

    Attributes:
        provider: the name of the provider in the model catalog.
        methods: the format of each method that is judged, by its path in the client object.
        refused: the beginnings of paths whose other methods would go around the judgement.
    """

    provider: str
    methods: Mapping[str, str]
    refused: tuple[str, ...]


class Hooks:
    """Judges the calls of one client object."""

    def __init__(
        self, provider: Provider, client: Client | AsyncClient, context: Context | None
    ) -> None:
        self.provider = provider
        self.client = client
        self._context = context

    def _request(self, format_: str, body: str, direction: str) -> pb.DecideRequest:
        context = self._context() if callable(self._context) else self._context
        request = request_of(context or {})
        request.payload.CopyFrom(pb.Payload(format=format_, body=body))
        request.direction = direction
        request.model.provider = request.model.provider or self.provider.provider
        return request

    def asked(self, format_: str, kwargs: Mapping[str, Any]) -> pb.DecideRequest:
        """Returns the request for a call with these arguments."""
        body = {name: _plain(value) for name, value in _body(kwargs).items()}
        return self._request(format_, json_text("the arguments", body), "input")

    def permitted(self, judged: Judged, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments that may go out."""
        permit, request = judged.permit, judged.decision.request
        result = dict(kwargs)
        if permit.payload != request.payload.body:
            sent = _body(kwargs)
            document = json.loads(permit.payload)
            changed = {
                name: value
                for name, value in document.items()
                if name not in sent or value != _plain(sent[name])
            }
            extra = dict(kwargs.get("extra_body") or {})
            for name, value in changed.items():
                (extra if name in extra else result)[name] = value
            if extra:
                result["extra_body"] = extra
        if permit.route:
            if permit.route.provider not in {"", self.provider.provider}:
                reason = (
                    f"the request must go to {permit.route.provider}, which is another provider"
                )
                raise Denied(judged.decision.raw, reason)
            result["model"] = permit.route.model
        return result

    def answered(self, format_: str, answer: Any) -> pb.DecideRequest:
        """Returns the request for an answer."""
        return self._request(format_, json_text("the answer", _plain(answer)), "output")

    def events(self, format_: str) -> pb.DecideRequest:
        """Returns the request for an answer that is streamed."""
        return self._request(format_, "", "output")


def _body(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments that are sent in the body. The SDK merges `extra_body` into it."""
    body = {name: value for name, value in kwargs.items() if name not in _NOT_BODY}
    extra = body.pop("extra_body", None)
    body |= extra or {}
    return {name: value for name, value in body.items() if not _is_omitted(value)}


def _is_omitted(value: Any) -> bool:
    return type(value).__name__ in {"NotGiven", "Omit"}


def _plain(value: Any) -> Any:
    """Returns a value of an SDK as JSON has it."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _rebuilt(kind: type[Any], data: Any) -> Any:
    """Returns an object of a class of an SDK with other data."""
    if kind is dict:
        return data
    construct = getattr(kind, "construct", None)
    if construct is None or _is_pydantic_default(construct):
        return kind.model_validate(data)
    return construct(**data)


def _is_pydantic_default(build: Any) -> bool:
    """Returns whether a method is that of pydantic, which does not build what is nested."""
    return str(getattr(build, "__module__", "")).startswith("pydantic.")


def answer_of(judged: Judged, answer: Any) -> Any:
    """Returns the answer that the program may get."""
    if judged.permit.payload == judged.decision.request.payload.body:
        return answer
    rebuilt = _rebuilt(type(answer), json.loads(judged.permit.payload))
    request_id = getattr(answer, "_request_id", None)
    if request_id is not None:
        rebuilt._request_id = request_id
    return rebuilt


class _Events:
    """The events of a streamed answer, as texts that are judged and as objects again."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Any]] = {}
        self._sent: dict[str, list[Any]] = {}
        self._rest = ""

    def text(self, event: Any) -> str:
        """Returns an event as it is sent."""
        data = _plain(event)
        kind = data.get("type", "") if isinstance(data, dict) else ""
        text = json.dumps(data, ensure_ascii=False)
        self._classes[kind] = type(event)
        self._sent.setdefault(text, []).append(event)
        name = f"event: {kind}\n" if kind else ""
        return f"{name}data: {text}\n\n"

    def released(self, text: str) -> Iterator[Any]:
        """Yields the events that are complete in what was released."""
        *events, self._rest = (self._rest + text).split("\n\n")
        for event in events:
            lines = [line for line in event.split("\n") if line.startswith("data:")]
            data = "\n".join(line.removeprefix("data:").removeprefix(" ") for line in lines)
            if data and data != "[DONE]":
                yield self._object(data)

    def _object(self, text: str) -> Any:
        originals = self._sent.get(text)
        if originals:
            original = originals.pop(0)
            if not originals:
                del self._sent[text]
            return original
        data = json.loads(text)
        kind = data.get("type", "") if isinstance(data, dict) else ""
        return _rebuilt(self._classes.get(kind, dict), data)


class GuardedStream:
    """A streamed answer: the events that may go out."""

    def __init__(self, inner: Any, stream: TextStream) -> None:
        self._inner = inner
        self._stream = stream
        self._iterator = self._events()

    def _events(self) -> Iterator[Any]:
        events = _Events()
        with self._stream:
            for event in self._inner:
                yield from events.released(self._stream.feed(events.text(event)))
            yield from events.released(self._stream.end())

    def __iter__(self) -> Iterator[Any]:
        return self._iterator

    def __next__(self) -> Any:
        return next(self._iterator)

    def close(self) -> None:
        """Ends the answer."""
        self._stream.close()
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncGuardedStream:
    """A streamed answer, with asyncio: the events that may go out."""

    def __init__(self, inner: Any, stream: AsyncTextStream) -> None:
        self._inner = inner
        self._stream = stream
        self._iterator = self._events()

    async def _events(self) -> AsyncIterator[Any]:
        events = _Events()
        async with self._stream:
            async for event in self._inner:
                for each in events.released(await self._stream.feed(events.text(event))):
                    yield each
            for each in events.released(await self._stream.end()):
                yield each

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterator

    async def __anext__(self) -> Any:
        return await anext(self._iterator)

    async def close(self) -> None:
        """Ends the answer."""
        await self._stream.close()
        await self._inner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class GuardedSdk:
    """The client object of an SDK, with methods that are judged.

    Methods that would go around the judgement raise `NotImplementedError`.
    """

    def __init__(self, inner: Any, hooks: Hooks, path: str = "") -> None:
        self._pdp_inner = inner
        self._pdp_hooks = hooks
        self._pdp_path = path

    def __getattr__(self, name: str) -> Any:
        hooks, inner = self._pdp_hooks, getattr(self._pdp_inner, name)
        path = f"{self._pdp_path}.{name}" if self._pdp_path else name
        if name in {"with_options", "copy"} and not self._pdp_path:
            return lambda **options: GuardedSdk(inner(**options), hooks)
        format_ = hooks.provider.methods.get(path)
        if format_ is not None:
            guarded = _async_method if isinstance(hooks.client, AsyncClient) else _method
            return guarded(inner, hooks, format_)
        if any(each.startswith(f"{path}.") for each in hooks.provider.methods):
            return GuardedSdk(inner, hooks, path)
        if any(path.startswith(each) for each in hooks.provider.refused):
            return _refuse(path)
        return inner

    def __enter__(self) -> Self:
        self._pdp_inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._pdp_inner.__exit__(*error)

    async def __aenter__(self) -> Self:
        await self._pdp_inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pdp_inner.__aexit__(*error)


def _refuse(path: str) -> NoReturn:
    raise NotImplementedError(f"{path} is not judged by the PDP: use the method `create`")


def _method(inner: Any, hooks: Hooks, format_: str) -> Any:
    client = hooks.client
    assert isinstance(client, Client)  # noqa: S101 - the caller has checked it

    @functools.wraps(inner)
    def create(**kwargs: Any) -> Any:
        asked = judge(client, hooks.asked(format_, kwargs), can_route=True)
        answer = inner(**hooks.permitted(asked, kwargs))
        if kwargs.get("stream"):
            return GuardedStream(answer, client.stream(hooks.events(format_)))
        return answer_of(judge(client, hooks.answered(format_, answer)), answer)

    return create


def _async_method(inner: Any, hooks: Hooks, format_: str) -> Any:
    client = hooks.client
    assert isinstance(client, AsyncClient)  # noqa: S101 - the caller has checked it

    @functools.wraps(inner)
    async def create(**kwargs: Any) -> Any:
        asked = await judge_async(client, hooks.asked(format_, kwargs), can_route=True)
        answer = await inner(**hooks.permitted(asked, kwargs))
        if kwargs.get("stream"):
            return AsyncGuardedStream(answer, await client.stream(hooks.events(format_)))
        judged = await judge_async(client, hooks.answered(format_, answer))
        return answer_of(judged, answer)

    return create


def guard_sdk(
    sdk: Any, provider: Provider, client: Client | AsyncClient, context: Context | None
) -> Any:
    """Returns the client object of an SDK with methods that are judged.

    Raises:
        TypeError: one of the two clients is for asyncio, and the other is not.
    """
    hooks = Hooks(provider, client, context)
    method: Any = functools.reduce(getattr, next(iter(provider.methods)).split("."), sdk)
    if inspect.iscoroutinefunction(inspect.unwrap(method)) != isinstance(client, AsyncClient):
        raise TypeError("use an AsyncClient with an asynchronous SDK client, and a Client else")
    return GuardedSdk(sdk, hooks)
