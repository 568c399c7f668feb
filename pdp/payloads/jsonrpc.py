"""JSON-RPC 2.0: the envelope of MCP and A2A."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.payloads.payload import PayloadError
from pdp.payloads.shapes import object_of, text_of
from pdp.strictjson.problems import excerpt, type_mismatch

if TYPE_CHECKING:
    from collections.abc import Collection

    from pdp.payloads.reader import PartReader

_NAMES: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})


def is_request(message: Any) -> bool:
    """Whether a value is a request or a notification."""
    return (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and "result" not in message
        and "error" not in message
    )


def is_response(message: Any) -> bool:
    """Whether a value is the answer to a request: a result or an error."""
    return (
        isinstance(message, dict)
        and message.get("jsonrpc") == "2.0"
        and "method" not in message
        and ("result" in message or "error" in message)
    )


def check_envelope(message: dict[str, Any], pointer: str) -> None:
    """Checks the names of a message's members.

    Args:
        message: a request or an answer.
        pointer: its place in the document.

    Raises:
        PayloadError: a receiver could take another member for one that is read here.
    """
    check_names(message, _NAMES, pointer)


def params_of(message: dict[str, Any], pointer: str) -> tuple[str, dict[str, Any]]:
    """Returns the parameters of a request, with their pointer; empty if it has none.

    Raises:
        PayloadError: they are no object. MCP and A2A name all their parameters.
    """
    params = message.get("params")
    if params is not None and not isinstance(params, dict):
        raise PayloadError(f"{pointer}/params: {type_mismatch('an object', params)}")
    return f"{pointer}/params", params or {}


def read_error(reader: PartReader, message: dict[str, Any], pointer: str) -> None:
    """Reads the error of an answer, if it has one.

    Args:
        reader: what takes them.
        message: an answer.
        pointer: its place in the document.
    """
    below, error = object_of(message, "error", pointer)
    text = text_of(error, "message")
    if text:
        reader.text(f"{below}/message", text, "")
    data = error.get("data")
    if isinstance(data, str):
        reader.text(f"{below}/data", data, "")
    elif data is not None:
        reader.structure(f"{below}/data", data, "")


def check_names(owner: dict[str, Any], names: Collection[str], pointer: str) -> None:
    """Refuses names that some receivers take for others, because they ignore case.

    Args:
        owner: the object that has the names.
        names: the names that are read, in lower case.
        pointer: the place of the object.

    Raises:
        PayloadError: there is such a name.
    """
    for name in owner:
        folded = name.casefold()
        if folded in names and name not in names:
            raise PayloadError(
                f'{pointer or "/"}: has the name "{excerpt(name)}"; write it as "{folded}"'
            )
