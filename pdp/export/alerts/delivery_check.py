"""Sends a test message to the webhooks of alert rules."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from pdp.errors import RuleNotFound, Violation
from pdp.export.alerts.addresses import ANY_PUBLIC, AllowedDestinations
from pdp.export.alerts.messages import make_test_message
from pdp.export.alerts.rules import compile_alerts
from pdp.export.alerts.webhook import WebhookClient
from pdp.export.siem.base import BatchRefused, DeliveryFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pdp.export.alerts.rules import AlertRule

TIMEOUT_S = 10.0


class DeliveryCheck(NamedTuple):
    """The result of a test message; `error` is None if it was delivered."""

    name: str
    error: str | None


class DeliveryChecker:
    """Sends test messages at once: they bypass the spool and are not retried.

    Args:
        destinations: which webhooks are allowed.
    """

    def __init__(self, destinations: AllowedDestinations = ANY_PUBLIC) -> None:
        self._destinations = destinations

    async def run(
        self, documents: Sequence[Mapping[str, Any]], tenant_id: str, actor: str, name: str | None
    ) -> Sequence[DeliveryCheck]:
        """Sends a test message for each rule.

        Args:
            documents: the alert rules of the tenant, as the org policy stores them.
            tenant_id: the tenant.
            actor: who requested the test.
            name: the name of the rules to test; None for all rules.

        Raises:
            RuleNotFound: no rule has that name.
        """
        rules = [each for each in compile_alerts(documents) if name is None or each.name == name]
        if name is not None and not rules:
            raise RuleNotFound(
                f'there is no alert rule "{name}"', Violation("name", "names no alert rule")
            )
        webhooks = WebhookClient(self._destinations)
        try:
            return await asyncio.gather(
                *(self._check(webhooks, each, tenant_id, actor) for each in rules)
            )
        finally:
            await webhooks.close()

    async def _check(
        self, webhooks: WebhookClient, rule: AlertRule, tenant_id: str, actor: str
    ) -> DeliveryCheck:
        error = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await webhooks.post(rule.webhook, make_test_message(rule.name, tenant_id, actor))
        except TimeoutError:
            error = "no answer in time"
        except (DeliveryFailed, BatchRefused) as failed:
            error = failed.reason
        return DeliveryCheck(rule.name, error)
