"""From LiteLLM's question to the payload that is judged, and from its redactions to texts.

LiteLLM can replace only the texts that it lists. What else is redacted, such as an argument of a
tool call, cannot be carried out, so that the question must be answered with a refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.errors import InvalidArgument, Violation
from pdp.payloads.pointers import keys_of, value_at
from pdp.strictjson.objects import to_text
from pdp.strictjson.parsing import parse
from pdp.strictjson.problems import LONE_SURROGATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.adapters.litellm.messages import GuardrailQuestion

CHAT: Final = "openai.chat_completions"
MCP: Final = "mcp.jsonrpc"

MAX_DEPTH: Final = 100
"""The deepest nesting of messages and tools."""


class BuiltPayload(NamedTuple):
    """A payload, with the places of LiteLLM's texts in it.

    Attributes:
        format: its format.
        document: the payload.
        body: the payload as JSON.
        pointers: the JSON Pointer of each text.
    """

    format: str
    document: dict[str, Any]
    body: str
    pointers: tuple[str, ...]


def build_payload(question: GuardrailQuestion) -> BuiltPayload:
    """Returns the payload of a question.

    Raises:
        InvalidArgument: it is nested too deep, or has half of a surrogate pair.
    """
    _check_depth(question)
    if question.is_response:
        format_, document, pointers = CHAT, *_response(question)
    elif _is_mcp_call(question):
        format_, document, pointers = MCP, *_mcp_call(question)
    else:
        format_, document, pointers = CHAT, *_request(question)
    body = to_text(document)
    try:
        body.encode()
    except UnicodeEncodeError:
        raise InvalidArgument.of(Violation("body", LONE_SURROGATE)) from None
    return BuiltPayload(format_, document, body, tuple(pointers))


def redacted_texts(built: BuiltPayload, redacted: str) -> tuple[str, ...] | None:
    """Returns the texts with the redactions of a payload; None if more than texts is redacted.

    Args:
        built: the payload.
        redacted: its body after redaction.
    """
    document = parse(redacted)
    texts: list[str] = []
    for pointer in built.pointers:
        try:
            text = value_at(document, pointer)
        except KeyError:
            return None
        if not isinstance(text, str):
            return None
        texts.append(text)
        _set(document, pointer, value_at(built.document, pointer))
    return tuple(texts) if document == built.document else None


def _set(document: Any, pointer: str, value: str) -> None:
    *path, last = keys_of(pointer)
    owner = document
    for key in path:
        owner = owner[int(key)] if isinstance(owner, list) else owner[key]
    if isinstance(owner, list):
        owner[int(last)] = value
    else:
        owner[last] = value


def _response(question: GuardrailQuestion) -> tuple[dict[str, Any], list[str]]:
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": text} for text in question.texts
    ]
    pointers = [f"/choices/{index}/message/content" for index in range(len(messages))]
    if question.tool_calls:
        messages.append(
            {"role": "assistant", "content": None, "tool_calls": list(question.tool_calls)}
        )
    if question.images:
        messages.append({"role": "assistant", "content": _image_parts(question)})
    choices = [{"index": index, "message": message} for index, message in enumerate(messages)]
    document: dict[str, Any] = {"choices": choices}
    if question.model:
        document["model"] = question.model
    return document, pointers


def _request(question: GuardrailQuestion) -> tuple[dict[str, Any], list[str]]:
    messages: list[dict[str, Any]]
    places = list(_places(question))
    if [text for _, text in places] == list(question.texts) and _calls(question) == list(
        question.tool_calls
    ):
        # The messages have each text at its place, so that its role and turn count.
        messages = list(question.structured_messages)
        pointers = [pointer for pointer, _ in places]
        missing = set(question.images) - set(_images(question))
        if missing:
            messages = [*messages, {"role": "user", "content": _image_parts(question)}]
    else:
        messages = [{"role": "user", "content": text} for text in question.texts]
        pointers = [f"/messages/{index}/content" for index in range(len(messages))]
        if question.tool_calls:
            messages.append(
                {"role": "assistant", "content": None, "tool_calls": list(question.tool_calls)}
            )
        if question.images:
            messages.append({"role": "user", "content": _image_parts(question)})
        known = frozenset(question.texts)
        messages += (_without(each, known) for each in question.structured_messages)
    document: dict[str, Any] = {"messages": messages}
    if question.model:
        document["model"] = question.model
    if question.tools:
        document["tools"] = list(question.tools)
    return document, pointers


def _places(question: GuardrailQuestion) -> Iterator[tuple[str, str]]:
    """Yields the texts of the messages as LiteLLM lists them, each with its pointer."""
    for index, message in enumerate(question.structured_messages):
        content = message.get("content")
        if isinstance(content, str):
            yield f"/messages/{index}/content", content
        for number, part in enumerate(content if isinstance(content, list) else ()):
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                yield f"/messages/{index}/content/{number}/text", text


def _calls(question: GuardrailQuestion) -> list[Any]:
    calls: list[Any] = []
    for message in question.structured_messages:
        own = message.get("tool_calls")
        calls += own if isinstance(own, list) else ()
    return calls


def _images(question: GuardrailQuestion) -> Iterator[str]:
    for message in question.structured_messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            url = image.get("url") if isinstance(image, dict) else image
            if isinstance(url, str):
                yield url


def _image_parts(question: GuardrailQuestion) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": url}} for url in question.images]


def _is_mcp_call(question: GuardrailQuestion) -> bool:
    """Whether LiteLLM asks about a call of an MCP tool: one tool, and no model.

    Then the texts are the tool's descriptions and the strings in the call's arguments.
    """
    return (
        not question.model
        and not question.structured_messages
        and not question.tool_calls
        and not question.images
        and len(question.tools) == 1
        and bool(_tool_name(question))
    )


def _tool_name(question: GuardrailQuestion) -> str:
    function = question.tools[0].get("function")
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def _mcp_call(question: GuardrailQuestion) -> tuple[dict[str, Any], list[str]]:
    known = frozenset(question.texts)
    params = {
        "name": _tool_name(question),
        "arguments": {"texts": list(question.texts)},
        "_meta": {"tool": _without(question.tools[0], known | {_tool_name(question)})},
    }
    pointers = [f"/params/arguments/texts/{index}" for index in range(len(question.texts))]
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, pointers


def _without(value: Any, texts: frozenset[str]) -> Any:
    """Returns a value without the strings that are judged as texts already."""
    if isinstance(value, dict):
        return {key: _without(item, texts) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, texts) for item in value]
    return None if isinstance(value, str) and value in texts else value


def _check_depth(question: GuardrailQuestion) -> None:
    level: list[Any] = [*question.structured_messages, *question.tools, *question.tool_calls]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise InvalidArgument.of(Violation("body", f"is nested more than {MAX_DEPTH} deep"))
