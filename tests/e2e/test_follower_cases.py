"""Every decision case gets the same decision from a client with policies as from its server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pdp_client as pdp
import pytest

from pdp.cases import ClientTarget
from pdp.domain.tenant import is_tenant_id
from tests.support.authenticated_servers import authenticated_server
from tests.support.decision_cases import case_checks, each_case
from tests.support.python_client_target import PythonClientTarget
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.cases import Case, Suite
    from pdp.client.remote import RemoteClient
    from tests.support.decision_cases import CaseCheck

pytestmark = pytest.mark.xdist_group("follower cases")

MAX_TENANTS: Final = 1000

MAY_ASK: Final = {
    "chain_actions",
    "chain_bundles",
    "chain_combining",
    "chain_conditions",
    "compliance_bundles",
    "dlp_tiers",
    "escalations",
    "interplay",
    "limits",
    "redactions",
    "tenant_settings",
    "tenants",
}
"""The suites with cases for the server: PROMPT, ESCALATE, limits, keyed redaction, models,
and what is no tenant."""

OWN_FIELDS: Final = ("decision_id", "request_id", "input_hash", "revision")
"""What two decisions on one request differ in. A follower has no key for `input_hash`."""


class FollowerTarget(PythonClientTarget):
    """Decides by a client that decides by itself, and compares its decisions with the server's."""

    def __init__(self, client: pdp.Client, remote: RemoteClient, admin: RemoteClient) -> None:
        super().__init__(client, admin)
        self.client = client
        self._server = ClientTarget(remote)

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `CaseTarget.decide`."""
        tenant = request.get("tenant_id") or tenant_id
        if is_tenant_id(tenant):
            revision = request.get("min_revision", 0)
            wait_until(lambda: self._has(tenant, revision), "the policies are here")
        asked = self.state.asked
        own = super().decide(tenant_id, request)
        if self.state.asked == asked:  # the server was not asked
            assert _comparable(own) == _comparable(self._server.decide(tenant_id, request))
        return own

    def _has(self, tenant: str, revision: int) -> bool:
        local = self.client._local
        assert local is not None
        return local.wait(tenant, TIMEOUT_S) and local.state(tenant).revision >= revision

    @property
    def state(self) -> pdp.LocalState:
        """How the client is doing."""
        state = self.client.local_state
        assert state is not None
        return state


def _comparable(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in decision.items() if name not in OWN_FIELDS}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FollowerTarget]:
    """A client of a server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("central")) as server:
        key, address = server.key("follower", "*"), server.server.grpc_address
        local = pdp.Local(tmp_path_factory.mktemp("follower"), max_tenants=MAX_TENANTS)
        with (
            pdp.Client(address, api_key=key, timeout=TIMEOUT_S, local=local) as client,
            server.remote(key) as remote,
            server.remote(server.admin) as admin,
        ):
            yield FollowerTarget(client, remote, admin)


@pytest.fixture(scope="module")
def check(target: FollowerTarget) -> Iterator[CaseCheck]:
    """Checks cases on the client."""
    yield from case_checks(target)


@each_case
def test_a_case_gets_the_expected_decision(
    suite: Suite, case: Case, check: CaseCheck, target: FollowerTarget
) -> None:
    asked = target.state.asked
    check(suite, case)
    assert target.state.asked == asked or suite.file.stem in MAY_ASK
