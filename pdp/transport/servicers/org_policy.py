"""OrgPolicyService (the org policy API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from pdp._gen.pdp.v1 import org_policy_pb2 as pb
from pdp.domain.access import ADMIN
from pdp.transport.etag import expectation, with_etag, with_new_etag
from pdp.transport.servicers.fields import present_fields, to_optional_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.org_policy import OrgPolicies
    from pdp.domain.org_policy import OrgPolicy
    from pdp.export.alerts.delivery_check import DeliveryChecker
    from pdp.export.dead_letters import DeadLetters
    from pdp.export.spooled import AlertDelivery
    from pdp.transport.call import Call, Endpoint

_FRAMEWORKS = ("gdpr", "ai_act", "soc2")
_CONDITIONS = (
    "risk_level_gte",
    "action_contains",
    "pii_detected",
    "agent_id_eq",
    "expression",
    "approval_requested",
)


class OrgPolicyServicer:
    """Administers the org policy of the call's tenant, and tests its alert rules."""

    def __init__(
        self, policies: OrgPolicies, trials: DeliveryChecker, deliveries: DeadLetters
    ) -> None:
        """Args:
        policies: the use cases.
        trials: sends test deliveries.
        deliveries: knows what was not delivered.
        """
        self._policies = policies
        self._trials = trials
        self._deliveries = deliveries

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {
            "GetOrgPolicy": self.get,
            "UpdateOrgPolicy": self.update,
            "TestAlertRules": self.test_alerts,
            "GetAlertHealth": self.alert_health,
        }

    async def get(self, call: Call, message: Message) -> pb.GetOrgPolicyResponse:
        """Returns the policy."""
        policy = with_etag(call, await self._policies.get(call.tenant_id))
        return pb.GetOrgPolicyResponse(policy=_policy(policy, call))

    async def update(self, call: Call, message: Message) -> pb.UpdateOrgPolicyResponse:
        """Changes the fields that are set in the request."""
        request = cast("pb.UpdateOrgPolicyRequest", message)
        written = await self._policies.update(
            call.tenant_id, call.principal.name, changes_of(request), expectation(call)
        )
        return pb.UpdateOrgPolicyResponse(policy=_policy(with_new_etag(call, written), call))

    async def test_alerts(self, call: Call, message: Message) -> pb.TestAlertRulesResponse:
        """Sends a test message to the webhooks of alert rules."""
        request = cast("pb.TestAlertRulesRequest", message)
        policy = (await self._policies.get(call.tenant_id)).value
        results = await self._trials.run(
            policy.alert_rules,
            call.tenant_id,
            call.principal.name,
            request.name if request.HasField("name") else None,
        )
        return pb.TestAlertRulesResponse(
            results=[
                pb.AlertTestResult(name=each.name, success=each.error is None, error=each.error)
                for each in results
            ]
        )

    async def alert_health(self, call: Call, message: Message) -> pb.GetAlertHealthResponse:
        """Returns what the alert rules have not delivered.

        Raises:
            StoreUnavailable: the policy or the queue of alerts cannot be read.
        """
        policy = (await self._policies.get(call.tenant_id)).value
        names = list(dict.fromkeys(str(each["name"]) for each in policy.alert_rules))
        deliveries = await self._deliveries.alert_deliveries(call.tenant_id, names)
        return pb.GetAlertHealthResponse(
            rules=[_health(*each) for each in zip(names, deliveries, strict=True)]
        )


def _health(name: str, delivery: AlertDelivery) -> pb.AlertRuleHealth:
    status = "failed" if delivery.dead else "retrying" if delivery.attempts else "ok"
    return pb.AlertRuleHealth(
        name=name,
        status=status,
        queued=delivery.queued,
        attempts=delivery.attempts,
        queued_since=to_optional_timestamp(delivery.queued_since),
        dead_letters=delivery.dead,
        last_error=delivery.last_error,
        last_error_at=to_optional_timestamp(delivery.last_error_at),
    )


def changes_of(request: pb.UpdateOrgPolicyRequest) -> dict[str, Any]:
    """Returns the changed fields of an `OrgPolicy`, by name."""
    changes = present_fields(request.frameworks, _FRAMEWORKS)
    if request.HasField("mode"):
        changes["mode"] = request.mode
    if request.HasField("logging_level"):
        changes["logging_level"] = request.logging_level
    if request.HasField("alert_rules"):
        changes["alert_rules"] = [_document(rule) for rule in request.alert_rules.alert_rules]
    blocking = request.blocking_rules
    if blocking.HasField("enabled"):
        changes["blocking_enabled"] = blocking.enabled
    if blocking.HasField("block_on"):
        changes["block_on"] = blocking.block_on
    return changes


def _document(rule: pb.AlertRule) -> dict[str, Any]:
    """Returns a rule as it was posted: absent fields stay absent."""
    document: dict[str, Any] = {"name": rule.name}
    if rule.HasField("condition"):
        document["condition"] = present_fields(rule.condition, _CONDITIONS)
    return {**document, "notify": {"slack_webhook_url": rule.notify.slack_webhook_url}}


def _policy(policy: OrgPolicy, call: Call) -> pb.OrgPolicy:
    is_admin = ADMIN in call.principal.roles
    return pb.OrgPolicy(
        logging_level=policy.logging_level,
        frameworks=pb.OrgFrameworks(gdpr=policy.gdpr, ai_act=policy.ai_act, soc2=policy.soc2),
        alert_rules=[_rule(document, is_admin=is_admin) for document in policy.alert_rules],
        blocking_rules=pb.BlockingRules(enabled=policy.blocking_enabled, block_on=policy.block_on),
        mode=policy.mode,
    )


def _rule(document: Mapping[str, Any], *, is_admin: bool) -> pb.AlertRule:
    condition = document.get("condition")
    url: str = document["notify"]["slack_webhook_url"]
    return pb.AlertRule(
        name=document["name"],
        condition=None if condition is None else pb.AlertCondition(**condition),
        notify=pb.AlertNotify(slack_webhook_url=url if is_admin else _mask(url)),
    )


def _mask(url: str) -> str:
    """Returns the part of a webhook's URL that is shown to callers who are not admins.

    Anyone who has the path can post to the webhook. A PUT with the masked URL is rejected, because
    no URL contains `…`.
    """
    return f"https://{urlsplit(url).netloc}/…"
