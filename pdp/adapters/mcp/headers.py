"""The headers of version 2026-07-28, which repeat parts of the body.

The body is judged. What stands between the proxy and the server may go by the headers, so a request
whose headers differ from its body is refused, and the server gets headers that are made from the
body that it gets.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pdp.adapters.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    McpMessage,
)
from pdp.adapters.mcp.methods import MODERN, NAMED, SUPPORTED, TOOLS_CALL, version_of
from pdp.strictjson.problems import excerpt

VERSION_HEADER: Final = "mcp-protocol-version"
METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"
PARAM_PREFIX: Final = "mcp-param-"
ANNOTATION: Final = "x-mcp-header"

MAX_POSITIONS: Final = 10_000
"""Properties of a schema, and values of arguments, that are looked at."""

MAX_NUMBER: Final = 64
"""The longest number in a header, in characters."""

_VISIBLE: Final = re.compile(r"[\x20-\x7E\t]*")
_PLAIN: Final = re.compile(r"(?! )[\x20-\x7E]*(?<! )")
_SENTINEL: Final = re.compile(r"=\?base64\?(.*)\?=")

Headers = Sequence[tuple[str, str]]
"""Names in lower case, with values."""


class HeaderFault(Exception):
    """The headers of a request do not fit its body.

    Attributes:
        code: the JSON-RPC error code.
        message: what does not fit; without values.
        data: of the error; None for none.
    """

    def __init__(
        self, message: str, code: int = HEADER_MISMATCH, data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def check_headers(message: McpMessage, headers: Headers, schema: Any = None) -> None:
    """Checks that the headers of a request say the same as its body.

    Args:
        message: the body.
        headers: of the request.
        schema: the input schema of the tool that the request calls; None if it is not known.

    Raises:
        HeaderFault: they do not.
    """
    given = _own_headers(headers)
    _check_version(message, given.get(VERSION_HEADER, ""))
    if METHOD_HEADER in given and given[METHOD_HEADER] != message.method:
        raise HeaderFault("Mcp-Method differs from the method in the body")
    if NAME_HEADER in given and decoded(given[NAME_HEADER]) != _name_of(message):
        raise HeaderFault("Mcp-Name differs from the name or uri in the body")
    _check_params(message, given, schema)
    if not message.is_request or version_of(message) < MODERN:
        return
    if METHOD_HEADER not in given:
        raise HeaderFault("Mcp-Method is missing")
    if NAME_HEADER not in given and message.method in NAMED:
        raise HeaderFault("Mcp-Name is missing")


def headers_for(message: McpMessage, headers: Headers, schema: Any = None) -> list[tuple[str, str]]:
    """Returns the headers that the server gets for a message, made from its body.

    Args:
        message: the message as it is passed on.
        headers: those of the client, which fit the message that it has sent.
        schema: see `check_headers`.

    Raises:
        HeaderFault: a header repeats what was redacted.
    """
    given = _own_headers(headers)
    own = [(name, given[name]) for name in (VERSION_HEADER,) if name in given]
    if METHOD_HEADER in given:
        own.append((METHOD_HEADER, message.method))
    if NAME_HEADER in given:
        own.append((NAME_HEADER, encoded(str(_name_of(message)))))
    if schema is not None:
        is_modern = version_of(message) >= MODERN
        return own + (_annotated_headers(message, schema) if is_modern else [])
    _check_params(message, given, None)
    return own + [(name, value) for name, value in given.items() if name.startswith(PARAM_PREFIX)]


def encoded(value: str) -> str:
    """Returns a value as a header has it: in Base64 if it would not survive otherwise."""
    if _PLAIN.fullmatch(value) and not _SENTINEL.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decoded(value: str) -> str | None:
    """Returns the value that a header has; None if its Base64 is not valid."""
    match = _SENTINEL.fullmatch(value)
    if match is None:
        return value
    try:
        raw = base64.b64decode(match[1], validate=True)
        text = raw.decode()
    except (binascii.Error, ValueError):
        return None
    return text if base64.b64encode(raw).decode() == match[1] else None


def _own_headers(headers: Headers) -> dict[str, str]:
    """Returns the headers of MCP by their names.

    Raises:
        HeaderFault: one stands there twice, or has characters that headers must not have.
    """
    own: dict[str, str] = {}
    for name, value in headers:
        if name in (VERSION_HEADER, METHOD_HEADER, NAME_HEADER) or name.startswith(PARAM_PREFIX):
            if name in own:
                raise HeaderFault(f"{name} stands there twice")
            if not _VISIBLE.fullmatch(value):
                raise HeaderFault(f"{name} has characters that are not visible ASCII")
            own[name] = value
    return own


def _check_version(message: McpMessage, header: str) -> None:
    body = version_of(message)
    for version in (header, body):
        if version and version not in SUPPORTED:
            data = {"supported": list(SUPPORTED), "requested": excerpt(version)}
            raise HeaderFault("Unsupported protocol version", UNSUPPORTED_VERSION, data)
    if header >= MODERN and message.is_request and not body:
        raise HeaderFault(
            "the parameters have no _meta with the protocol version", code=INVALID_PARAMS
        )
    if body and body != header:
        raise HeaderFault("MCP-Protocol-Version differs from the version in the body")


def _name_of(message: McpMessage) -> Any:
    """Returns what `Mcp-Name` repeats; None if the request names nothing."""
    return message.params.get(NAMED.get(message.method, "taskId"))


def _check_params(message: McpMessage, given: Mapping[str, str], schema: Any) -> None:
    arguments = message.params.get("arguments")
    arguments = arguments if isinstance(arguments, dict) else {}
    known = _annotations(schema)
    for name, value in given.items():
        if not name.startswith(PARAM_PREFIX):
            continue
        if message.method != TOOLS_CALL:
            raise HeaderFault(f"{name} stands in a request that calls no tool")
        text = decoded(value)
        if schema is None:
            fits = text is not None and any(_equal(text, each) for each in _scalars(arguments))
        elif name in known:
            argument = _value_at(arguments, known[name])
            fits = text is not None and argument is not None and _equal(text, argument)
        else:
            fits = True  # it is not passed on
        if not fits:
            raise HeaderFault(f"{name} differs from the arguments in the body")
    if version_of(message) < MODERN:
        return
    for name, path in known.items():
        if name not in given and _is_scalar(_value_at(arguments, path)):
            raise HeaderFault(f"{name} is missing")


def _annotated_headers(message: McpMessage, schema: Any) -> list[tuple[str, str]]:
    arguments = message.params.get("arguments")
    if message.method != TOOLS_CALL or not isinstance(arguments, dict):
        return []
    values = {name: _value_at(arguments, path) for name, path in _annotations(schema).items()}
    return [
        (name, encoded(_rendered(value))) for name, value in values.items() if _is_scalar(value)
    ]


def _annotations(schema: Any) -> dict[str, tuple[str, ...]]:
    """Returns the headers that a schema asks for, each with the path of its argument."""
    found: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), schema)]
    for _ in range(MAX_POSITIONS):
        if not waiting:
            break
        path, node = waiting.pop()
        if not isinstance(node, dict):
            continue
        token = node.get(ANNOTATION)
        if path and isinstance(token, str):
            found[PARAM_PREFIX + token.lower()] = path
        properties = node.get("properties")
        if isinstance(properties, dict):
            waiting += [((*path, name), below) for name, below in properties.items()]
    return found


def _value_at(arguments: Any, path: Sequence[str]) -> Any:
    value = arguments
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _scalars(arguments: Mapping[str, Any]) -> list[Any]:
    """Returns the strings, numbers and booleans of arguments."""
    scalars: list[Any] = []
    waiting: list[Any] = [arguments]
    for _ in range(MAX_POSITIONS):
        if not waiting:
            break
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif _is_scalar(value):
            scalars.append(value)
    return scalars


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _rendered(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(text: str, value: Any) -> bool:
    """Whether a header has the value of an argument. Numbers are compared as numbers."""
    if isinstance(value, (str, bool)):
        return text == _rendered(value)
    try:
        return len(text) <= MAX_NUMBER and _number(text) == value
    except ValueError:
        return False


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)
