"""The Model Context Protocol (2025-06-18, 2025-11-25 and 2026-07-28): JSON-RPC messages.

An answer does not name the method of its request. It is read by its members, so that nothing hides
behind another shape; `PartReader.answers` says which method it answers, if the caller knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.placement import SYSTEM, TOOL_RESULT
from pdp.payloads import jsonrpc
from pdp.payloads.payload import PayloadError
from pdp.payloads.pointers import member
from pdp.payloads.shapes import object_of, objects_of, text_of, tool_of
from pdp.payloads.turns import last_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.payloads.reader import PartReader

NAME: Final = "mcp.jsonrpc"

CALL: Final = "tools/call"
SAMPLE: Final = "sampling/createMessage"
ELICIT: Final = "elicitation/create"

_METHODS: Final = frozenset(
    {
        CALL,
        SAMPLE,
        ELICIT,
        "completion/complete",
        "logging/setLevel",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "roots/list",
        "server/discover",
        "subscriptions/listen",
        "tools/list",
    }
)
"""The methods that only MCP has."""

_TASK_METHODS: Final = frozenset({"tasks/get", "tasks/result", "tasks/update", "tasks/cancel"})
"""Methods that A2A has too, or may have; MCP calls the identifier of a task `taskId`."""

_BLOCKS: Final = frozenset(
    {"text", "image", "audio", "resource", "resource_link", "tool_use", "tool_result"}
)
_RESULT_TYPES: Final = frozenset({"complete", "input_required", "task"})
_ANSWERS_OF_USERS: Final = frozenset({"accept", "decline", "cancel"})
_LISTS: Final = {
    "tools": "inputSchema",
    "contents": "uri",
    "messages": "content",
    "prompts": "name",
    "resources": "uri",
    "resourceTemplates": "uriTemplate",
    "roots": "uri",
}
"""The lists that results consist of, with a member that each item has."""


def is_request(document: Any) -> bool:
    """Whether a document is a request or a notification, or a batch of them."""
    return _all(document, jsonrpc.is_request)


def is_response(document: Any) -> bool:
    """Whether a document is an answer, or a batch of them."""
    return _all(document, jsonrpc.is_response)


def looks_like(document: Any, is_output: bool) -> bool:
    """Whether a document is certainly a message of MCP, and of no other use of JSON-RPC.

    Args:
        document: a JSON value.
        is_output: whether answers are meant, not requests.
    """
    if is_output:
        return is_response(document) and any(
            _is_result(message.get("result")) for _, message in _messages(document)
        )
    return is_request(document) and all(map(_has_method, _messages(document)))


def read_request(reader: PartReader) -> None:
    """Reads a request, a notification, or a batch.

    Raises:
        PayloadError: the parameters are no object, or a call has no name of a tool.
    """
    for pointer, message in _messages(reader.document):
        jsonrpc.check_envelope(message, pointer)
        below, params = jsonrpc.params_of(message, pointer)
        method = text_of(message, "method")
        _params(reader, method, params, below)
        if method.startswith("notifications/tasks"):
            _result(reader, params, below, "")


def read_response(reader: PartReader) -> None:
    """Reads an answer, or a batch of answers."""
    for pointer, message in _messages(reader.document):
        jsonrpc.check_envelope(message, pointer)
        jsonrpc.read_error(reader, message, pointer)
        below, result = object_of(message, "result", pointer)
        _result(reader, result, below, reader.answers)


def _messages(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(document, dict):
        yield "", document
    yield from objects_of(document, "")


def _all(document: Any, is_one: Callable[[Any], bool]) -> bool:
    if isinstance(document, list):
        return bool(document) and all(map(is_one, document))
    return is_one(document)


def _has_method(place: tuple[str, dict[str, Any]]) -> bool:
    _, message = place
    method = message["method"]
    _, params = object_of(message, "params", "")
    if method == "initialize":
        return bool(text_of(params, "protocolVersion"))
    if method in _TASK_METHODS:
        return bool(text_of(params, "taskId"))
    return method in _METHODS or method.startswith("notifications/")


def _is_result(result: Any) -> bool:
    if not isinstance(result, dict):
        return False
    _, task = object_of(result, "task", "")
    _, completion = object_of(result, "completion", "")
    return (
        text_of(result, "resultType") in _RESULT_TYPES
        or _has_blocks(result)
        or any(_is_list_of(result.get(name), item) for name, item in _LISTS.items())
        or isinstance(completion.get("values"), list)
        or bool(text_of(task, "taskId"))
        or bool(text_of(result, "taskId") and text_of(result, "status"))
        or text_of(result, "action") in _ANSWERS_OF_USERS
        or (bool(text_of(result, "protocolVersion")) and "serverInfo" in result)
    )


def _has_blocks(result: dict[str, Any]) -> bool:
    content = result.get("content")
    blocks = content if isinstance(content, list) else [content]
    return bool(blocks) and all(
        isinstance(each, dict) and text_of(each, "type") in _BLOCKS for each in blocks
    )


def _is_list_of(items: Any, name: str) -> bool:
    return isinstance(items, list) and all(
        isinstance(each, dict) and name in each for each in items
    )


def _params(reader: PartReader, method: str, params: dict[str, Any], pointer: str) -> None:
    if method == CALL:
        jsonrpc.check_names(params, ("name", "arguments"), pointer)
        _call(reader, params, "arguments", pointer)
    elif method == "prompts/get":
        _structure(reader, params, "arguments", pointer)
    elif method == "completion/complete":
        below, argument = object_of(params, "argument", pointer)
        _text(reader, argument, "value", below, "user")
        below, context = object_of(params, "context", pointer)
        _structure(reader, context, "arguments", below)
    elif method == SAMPLE:
        _text(reader, params, "systemPrompt", pointer, "system", scope=SYSTEM)
        _prompt(reader, params, pointer)
    elif method == ELICIT:
        _text(reader, params, "message", pointer, "")
    below, responses = object_of(params, "inputResponses", pointer)
    for key, response in responses.items():
        if isinstance(response, dict):
            _result(reader, response, member(below, key), SAMPLE)


def _prompt(reader: PartReader, params: dict[str, Any], pointer: str) -> None:
    messages = params.get("messages")
    last = last_answer(messages, _is_answer) if pointer == "/params" else -1
    for below, message in objects_of(messages, f"{pointer}/messages"):
        _message(reader, message, below)
        if below == f"{pointer}/messages/{last}":
            reader.end_of_earlier()
    _tools(reader, params, pointer)


def _is_answer(message: dict[str, Any]) -> bool:
    return text_of(message, "role") == "assistant"


def _result(reader: PartReader, result: dict[str, Any], pointer: str, answers: str) -> None:
    """Reads a result by its members.

    Args:
        reader: what takes the parts.
        result: the result.
        pointer: its place in the document.
        answers: the method that it answers; empty if that is not known.
    """
    if "content" in result:
        _result_content(reader, result, pointer, answers)
    if "structuredContent" in result:
        reader.result(f"{pointer}/structuredContent", result["structuredContent"])
    _tools(reader, result, pointer)
    _text(reader, result, "instructions", pointer, "")
    for below, message in objects_of(result.get("messages"), f"{pointer}/messages"):
        _message(reader, message, below)
    for below, resource in objects_of(result.get("contents"), f"{pointer}/contents"):
        _resource(reader, resource, below, "", "")
    below, requests = object_of(result, "inputRequests", pointer)
    for key, request in requests.items():
        if isinstance(request, dict):
            place, params = jsonrpc.params_of(request, member(below, key))
            _params(reader, text_of(request, "method"), params, place)
    if text_of(result, "taskId"):
        jsonrpc.read_error(reader, result, pointer)
        below, inner = object_of(result, "result", pointer)
        _result(reader, inner, below, CALL)


def _result_content(reader: PartReader, result: dict[str, Any], pointer: str, answers: str) -> None:
    content, below = result["content"], f"{pointer}/content"
    action = text_of(result, "action")
    if action in _ANSWERS_OF_USERS and isinstance(content, dict) and answers != CALL:
        reader.structure(below, content, "user")
    elif answers == SAMPLE or (not answers and _is_sample(result)):
        if pointer == "/result":
            reader.model = text_of(result, "model")
        _content(reader, content, below, text_of(result, "role") or "assistant", "")
    else:
        _content(reader, content, below, "tool", TOOL_RESULT)


def _is_sample(result: dict[str, Any]) -> bool:
    return bool(
        text_of(result, "role")
        and text_of(result, "model")
        and "structuredContent" not in result
        and "isError" not in result
    )


def _message(reader: PartReader, message: dict[str, Any], pointer: str) -> None:
    if "content" in message:
        role = text_of(message, "role")
        _content(reader, message["content"], f"{pointer}/content", role, "")


def _content(reader: PartReader, content: Any, pointer: str, role: str, scope: str) -> None:
    if isinstance(content, list):
        for below, block in objects_of(content, pointer):
            _block(reader, block, below, role, scope)
    elif isinstance(content, dict):
        _block(reader, content, pointer, role, scope)
    elif isinstance(content, str):
        reader.text(pointer, content, role, scope)


def _block(reader: PartReader, block: dict[str, Any], pointer: str, role: str, scope: str) -> None:
    kind = text_of(block, "type")
    if kind not in _BLOCKS or kind == "resource_link":
        reader.structure(pointer, block, role, scope)
        return
    _text(reader, block, "text", pointer, role, scope=scope)
    if kind in ("image", "audio"):
        reader.media(f"{pointer}/data")
    elif kind == "resource":
        below, resource = object_of(block, "resource", pointer)
        _resource(reader, resource, below, role, scope)
    elif kind == "tool_use":
        _call(reader, block, "input", pointer)
    elif kind == "tool_result":
        _content(reader, block.get("content"), f"{pointer}/content", "tool", TOOL_RESULT)
        if "structuredContent" in block:
            reader.result(f"{pointer}/structuredContent", block["structuredContent"])


def _resource(
    reader: PartReader, resource: dict[str, Any], pointer: str, role: str, scope: str
) -> None:
    _text(reader, resource, "text", pointer, role, scope=scope)
    if "blob" in resource:
        reader.media(f"{pointer}/blob")


def _call(reader: PartReader, owner: dict[str, Any], name: str, pointer: str) -> None:
    tool = tool_of(owner, pointer)
    if not tool:
        raise PayloadError(f"{pointer}/name: must be the name of a tool")
    reader.call(f"{pointer}/{name}", tool, owner.get(name))


def _tools(reader: PartReader, owner: dict[str, Any], pointer: str) -> None:
    if "tools" in owner:
        reader.structure(f"{pointer}/tools", owner["tools"], "tools")


def _structure(reader: PartReader, owner: dict[str, Any], name: str, pointer: str) -> None:
    if name in owner:
        reader.structure(f"{pointer}/{name}", owner[name], "user")


def _text(
    reader: PartReader,
    owner: dict[str, Any],
    name: str,
    pointer: str,
    role: str,
    *,
    scope: str = "",
) -> None:
    text = owner.get(name)
    if isinstance(text, str):
        reader.text(f"{pointer}/{name}", text, role, scope)
