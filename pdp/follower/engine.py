"""Decides in this process by followed policies, for programs with threads."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.audit.acknowledgements import ThreadAcknowledgements
from pdp.decisions.blocking_decider import BlockingDecider
from pdp.decisions.fault_log import log_faults
from pdp.domain.ids import new_id
from pdp.errors import ServerNeeded
from pdp.follower.following import Following
from pdp.follower.stand_ins import ServerDesk, ServerFinder, ServerMeter
from pdp.messages.conversion import to_request
from pdp.messages.payloads import to_payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.domain.decision import Decision
    from pdp.follower.central import Central
    from pdp.follower.options import FollowOptions
    from pdp.follower.tenants import TenantState

_log: Final = logging.getLogger("pdp.follower")


class FollowerState(NamedTuple):
    """How a follower is doing.

    Attributes:
        tenants: how each tenant is followed.
        decided: decisions that were made here.
        passed_on: requests that the server had to decide.
        unsent: records that wait to be reported.
        report_problem: why reports fail now; empty if they do not.
    """

    tenants: Mapping[str, TenantState]
    decided: int
    passed_on: int
    unsent: int
    report_problem: str


class FollowerEngine:
    """Decides by the policies that a server has; any number of threads may call it.

    A process that has made one must not go on after a fork.
    """

    def __init__(self, central: Central, options: FollowOptions) -> None:
        """Opens what the follower has; see `Following`.

        Raises:
            ConfigError: the directory or the log of records cannot be used.
            StoreUnavailable: the log of records cannot be read or written now.
        """
        self._following = Following(central, options, ThreadAcknowledgements())
        self._decider = BlockingDecider(
            self._following.snapshot,
            ServerMeter(),
            ServerFinder().find_now,
            self._following.recording.records,
            log_faults(_log),
            desk=ServerDesk(),
        )
        self._decided = self._passed_on = 0

    def decide(self, message: pb.DecideRequest) -> Decision:
        """Decides a request.

        Args:
            message: the request. Without a tenant, it is for that of the credential.

        Raises:
            ServerNeeded: the server must decide it.
            InvalidArgument: a value is out of bounds; it names all invalid fields.
        """
        arrived = time.time()
        try:
            snapshot = self._following.snapshot(message.tenant_id)
            if message.min_revision > snapshot.revision:
                raise ServerNeeded("revision")
            request_id = message.request_id or new_id()
            request = to_request(message, snapshot.tenant_id, request_id, takes_payload=True)
            if request.tokens or request.want_input_hash:
                raise ServerNeeded("token")
            payload, history = None, ""
            if message.HasField("payload"):
                payload, history = to_payload(message), message.payload.history
            decision = self._decider.decide(
                request, payload, history=history, arrived=arrived, snapshot=snapshot
            )
        except ServerNeeded:
            self._passed_on += 1
            raise
        self._decided += 1
        return decision

    def follow(self, tenant_id: str) -> None:
        """Begins to follow a tenant, before the first request for it.

        Args:
            tenant_id: the tenant; empty for that of the credential.

        Raises:
            ServerNeeded: too many tenants are followed already, or it is the id of no tenant.
        """
        self._following.tenants.follow(tenant_id)

    def wait_until_followed(self, tenant_id: str, timeout_s: float) -> bool:
        """Follows a tenant, and waits until its policies are here.

        Args:
            tenant_id: the tenant; empty for that of the credential.
            timeout_s: how long to wait.

        Returns:
            Whether they are here.

        Raises:
            ServerNeeded: see `follow`.
        """
        return self._following.tenants.follow(tenant_id).wait(0, timeout_s)

    def state(self) -> FollowerState:
        """Returns how this follower is doing."""
        return FollowerState(
            self._following.tenants.states(),
            self._decided,
            self._passed_on,
            self._following.reporter.unsent,
            self._following.reporter.problem,
        )

    def close(self) -> None:
        """Ends all streams, reports what can be reported in a short time, and closes the log."""
        self._following.close()
