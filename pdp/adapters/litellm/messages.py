"""The messages of LiteLLM's generic guardrail API: what it asks, and what it understands.

LiteLLM takes an answer of any 2xx status for "go on" unless `action` is `BLOCKED`, and may be
configured to go on after any other status. So every refusal is a 200 with `BLOCKED`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.parsing import decode_json
from pdp.strictjson.problems import LONE_SURROGATE, type_mismatch
from pdp.transport.http.fact_headers import TOKENS, read_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REQUEST: Final = "request"
RESPONSE: Final = "response"

MAX_ITEMS: Final = 10_000
"""Texts, images, messages, tools or tool calls of one message."""

MAX_NAME: Final = 256
"""Characters of a name or an id."""

DOT: Final = "~"
"""Stands for the dots of a confirmation. LiteLLM would replace it in a refusal: it is a JWT."""

_HIDDEN: Final = "[present]"
"""What LiteLLM sends for a header that it does not pass on."""


class GuardrailQuestion(NamedTuple):
    """What LiteLLM asks about.

    Attributes:
        is_response: whether it is about a model's answer, or a tool's.
        texts: the texts that an answer may replace.
        images: addresses of images, or `data:` URLs.
        structured_messages: the request's messages in OpenAI's format; empty if there are none.
        tools: definitions of tools.
        tool_calls: calls of tools.
        model: the model; empty if LiteLLM does not name it.
        identity: the `user_api_key_…` fields of the virtual key that was used.
        call_id: the id of the call, which the client of LiteLLM may have chosen.
        trace_id: the id of the conversation.
        tokens: the confirmations of the client, for a request.
    """

    is_response: bool
    texts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    structured_messages: tuple[dict[str, Any], ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    tool_calls: tuple[dict[str, Any], ...] = ()
    model: str = ""
    identity: Mapping[str, str] = {}
    call_id: str = ""
    trace_id: str = ""
    tokens: tuple[str, ...] = ()


def read_question(body: bytes | bytearray) -> GuardrailQuestion:
    """Returns what a message asks about. Fields that are not in `GuardrailQuestion` are ignored.

    Raises:
        MalformedRequest: the body is not JSON.
        InvalidArgument: a field does not have the type that LiteLLM sends.
    """
    document = decode_json(body)
    if not isinstance(document, dict):
        raise _invalid("body", type_mismatch("an object", document))
    input_type = document.get("input_type")
    if input_type not in (REQUEST, RESPONSE):
        raise _invalid("input_type", f"must be {REQUEST} or {RESPONSE}")
    tokens = _tokens(document)
    return GuardrailQuestion(
        is_response=input_type == RESPONSE,
        texts=_strings(document, "texts"),
        images=_strings(document, "images"),
        structured_messages=_objects(document, "structured_messages"),
        tools=_objects(document, "tools"),
        tool_calls=_objects(document, "tool_calls"),
        model=_string(document, "model", "model"),
        identity=_identity(document),
        call_id=_string(document, "litellm_call_id", "litellm_call_id"),
        trace_id=_string(document, "litellm_trace_id", "litellm_trace_id"),
        # LiteLLM sends the headers of the request with the answer, too.
        tokens=() if input_type == RESPONSE else tokens,
    )


def go_on(holdback: Sequence[int] | None = None) -> dict[str, Any]:
    """Returns the answer that lets everything pass as it is.

    Args:
        holdback: how many characters at the end of each text a stream must not send yet; None for
            requests.
    """
    return {"action": "NONE", **_holdback(holdback)}


def replace_texts(texts: Sequence[str], holdback: Sequence[int] | None = None) -> dict[str, Any]:
    """Returns the answer that replaces the texts; see `go_on`."""
    return {"action": "GUARDRAIL_INTERVENED", "texts": list(texts), **_holdback(holdback)}


def block(reason: str) -> dict[str, Any]:
    """Returns the answer that stops the call. The client reads the reason."""
    return {"action": "BLOCKED", "blocked_reason": reason}


def _holdback(holdback: Sequence[int] | None) -> dict[str, Any]:
    return {} if holdback is None else {"stream_holdback_chars": list(holdback)}


def _identity(document: dict[str, Any]) -> dict[str, str]:
    value = document.get("request_data")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid("request_data", type_mismatch("an object", value))
    names = [name for name in value if name.startswith("user_api_key_")][:MAX_ITEMS]
    return {name: text for name in names if (text := _string(value, name, f"request_data.{name}"))}


def _tokens(document: dict[str, Any]) -> tuple[str, ...]:
    """Returns the tokens in the header of LiteLLM's client."""
    headers = document.get("request_headers")
    if headers is None:
        return ()
    if not isinstance(headers, dict):
        raise _invalid("request_headers", type_mismatch("an object", headers))
    values = [value for name, value in headers.items() if name.lower() == TOKENS]
    if not values:
        return ()
    place, value = f"request_headers.{TOKENS}", values[0]
    if len(values) > 1:
        raise _invalid(place, "stands there twice")
    if not isinstance(value, str):
        raise _invalid(place, type_mismatch("a string", value))
    if value == _HIDDEN:
        reason = f"was not passed on; add {TOKENS} to extra_headers of the guardrail in LiteLLM"
        raise _invalid(place, reason)
    return tuple(read_tokens({TOKENS: value.replace(DOT, ".")}))


def _string(owner: dict[str, Any], name: str, path: str) -> str:
    value = owner.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(path, type_mismatch("a string", value))
    _check_unicode(path, value)
    if len(value) > MAX_NAME:
        raise _invalid(path, f"has more than {MAX_NAME} characters")
    return value


def _strings(owner: dict[str, Any], name: str) -> tuple[str, ...]:
    items = _items(owner, name)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise _invalid(f"{name}[{index}]", type_mismatch("a string", item))
        _check_unicode(f"{name}[{index}]", item)
    return tuple(items)


def _objects(owner: dict[str, Any], name: str) -> tuple[dict[str, Any], ...]:
    items = _items(owner, name)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise _invalid(f"{name}[{index}]", type_mismatch("an object", item))
    return tuple(items)


def _items(owner: dict[str, Any], name: str) -> list[Any]:
    value = owner.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _invalid(name, type_mismatch("an array", value))
    if len(value) > MAX_ITEMS:
        raise _invalid(name, f"has more than {MAX_ITEMS} items")
    return value


def _check_unicode(path: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid(path, LONE_SURROGATE) from None


def _invalid(field: str, reason: str) -> InvalidArgument:
    return InvalidArgument.of(Violation(field, reason))
