"""OrgPolicyService (seed 000)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from pdp._gen.pdp.v1 import org_policy_pb2 as pb
from pdp.domain.access import ADMIN
from pdp.transport.etag import expectation, shown, stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.org_policy import OrgPolicies
    from pdp.domain.org_policy import OrgPolicy
    from pdp.export.alerts.delivery_check import DeliveryChecker
    from pdp.transport.call import Call, Endpoint

_FRAMEWORKS = ("gdpr", "ai_act", "soc2")
_CONDITIONS = ("risk_level_gte", "action_contains", "pii_detected", "agent_id_eq")


class OrgPolicyServicer:
    """Administers the policy of the tenant that a call acts for."""

    def __init__(self, policies: OrgPolicies, trials: DeliveryChecker) -> None:
        self._policies = policies
        self._trials = trials

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "GetOrgPolicy": self.get,
            "UpdateOrgPolicy": self.update,
            "TestAlertRules": self.test_alerts,
        }

    async def get(self, call: Call, message: Message) -> pb.GetOrgPolicyResponse:
        """Returns the policy."""
        policy = shown(call, await self._policies.get(call.tenant_id))
        return pb.GetOrgPolicyResponse(policy=_policy(policy, call))

    async def update(self, call: Call, message: Message) -> pb.UpdateOrgPolicyResponse:
        """Changes the fields that were sent."""
        asked = cast("pb.UpdateOrgPolicyRequest", message)
        written = await self._policies.update(
            call.tenant_id, call.principal.name, changes_of(asked), expectation(call)
        )
        return pb.UpdateOrgPolicyResponse(policy=_policy(stored(call, written), call))

    async def test_alerts(self, call: Call, message: Message) -> pb.TestAlertRulesResponse:
        """Sends a message to the webhooks of alert rules that says that it is a test."""
        asked = cast("pb.TestAlertRulesRequest", message)
        policy = (await self._policies.get(call.tenant_id)).value
        results = await self._trials.run(
            policy.alert_rules,
            call.tenant_id,
            call.principal.name,
            asked.name if asked.HasField("name") else None,
        )
        return pb.TestAlertRulesResponse(
            results=[
                pb.AlertTestResult(name=each.name, success=each.error is None, error=each.error)
                for each in results
            ]
        )


def changes_of(asked: pb.UpdateOrgPolicyRequest) -> dict[str, Any]:
    """Returns the fields of an `OrgPolicy` that are to be changed, by name."""
    changes = _sent(asked.frameworks, _FRAMEWORKS)
    if asked.HasField("logging_level"):
        changes["logging_level"] = asked.logging_level
    if asked.HasField("alert_rules"):
        changes["alert_rules"] = [_document(rule) for rule in asked.alert_rules.alert_rules]
    blocking = asked.blocking_rules
    if blocking.HasField("enabled"):
        changes["blocking_enabled"] = blocking.enabled
    if blocking.HasField("block_on"):
        changes["block_on"] = blocking.block_on
    return changes


def _sent(message: Message, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _document(rule: pb.AlertRule) -> dict[str, Any]:
    """Returns a rule as it was posted: what is absent in it stays absent."""
    document: dict[str, Any] = {"name": rule.name}
    if rule.HasField("condition"):
        document["condition"] = _sent(rule.condition, _CONDITIONS)
    return {**document, "notify": {"slack_webhook_url": rule.notify.slack_webhook_url}}


def _policy(policy: OrgPolicy, call: Call) -> pb.OrgPolicy:
    is_admin = ADMIN in call.principal.roles
    return pb.OrgPolicy(
        logging_level=policy.logging_level,
        frameworks=pb.OrgFrameworks(gdpr=policy.gdpr, ai_act=policy.ai_act, soc2=policy.soc2),
        alert_rules=[_rule(document, is_admin=is_admin) for document in policy.alert_rules],
        blocking_rules=pb.BlockingRules(enabled=policy.blocking_enabled, block_on=policy.block_on),
    )


def _rule(document: Mapping[str, Any], *, is_admin: bool) -> pb.AlertRule:
    condition = document.get("condition")
    address: str = document["notify"]["slack_webhook_url"]
    return pb.AlertRule(
        name=document["name"],
        condition=None if condition is None else pb.AlertCondition(**condition),
        notify=pb.AlertNotify(slack_webhook_url=address if is_admin else _masked(address)),
    )


def _masked(address: str) -> str:
    """Returns what others than admins see of a webhook: who has its path can post to it.

    A PUT that sends it back is refused, for `…` is in no address.
    """
    return f"https://{urlsplit(address).netloc}/…"
