"""Every decision case gets the expected decision through the Python client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pdp_client as pdp
import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.cases import ClientTarget
from pdp.client import CallFailed
from pdp.errors import PdpError, Violation
from pdp.jsonpb import decode, encode
from tests.e2e.test_decision_cases import cases, installer
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdp.cases import Case, Suite
    from pdp.cases.runner import InstalledSuite
    from pdp.client.remote import RemoteClient
    from tests.support.servers import Server


pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("python client")]


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


@pytest.fixture(scope="module")
def installed(server: Server, remote: RemoteClient) -> Iterator[Callable[[Suite], InstalledSuite]]:
    """A function that installs the policies of a suite."""
    with pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client:
        yield from installer(PythonClientTarget(client, remote))


@pytest.mark.usefixtures("same_day")
@pytest.mark.parametrize(("suite", "case"), list(cases()))
def test_a_case_gets_the_expected_decision(
    suite: Suite, case: Case, installed: Callable[[Suite], InstalledSuite]
) -> None:
    result = installed(suite).run_case(case)
    assert not result.problem
    assert not result.differences
