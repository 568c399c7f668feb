"""The Agent2Agent protocol (1.0 and 0.3): JSON-RPC messages, and events of streams.

Version 1.0 follows the JSON form of protobuf, whose readers take names in snake_case too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.payloads import jsonrpc
from pdp.payloads.shapes import object_of, objects_of, text_of

if TYPE_CHECKING:
    from pdp.payloads.reader import PartReader

NAME: Final = "a2a.jsonrpc"

_METHODS: Final = frozenset(
    {
        "SendMessage",
        "SendStreamingMessage",
        "GetTask",
        "ListTasks",
        "CancelTask",
        "SubscribeToTask",
        "CreateTaskPushNotificationConfig",
        "GetTaskPushNotificationConfig",
        "ListTaskPushNotificationConfigs",
        "DeleteTaskPushNotificationConfig",
        "GetExtendedAgentCard",
        "message/send",
        "message/stream",
        "tasks/resubscribe",
        "tasks/pushNotificationConfig/set",
        "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list",
        "tasks/pushNotificationConfig/delete",
        "agent/getAuthenticatedExtendedCard",
    }
)
"""The methods that only A2A has: those of 1.0, then those of 0.3."""

_TASK_METHODS: Final = frozenset({"tasks/get", "tasks/cancel"})
"""Methods of 0.3 that MCP has too; A2A calls the identifier of a task `id`."""

_KINDS: Final = frozenset({"task", "message", "status-update", "artifact-update"})
_EVENTS: Final = {
    "task": "status",
    "message": "parts",
    "statusUpdate": "status",
    "status_update": "status",
    "artifactUpdate": "artifact",
    "artifact_update": "artifact",
}
"""What a result of 1.0 has as its only member, with a member that this has."""

_CONTEXTS: Final = ("contextId", "context_id")

MAX_CONTEXT: Final = 128
"""The longest identifier of a conversation, in characters; a longer one is text."""


def is_request(document: Any) -> bool:
    """Whether a document is a request."""
    return jsonrpc.is_request(document)


def is_response(document: Any) -> bool:
    """Whether a document is an answer, or an event of a stream."""
    return jsonrpc.is_response(document)


def looks_like(document: Any, is_output: bool) -> bool:
    """Whether a document is certainly a message of A2A, and of no other use of JSON-RPC.

    Args:
        document: a JSON value.
        is_output: whether answers are meant, not requests.
    """
    if is_output:
        return is_response(document) and _is_result(document.get("result"))
    if not is_request(document):
        return False
    method = document["method"]
    _, params = object_of(document, "params", "")
    return method in _METHODS or (method in _TASK_METHODS and bool(text_of(params, "id")))


def read_request(reader: PartReader) -> None:
    """Reads a request.

    Raises:
        PayloadError: the parameters are no object.
    """
    jsonrpc.check_envelope(reader.document, "")
    pointer, params = jsonrpc.params_of(reader.document, "")
    below, message = object_of(params, "message", pointer)
    _content(reader, message, below)


def read_response(reader: PartReader) -> None:
    """Reads an answer, or an event of a stream."""
    jsonrpc.check_envelope(reader.document, "")
    jsonrpc.read_error(reader, reader.document, "")
    pointer, result = object_of(reader.document, "result", "")
    _content(reader, result, pointer)
    for name in _EVENTS:
        below, event = object_of(result, name, pointer)
        _content(reader, event, below)
    for below, task in objects_of(result.get("tasks"), f"{pointer}/tasks"):
        _content(reader, task, below)


def _is_result(result: Any) -> bool:
    if not isinstance(result, dict):
        return False
    if text_of(result, "kind") in _KINDS or _is_task(result):
        return True
    tasks = result.get("tasks")
    return (
        any(member in object_of(result, name, "")[1] for name, member in _EVENTS.items())
        or (isinstance(tasks, list) and bool(tasks) and all(map(_is_task, tasks)))
        or (isinstance(result.get("skills"), list) and isinstance(result.get("capabilities"), dict))
    )


def _is_task(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(text_of(value, "id"))
        and bool(text_of(object_of(value, "status", "")[1], "state"))
    )


def _content(reader: PartReader, owner: dict[str, Any], pointer: str) -> None:
    """Reads a message, a task, or an event: by its members, whichever it is."""
    _read_session(reader, owner)
    _parts(reader, owner, pointer, text_of(owner, "role"))
    below, status = object_of(owner, "status", pointer)
    below, message = object_of(status, "message", below)
    _message(reader, message, below)
    below, artifact = object_of(owner, "artifact", pointer)
    _artifact(reader, artifact, below)
    for below, each in objects_of(owner.get("artifacts"), f"{pointer}/artifacts"):
        _artifact(reader, each, below)
    for below, each in objects_of(owner.get("history"), f"{pointer}/history"):
        _message(reader, each, below)


def _message(reader: PartReader, message: dict[str, Any], pointer: str) -> None:
    _read_session(reader, message)
    _parts(reader, message, pointer, text_of(message, "role"))


def _artifact(reader: PartReader, artifact: dict[str, Any], pointer: str) -> None:
    _parts(reader, artifact, pointer, "agent")


def _read_session(reader: PartReader, owner: dict[str, Any]) -> None:
    for name in _CONTEXTS:
        context = text_of(owner, name)
        if len(context) <= MAX_CONTEXT and not reader.session_id:
            reader.session_id = context


def _parts(reader: PartReader, owner: dict[str, Any], pointer: str, role: str) -> None:
    for below, part in objects_of(owner.get("parts"), f"{pointer}/parts"):
        _part(reader, part, below, role)


def _part(reader: PartReader, part: dict[str, Any], pointer: str, role: str) -> None:
    text = part.get("text")
    if isinstance(text, str):
        reader.text(f"{pointer}/text", text, role)
    if "data" in part:
        reader.structure(f"{pointer}/data", part["data"], role)
    if "raw" in part:
        reader.media(f"{pointer}/raw")
    reader.url_or_media(f"{pointer}/url", part.get("url"))
    below, file = object_of(part, "file", pointer)
    if "bytes" in file:
        reader.media(f"{below}/bytes")
    reader.url_or_media(f"{below}/uri", file.get("uri"))
