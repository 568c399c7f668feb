"""The messages of MCP: JSON-RPC 2.0, one message at a time."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from pdp.adapters import meta_tokens
from pdp.errors import InvalidArgument
from pdp.payloads.payload import MAX_BODY_BYTES, PayloadError
from pdp.payloads.reader import read_json
from pdp.strictjson.objects import to_text
from pdp.strictjson.problems import excerpt
from pdp.transport.beside import run_beside

MAX_MESSAGE_BYTES: Final = MAX_BODY_BYTES
"""The largest message."""

LARGE_MESSAGE_BYTES: Final = 65_536
"""From this size on, a thread reads a message, so that the event loop does not wait."""

MAX_ID: Final = 256
"""The longest id of a request, in characters."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
DENIED: Final = -32001
"""The code of a denial, as in the AuthZEN binding for MCP (COAZ-MCP)."""

HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

_REQUEST_NAMES: Final = frozenset({"jsonrpc", "id", "method", "params"})
_ANSWER_NAMES: Final = frozenset({"jsonrpc", "id", "result", "error"})

MessageId = str | int


class McpMessage(NamedTuple):
    """A request, a notification or an answer.

    Attributes:
        text: the message as it was sent.
        document: the parsed message.
        id: of a request or an answer; None for a notification, and for an error without an id.
        method: of a request or a notification; empty for an answer.
    """

    text: str
    document: dict[str, Any]
    id: MessageId | None
    method: str = ""

    @property
    def is_request(self) -> bool:
        """Whether it asks for an answer."""
        return bool(self.method) and self.id is not None

    @property
    def is_notification(self) -> bool:
        """Whether it asks for no answer."""
        return bool(self.method) and self.id is None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of a request or a notification; empty if it has none."""
        params: dict[str, Any] = self.document.get("params") or {}
        return params

    @property
    def result(self) -> Any:
        """The result of an answer; None for an error."""
        return self.document.get("result")


class MalformedMessage(Exception):
    """What was received is no message of MCP.

    Attributes:
        code: the code of the error that the protocol has for it.
        message: what is wrong.
        id: the id of the request, if it could be read.
    """

    def __init__(self, code: int, message: str, message_id: MessageId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = message_id


async def read_aside(raw: bytes | bytearray) -> McpMessage:
    """Returns the message in `raw`; a thread reads a large one.

    Raises:
        MalformedMessage: see `read_message`.
    """
    if len(raw) < LARGE_MESSAGE_BYTES:
        return read_message(raw)
    return await asyncio.to_thread(read_message, raw)


def read_message(raw: bytes | bytearray) -> McpMessage:
    """Returns the message in `raw`.

    Raises:
        MalformedMessage: it is no message, or could be read in more than one way.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MalformedMessage(
            INVALID_REQUEST, f"the message is larger than {MAX_MESSAGE_BYTES} bytes"
        )
    try:
        text = raw.decode()
        document = read_json(text)
    except UnicodeDecodeError as error:
        raise MalformedMessage(PARSE_ERROR, f"byte {error.start} is not UTF-8") from None
    except PayloadError as error:
        raise MalformedMessage(PARSE_ERROR, f"the message {error}") from None
    return _message(text, document)


class TokensTaken(NamedTuple):
    """A request of a client without its confirmations, and these.

    Attributes:
        message: the request that is judged and passed on.
        tokens: the confirmations.
    """

    message: McpMessage
    tokens: tuple[str, ...] = ()


async def take_tokens(message: McpMessage) -> TokensTaken:
    """Takes the confirmations out of a request; see `pdp.adapters.meta_tokens`.

    Raises:
        MalformedMessage: what the request has in their place is none.
    """
    if not meta_tokens.has_tokens(message.params):
        return TokensTaken(message)
    text, size = message.text, len(message.text)
    try:
        taken = await run_beside(size, meta_tokens.take_tokens, text, message.params, "/params")
    except InvalidArgument as error:
        raise MalformedMessage(INVALID_PARAMS, error.message, message.id) from None
    document = {**message.document, "params": taken.params}
    return TokensTaken(message._replace(text=taken.text, document=document), taken.tokens)


def _message(text: str, document: Any) -> McpMessage:
    if isinstance(document, list):
        raise MalformedMessage(INVALID_REQUEST, "batches are not supported: send one message")
    if not isinstance(document, dict):
        raise MalformedMessage(INVALID_REQUEST, "the message is not a JSON object")
    message_id = _id_of(document)
    method = document.get("method")
    if "method" in document:
        if not isinstance(method, str) or not method:
            raise MalformedMessage(
                INVALID_REQUEST, "method: must be the name of a method", message_id
            )
        if not isinstance(document.get("params", {}), dict):
            raise MalformedMessage(INVALID_PARAMS, "params: must be an object", message_id)
        names = _REQUEST_NAMES
    else:
        _check_answer(document, message_id)
        method, names = "", _ANSWER_NAMES
    _check_envelope(document, names, message_id)
    return McpMessage(text, document, message_id, method)


def _check_answer(document: dict[str, Any], message_id: MessageId | None) -> None:
    if ("result" in document) == ("error" in document):
        raise MalformedMessage(
            INVALID_REQUEST,
            "the message must have one of method, result and error",
            message_id,
        )
    if message_id is None and "result" in document:
        raise MalformedMessage(INVALID_REQUEST, "id: an answer must have one")
    kind = "result" if "result" in document else "error"
    if not isinstance(document[kind], dict):
        raise MalformedMessage(INVALID_REQUEST, f"{kind}: must be an object", message_id)


def _check_envelope(
    document: dict[str, Any], names: frozenset[str], message_id: MessageId | None
) -> None:
    if document.get("jsonrpc") != "2.0":
        raise MalformedMessage(INVALID_REQUEST, 'jsonrpc: must be "2.0"', message_id)
    for name in document:
        if name not in names:
            raise MalformedMessage(
                INVALID_REQUEST, f'the message has the unknown member "{excerpt(name)}"', message_id
            )


def _id_of(document: dict[str, Any]) -> MessageId | None:
    """Returns the id of a message; None if it has none.

    Raises:
        MalformedMessage: the id is no string and no integer.
    """
    value = document.get("id")
    if value is None and ("id" not in document or "error" in document):
        return None
    if isinstance(value, str) and len(value) <= MAX_ID:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MalformedMessage(
        INVALID_REQUEST, f"id: must be an integer or a string of at most {MAX_ID} characters"
    )


def error_answer(message_id: MessageId | None, code: int, message: str, data: Any = None) -> str:
    """Returns an answer with an error, as text.

    Args:
        message_id: of the request; None if it could not be read.
        code: of the error.
        message: for people.
        data: for programs; None for none.
    """
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return to_text({"jsonrpc": "2.0", "id": message_id, "error": error})
