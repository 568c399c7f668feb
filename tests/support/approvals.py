"""A tenant with people and programs that ask for approvals and answer them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.authenticated_servers import AuthenticatedServer

DELETE: Final = "db:prod:delete"
"""The action that needs an approval."""

ESCALATE: Final = {"type": "ESCALATE", "message": "Deleting in production"}

PROMPT: Final = {"type": "PROMPT", "prompt_message": "Go on?"}

PACKS: Final = "/api/admin/policy-packs"
CHAINS: Final = "/api/admin/policy-chains"
CHANGES: Final = "/api/admin/audit/changes"

_numbers: Final = itertools.count()


@dataclass
class ApprovalTenant:
    """A tenant whose chain escalates `DELETE`; Bob is an approver, and Ann is one who also asks."""

    server: AuthenticatedServer
    tenant: str
    rules: Sequence[Mapping[str, Any]] = (
        {"name": "deleting", "conditions": {"actions": [DELETE]}, "action": ESCALATE},
    )
    rule_ids: list[str] = field(default_factory=list)
    pack_id: str = ""
    revision: int = 0

    def __post_init__(self) -> None:
        self.editor = self.server.key("editor", self.tenant)
        self.pep = self.server.key("pep", self.tenant)
        self.ann = self.person("ann")
        self.bob = self.person("bob")
        self.pack_id = self.write("POST", PACKS, {"name": "prod"})["id"]
        for rule in self.rules:
            self.add_rule(rule)
        self.write("PUT", f"{CHAINS}/org", {"packs": [{"id": self.pack_id}]})

    def person(self, name: str, role: str = "approver") -> str:
        """Returns the key of a person."""
        key: str = self.server.new_key(role, self.tenant, owner=name)["key"]
        return key

    def write(self, method: str, path: str, body: Any) -> Any:
        """Writes a policy as an editor; returns the answer. Decisions wait until it is in force."""
        answer = self.server.request(method, path, self.editor, json=body)
        assert answer.is_success, answer.text
        self.revision = int(answer.headers["x-pdp-revision"])
        return answer.json() if answer.content else None

    def add_rule(self, rule: Mapping[str, Any]) -> str:
        """Adds a rule to the chain; returns its id."""
        rule_id: str = self.write("POST", f"{PACKS}/{self.pack_id}/rules", rule)["id"]
        self.rule_ids.append(rule_id)
        return rule_id

    def change_rule(self, index: int, rule: Mapping[str, Any]) -> None:
        """Replaces fields of a rule."""
        path = f"{PACKS}/{self.pack_id}/rules/{self.rule_ids[index]}"
        self.write("PUT", path, rule)

    def request(self, **fields: Any) -> dict[str, Any]:
        """Returns a request that needs an approval: Ann's agent deletes a row."""
        return {
            "action": DELETE,
            "tool": "sql",
            "arguments": {"id": 7},
            "subject": {"user_id": "ann", "agent_id": "bot"},
            "min_revision": self.revision,
            **fields,
        }

    def decide(self, *tokens: str, key: str = "", **fields: Any) -> dict[str, Any]:
        """Returns the decision on `request`, with tokens."""
        body = {**self.request(**fields), "tokens": list(tokens)}
        answer = self.server.request("POST", "/v1/decide", key or self.pep, json=body)
        assert answer.is_success, answer.text
        decision: dict[str, Any] = answer.json()
        return decision

    def answer(self, verb: str, approval_id: str, key: str, reason: str = "ticket 12") -> Any:
        """Answers or cancels an approval; returns the status and the body."""
        answer = self.server.request(
            "POST", f"/v1/approvals/{approval_id}/{verb}", key, json={"reason": reason}
        )
        return answer.status_code, answer.json()

    def approve(self, decision: Mapping[str, Any], key: str = "") -> None:
        """Approves what a decision waits for, as Bob or with another key."""
        status, body = self.answer("approve", approval_of(decision)["approval_id"], key or self.bob)
        assert status == 200, body

    def approval(self, approval_id: str, key: str = "") -> dict[str, Any]:
        """Returns an approval."""
        path = f"/v1/approvals/{approval_id}"
        approval: dict[str, Any] = self.server.request("GET", path, key or self.bob).json()
        return approval


def new_tenant(server: AuthenticatedServer, *rules: Mapping[str, Any]) -> ApprovalTenant:
    """Returns a tenant of its own, with these rules or with the one that escalates."""
    name = f"tenant-{next(_numbers)}"
    return ApprovalTenant(server, name, rules) if rules else ApprovalTenant(server, name)


def escalation(word: str, **action: Any) -> dict[str, Any]:
    """Returns a rule that escalates texts with a word."""
    return {"name": word, "conditions": {"content_regex": word}, "action": {**ESCALATE, **action}}


def approval_of(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the APPROVAL obligation of a decision."""
    assert decision["outcome"] == "ESCALATE", decision
    assert not decision["allowed"]
    (obligation,) = (each for each in decision["obligations"] if each["type"] == "APPROVAL")
    return dict(obligation)


def confirmation_of(decision: Mapping[str, Any]) -> str:
    """Returns the confirmation token of a decision."""
    tokens = {each["confirmation"] for each in decision["obligations"] if each["type"] == "PROMPT"}
    (token,) = tokens
    return str(token)


def is_blocked(decision: Mapping[str, Any], reason: str) -> bool:
    """Whether a decision is a BLOCK for a reason, and has nothing to send on."""
    return (
        decision["outcome"] == "BLOCK"
        and not decision["allowed"]
        and decision["reason_code"] == reason
        and decision["obligations"] == []
    )
