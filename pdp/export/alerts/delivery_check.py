"""Test deliveries of alert rules: each rule's webhook gets a message that says what it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from pdp.errors import RuleNotFound, Violation
from pdp.export.alerts.addresses import EVERYWHERE, Reach
from pdp.export.alerts.messages import trial_message
from pdp.export.alerts.rules import compile_alerts
from pdp.export.alerts.webhook import Webhooks
from pdp.export.siem.base import BatchRefused, DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pdp.export.alerts.rules import AlertRule

PATIENCE_S = 10.0


class DeliveryCheck(NamedTuple):
    """What came of a rule's test; `error` is None where it arrived."""

    name: str
    error: str | None


class AlertTrials:
    """Delivers tests at once: they neither wait in the spool nor are tried again.

    Args:
        reach: where webhooks may lead.
    """

    def __init__(self, reach: Reach = EVERYWHERE) -> None:
        self._reach = reach

    async def run(
        self, documents: Sequence[Mapping[str, Any]], tenant_id: str, actor: str, name: str | None
    ) -> Sequence[DeliveryCheck]:
        """Tests rules.

        Args:
            documents: the tenant's rules, as they were posted.
            tenant_id: whose they are.
            actor: who asks.
            name: of the rules to test; None for all.

        Raises:
            RuleNotFound: there is none of that name.
        """
        rules = [each for each in compile_alerts(documents) if name is None or each.name == name]
        if name is not None and not rules:
            raise RuleNotFound(
                f'there is no alert rule "{name}"', Violation("name", "names no alert rule")
            )
        webhooks = Webhooks(self._reach)
        try:
            return await asyncio.gather(
                *(self._tried(webhooks, each, tenant_id, actor) for each in rules)
            )
        finally:
            await webhooks.close()

    async def _tried(
        self, webhooks: Webhooks, rule: AlertRule, tenant_id: str, actor: str
    ) -> DeliveryCheck:
        error = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                await webhooks.post(rule.webhook, trial_message(rule.name, tenant_id, actor))
        except TimeoutError:
            error = "no answer in time"
        except (DeliveryFailed, BatchRefused) as failed:
            error = failed.reason
        return DeliveryCheck(rule.name, error)
