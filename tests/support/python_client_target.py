"""The Python client as a target of decision cases."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pdp_client as pdp

from pdp._gen.pdp.v1 import decide_pb2
from pdp.cases import ClientTarget
from pdp.client import CallFailed
from pdp.errors import PdpError, Violation
from pdp.jsonpb import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.client.remote import RemoteClient


class PythonClientTarget(ClientTarget):
    """Decides by the Python client."""

    def __init__(self, client: pdp.Client, admin: RemoteClient) -> None:
        super().__init__(admin)
        self._client_of_decisions = client

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `CaseTarget.decide`."""
        message = decide_pb2.DecideRequest()
        try:
            decode({"tenant_id": tenant_id, **request}, message)
        except PdpError as error:  # this is no message of the contract, so no client can send it
            raise CallFailed.of(error) from None
        asked = pdp.DecideRequest.FromString(message.SerializeToString())
        try:
            decision = self._client_of_decisions.decide(asked, on_failure="raise")
        except pdp.CallFailed as error:
            violations = [Violation(each.field, each.reason) for each in error.violations]
            raise CallFailed(error.reason, error.message, violations, unavailable=False) from None
        with contextlib.suppress(pdp.NotPermitted):
            decision.enforce()
        assert decision.outcome == pdp.Outcome.Name(decision.raw.outcome)[len("OUTCOME_") :]
        return encode(decide_pb2.DecideResponse.FromString(decision.raw.SerializeToString()))
