"""A decorator for tools: judges each call before it runs, and its result afterwards."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from pdp_client.async_client import AsyncClient
from pdp_client.enforcement import Denied
from pdp_client.judging import judge, judge_async
from pdp_client.requests import RequestLike, request_of

if TYPE_CHECKING:
    from pdp_client._gen.pdp.v1 import decide_pb2 as pb
    from pdp_client.client import Client
    from pdp_client.enforcement import Permit
    from pdp_client.results import Decision

P = ParamSpec("P")
R = TypeVar("R")

Context = RequestLike | Callable[[], RequestLike]
"""What is known of every call, for instance the subject; or a function that returns it."""


@dataclass(frozen=True)
class GuardedTool:
    """What the guard knows of a tool.

    Attributes:
        guard: the guard.
        name: the name of the tool.
        action: the action that its calls are; empty for none.
        check_result: whether its results are judged, too.
        signature: the parameters of the function.
    """

    guard: Guard
    name: str
    action: str
    check_result: bool
    signature: inspect.Signature

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> pb.DecideRequest:
        """Returns the request for a call."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = {name: value for name, value in bound.arguments.items() if name != "self"}
        request = self.guard.request()
        request.tool, request.action = self.name, self.action
        request.arguments_json = json_of(arguments)
        return request

    def apply(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        request: pb.DecideRequest,
        permit: Permit,
    ) -> inspect.BoundArguments:
        """Returns the arguments that the tool may get.

        Raises:
            TypeError: an argument was changed that is not a JSON value.
        """
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        before = json.loads(request.arguments_json)
        after = permit.arguments or {}
        if before.keys() != after.keys():
            raise TypeError("the decision renames an argument, which a function cannot follow")
        for name, value in after.items():
            if value == before[name]:
                continue
            if not is_json(bound.arguments[name]):
                raise TypeError(f"the argument {name} must be redacted, and is not a JSON value")
            original = bound.arguments[name]
            bound.arguments[name] = tuple(value) if isinstance(original, tuple) else value
        return bound

    def result(self, value: Any) -> pb.DecideRequest:
        """Returns the request for a result."""
        request = self.guard.request()
        request.tool, request.direction = self.name, "output"
        request.arguments_json = json_of({"result": value})
        return request

    def applied(self, value: Any, request: pb.DecideRequest, called: Permit, permit: Permit) -> Any:
        """Returns the result that the caller may get.

        Raises:
            TypeError: the result was changed, and is not a JSON value.
        """
        before = json.loads(request.arguments_json)["result"]
        after = called.mask((permit.arguments or {}).get("result"))
        if after == before:
            return value
        if not is_json(value):
            raise TypeError("the result must be redacted, and is not a JSON value")
        return after


class Guard:
    """Judges the calls of tools, and their results.

        guard = pdp.Guard(client, {"subject": {"agent_id": "ops-bot"}})

        @guard.tool
        def search(query: str) -> list[str]: ...

    A call raises `Denied` or `Held` if it is stopped or must wait for a person, and `CallFailed` if
    the server refuses the request. The tool does not run then. Arguments and results are redacted
    as the decision says.
    """

    def __init__(self, client: Client | AsyncClient, context: Context | None = None) -> None:
        """Stores how to ask.

        Args:
            client: a `Client` for functions, an `AsyncClient` for coroutine functions.
            context: what is known of every call; or a function that returns it for the current one.
        """
        self._client = client
        self._context = context

    def request(self) -> pb.DecideRequest:
        """Returns a request with what is known of every call."""
        context = self._context() if callable(self._context) else self._context
        return request_of(context or {})

    @overload
    def tool(self, function: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def tool(
        self, *, name: str = "", action: str = "", check_result: bool = True
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def tool(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str = "",
        action: str = "",
        check_result: bool = True,
    ) -> Any:
        """Decorates the function of a tool.

        Args:
            function: the function, or coroutine function.
            name: the name of the tool; by default, that of the function.
            action: the action that its calls are, as `domain:scope:verb`.
            check_result: whether to judge its results, too.

        Raises:
            TypeError: the function does not fit the client.
        """
        if function is None:
            return functools.partial(self.tool, name=name, action=action, check_result=check_result)
        signature = inspect.signature(function)
        tool_name = name or getattr(function, "__name__", "")
        tool = GuardedTool(self, tool_name, action, check_result, signature)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{tool_name} is a generator: return its result as a whole")
        is_async = inspect.iscoroutinefunction(function)
        if is_async != isinstance(self._client, AsyncClient):
            kind = "an AsyncClient" if is_async else "a Client"
            raise TypeError(f"{tool_name} needs a guard with {kind}")
        if is_async:
            return _async_wrapper(tool, function, cast("AsyncClient", self._client))
        return _wrapper(tool, function, cast("Client", self._client))


def _wrapper(tool: GuardedTool, function: Callable[P, R], client: Client) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        decision, called = judge(client, tool.call(args, kwargs), can_mask=True)
        bound = _applied(decision, lambda: tool.apply(args, kwargs, decision.request, called))
        value = function(*bound.args, **bound.kwargs)
        if not tool.check_result:
            return cast("R", _applied(decision, lambda: masked(value, called)))
        judged, permit = judge(client, tool.result(value))
        return cast(
            "R", _applied(judged, lambda: tool.applied(value, judged.request, called, permit))
        )

    return wrapper


def _async_wrapper(tool: GuardedTool, function: Callable[..., Any], client: AsyncClient) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        decision, called = await judge_async(client, tool.call(args, kwargs), can_mask=True)
        bound = _applied(decision, lambda: tool.apply(args, kwargs, decision.request, called))
        value = await function(*bound.args, **bound.kwargs)
        if not tool.check_result:
            return _applied(decision, lambda: masked(value, called))
        judged, permit = await judge_async(client, tool.result(value))
        return _applied(judged, lambda: tool.applied(value, judged.request, called, permit))

    return wrapper


def _applied(decision: Decision, apply: Callable[[], R]) -> R:
    try:
        return apply()
    except TypeError as error:
        raise Denied(decision.raw, str(error)) from None


def masked(value: Any, permit: Permit) -> Any:
    """Returns a result without the fields that the decision on the call masks.

    Raises:
        TypeError: it has such a field, and is not a JSON value.
    """
    if not permit.masked_fields:
        return value
    before = json.loads(json_of(value))
    after = permit.mask(before)
    if after == before:
        return value
    if not is_json(value):
        raise TypeError("the result has fields that must be masked, and is not a JSON value")
    return after


def is_json(value: Any) -> bool:
    """Returns whether a value has a form in JSON that it can be made from again."""
    if isinstance(value, Mapping):
        return type(value) is dict and all(map(is_json, value.values()))
    if isinstance(value, list | tuple):
        return type(value) in {list, tuple} and all(map(is_json, value))
    return value is None or type(value) in {str, int, float, bool}


def json_of(value: Any) -> str:
    """Returns a value as JSON. What has no form in JSON is judged by what it shows."""
    return json.dumps(value, ensure_ascii=False, default=_shown)


def _shown(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):  # a model of pydantic
        return dump(mode="json")
    fields = getattr(value, "__dataclass_fields__", None)
    if fields and not isinstance(value, type):
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="replace")
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return str(value)
