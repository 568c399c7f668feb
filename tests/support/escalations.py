"""A rule that demands the approval of a second person, and a request that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

ACTION: Final = "db:prod:delete"

REQUEST: Final[dict[str, Any]] = {
    "action": ACTION,
    "tool": "sql",
    "arguments": {"id": 7},
    "subject": {"user_id": "ann", "agent_id": "bot"},
}
"""A request that the rule holds."""

MESSAGE: Final = "Deleting in production"


ESCALATE: Final[dict[str, Any]] = {"type": "ESCALATE", "message": MESSAGE}
PROMPT: Final[dict[str, Any]] = {"type": "PROMPT", "prompt_message": MESSAGE}
"""Actions of the rule."""


def add_rule(send: Callable[..., httpx2.Response], action: Any = ESCALATE) -> None:
    """Adds a chain rule by which `ACTION` needs an approval, or a confirmation.

    Args:
        send: sends an HTTP request of an editor: takes the method, the path and `json`.
        action: the action of the rule.
    """
    pack = send("POST", "/api/admin/policy-packs", json={"name": "production"}).json()
    rule = {
        "name": "deleting",
        "sequence": 1,
        "conditions": {"actions": [ACTION]},
        "action": action,
    }
    path = f"/api/admin/policy-packs/{pack['id']}/rules"
    send("POST", path, json=rule).raise_for_status()
    chain = {"packs": [{"id": pack["id"]}]}
    send("PUT", "/api/admin/policy-chains/org", json=chain).raise_for_status()


def obligation(decision: dict[str, Any], type_: str = "APPROVAL") -> dict[str, Any]:
    """Returns the only obligation of a type of a decision."""
    (found,) = (each for each in decision["obligations"] if each["type"] == type_)
    one: dict[str, Any] = found
    return one
