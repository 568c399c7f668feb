"""The messages of agentgateway's prompt-guard webhook: what it asks, and what it understands.

The gateway reads an answer by trial: as a mask, then as a rejection, then as a pass, which any
object is. It does not look at the HTTP status. So a rejection has a number as `status_code`, a mask
has strings as contents, and every refusal is a rejection whatever the status.

With the message format `raw`, the gateway sends other messages, and takes any object without
`messages` for a pass. No answer here is one: `messages` is a string in every refusal, so that the
gateway cannot read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.errors import InvalidArgument, Violation
from pdp.strictjson.parsing import decode_json
from pdp.strictjson.problems import type_mismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MESSAGES: Final = 10_000
"""Messages or choices of one message."""

FORBIDDEN: Final = 403
TOO_MANY: Final = 429

_UNREADABLE: Final = {"messages": "refused"}


class Prompt(NamedTuple):
    """What the gateway asks about.

    Attributes:
        is_response: whether it is the answer of a model.
        messages: the messages; of an answer, the message of each choice.
    """

    is_response: bool
    messages: tuple[dict[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """Returns the messages as a payload in OpenAI's format."""
        if not self.is_response:
            return {"messages": list(self.messages)}
        choices = [
            {"index": index, "message": message} for index, message in enumerate(self.messages)
        ]
        return {"choices": choices}


def read_prompt(body: bytes | bytearray, *, is_response: bool) -> Prompt:
    """Returns what a message asks about.

    Args:
        body: the message.
        is_response: whether it is a message about an answer.

    Raises:
        MalformedRequest: the body is not JSON.
        InvalidArgument: it is no such message.
    """
    document = decode_json(body)
    inner = _object(document, "body").get("body")
    if inner is None:
        reason = "is missing; agentgateway must not use the message format raw"
        raise InvalidArgument.of(Violation("body", reason))
    name = "choices" if is_response else "messages"
    items = _object(inner, "body").get(name)
    path = f"body.{name}"
    if not isinstance(items, list):
        raise InvalidArgument.of(Violation(path, type_mismatch("an array", items)))
    if len(items) > MAX_MESSAGES:
        raise InvalidArgument.of(Violation(path, f"has more than {MAX_MESSAGES} items"))
    objects = [_object(item, f"{path}[{index}]") for index, item in enumerate(items)]
    if is_response:
        objects = [
            _object(item.get("message"), f"{path}[{index}].message")
            for index, item in enumerate(objects)
        ]
    return Prompt(is_response, tuple(objects))


def pass_on(reason: str) -> dict[str, Any]:
    """Returns the answer that lets a prompt pass as it is."""
    return {"action": {"reason": reason}}


def mask(prompt: Prompt, redacted: Sequence[Any], reason: str) -> dict[str, Any] | None:
    """Returns the answer that replaces the contents of all messages.

    Args:
        prompt: what was judged.
        redacted: the same messages after redaction.
        reason: why.

    Returns:
        None if the gateway could not read it as a mask, or if more than contents was redacted.
    """
    messages: list[dict[str, str]] = []
    if len(redacted) != len(prompt.messages):
        return None
    for before, after in zip(prompt.messages, redacted, strict=True):
        if not isinstance(after, dict):
            return None
        role, content = after.get("role"), after.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            return None
        if not isinstance(before.get("content"), str):
            return None
        if {**after, "content": ""} != {**before, "content": ""}:
            return None
        messages.append({"role": role, "content": content})
    body: dict[str, Any] = {"messages": messages}
    if prompt.is_response:
        body = {"choices": [{"message": message} for message in messages]}
    return {"action": {"body": body, "reason": reason}}


def reject(status: int, body: str, reason: str) -> dict[str, Any]:
    """Returns the answer that stops a prompt.

    Args:
        status: the HTTP status for the client, from 400 to 599.
        body: the body for the client.
        reason: for the gateway's log.
    """
    return {"action": {"body": body, "status_code": status, "reason": reason}, **_UNREADABLE}


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidArgument.of(Violation(path, type_mismatch("an object", value)))
    return value
