"""How agentgateway reads the answers of its webhook.

It deserializes an answer into the first of three types that fits: a mask, a rejection, a pass. A
type fits if all its required fields are there and have their types; unknown fields are ignored, and
null stands for a missing optional field. The status of the HTTP response does not count. An answer
that fits none is a fault, after which the gateway goes on if it is configured so.
"""

from __future__ import annotations

from typing import Any, Final

MASK: Final = "mask"
REJECT: Final = "reject"
PASS: Final = "pass"
FAULT: Final = "fault"

_MAX_U16: Final = 65_535


def reading_of(answer: Any) -> str:
    """Returns as what the gateway reads an answer."""
    action = answer.get("action") if isinstance(answer, dict) else None
    if not isinstance(action, dict):
        return FAULT
    if _is_mask(action):
        return MASK
    if _is_rejection(action):
        return REJECT
    return PASS if _is_optional_text(action, "reason") else FAULT


def raw_reading_of(answer: Any) -> str:
    """Returns as what the gateway reads an answer if its message format is `raw`."""
    if not isinstance(answer, dict):
        return FAULT
    messages = answer.get("messages")
    if messages is None:
        return PASS
    return MASK if isinstance(messages, list) else FAULT


def _is_mask(action: dict[str, Any]) -> bool:
    body = action.get("body")
    return (
        isinstance(body, dict)
        and (_is_list(body, "messages", _is_message) or _is_list(body, "choices", _is_choice))
        and _is_optional_text(action, "reason")
    )


def _is_rejection(action: dict[str, Any]) -> bool:
    status = action.get("status_code")
    return (
        isinstance(action.get("body"), str)
        and type(status) is int
        and 0 <= status <= _MAX_U16
        and _is_optional_text(action, "reason")
    )


def _is_list(owner: dict[str, Any], name: str, is_item: Any) -> bool:
    items = owner.get(name)
    return isinstance(items, list) and all(map(is_item, items))


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and _is_message(value.get("message"))


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and isinstance(value.get("content"), str)
    )


def _is_optional_text(owner: dict[str, Any], name: str) -> bool:
    return isinstance(owner.get(name), str | None)
