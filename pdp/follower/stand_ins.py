"""What stands in a follower for what only the server has: counters, approvals, models."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pdp.errors import ServerNeeded

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pdp.domain.approval import ApprovalDraft, TokenUse
    from pdp.domain.decision import Decision
    from pdp.domain.ner import EntityLabel
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.usage.meter import Charge


class ServerMeter:
    """The counters of limits are the server's."""

    def charge(self, snapshot: Snapshot, request: Request) -> None:
        """Lets a request pass that no limit applies to.

        Raises:
            ServerNeeded: a limit applies.
        """
        if snapshot.limits is not None and snapshot.limits.of(request.subject):
            raise ServerNeeded("limits")

    def settle(self, charge: Charge, decision: Decision) -> None:
        """Takes nothing back: nothing was charged."""

    def with_usage(self, snapshot: Snapshot, request: Request) -> Request:
        """Returns the request; see `charge`."""
        self.charge(snapshot, request)
        return request


class ServerFinder:
    """The models for named entities are the server's."""

    async def find(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NoReturn:
        """Raises ServerNeeded."""
        raise ServerNeeded("models")

    def find_now(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NoReturn:
        """Raises ServerNeeded."""
        raise ServerNeeded("models")


class ServerDesk:
    """Approvals and confirmations are the server's."""

    def check(self) -> None:
        """Raises ServerNeeded."""
        raise ServerNeeded("approval")

    async def open(self, draft: ApprovalDraft) -> NoReturn:
        """Raises ServerNeeded."""
        raise ServerNeeded("approval")

    async def read(
        self, tenant_id: str, approvals: Sequence[str], confirmations: Sequence[str]
    ) -> NoReturn:
        """Raises ServerNeeded."""
        raise ServerNeeded("approval")

    async def use(self, tenant_id: str, uses: Sequence[TokenUse]) -> NoReturn:
        """Raises ServerNeeded."""
        raise ServerNeeded("approval")
