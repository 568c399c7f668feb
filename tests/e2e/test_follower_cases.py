"""Every decision case gets the same decision from a follower as from the server it follows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import decide_pb2
from pdp.cases import ClientTarget
from pdp.client import CallFailed
from pdp.errors import PdpError, ServerNeeded
from pdp.jsonpb import decode, encode
from tests.e2e.test_decision_cases import cases, installer
from tests.support.authenticated_servers import authenticated_server
from tests.support.followers import follower_engine
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdp.cases import Case, Suite
    from pdp.cases.runner import InstalledSuite
    from pdp.client.remote import RemoteClient
    from pdp.follower.engine import FollowerEngine

pytestmark = pytest.mark.xdist_group("follower cases")

MAX_TENANTS: Final = 1000

OWN_FIELDS: Final = ("decision_id", "request_id", "input_hash", "revision")
"""What two decisions on one request differ in. A follower has no key for `input_hash`."""


class FollowerTarget(ClientTarget):
    """Decides by a follower, and compares each decision with that of the server."""

    def __init__(self, engine: FollowerEngine, remote: RemoteClient, admin: RemoteClient) -> None:
        super().__init__(admin)
        self._engine = engine
        self._server = ClientTarget(remote)
        self.causes: Counter[str] = Counter()
        self.decided = 0

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `CaseTarget.decide`."""
        message = decide_pb2.DecideRequest()
        try:
            decode({"tenant_id": tenant_id, **request}, message)
        except PdpError as error:
            raise CallFailed.of(error) from None
        try:
            revision = message.min_revision
            assert self._engine.wait_until_followed(message.tenant_id, TIMEOUT_S, revision)
            own = encode(self._engine.decide(message))
        except ServerNeeded as error:
            self.causes[error.cause] += 1
            return self._server.decide(tenant_id, request)
        except PdpError as error:
            raise CallFailed.of(error) from None
        self.decided += 1
        servers = self._server.decide(tenant_id, request)
        assert _comparable(own) == _comparable(servers)
        return own


def _comparable(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in decision.items() if name not in OWN_FIELDS}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FollowerTarget]:
    """A follower of a server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("central")) as server:
        key, address = server.key("follower", "*"), server.server.grpc_address
        directory = tmp_path_factory.mktemp("follower")
        with (
            follower_engine(address, key, directory, max_tenants=MAX_TENANTS) as engine,
            server.remote(key) as remote,
            server.remote(server.admin) as admin,
        ):
            yield FollowerTarget(engine, remote, admin)


@pytest.fixture(scope="module")
def installed(target: FollowerTarget) -> Iterator[Callable[[Suite], InstalledSuite]]:
    """A function that installs the policies of a suite."""
    yield from installer(target)


@pytest.mark.usefixtures("same_day")
@pytest.mark.parametrize(("suite", "case"), list(cases()))
def test_a_case_gets_the_expected_decision(
    suite: Suite, case: Case, installed: Callable[[Suite], InstalledSuite]
) -> None:
    result = installed(suite).run_case(case)
    assert not result.problem
    assert not result.differences


def test_nearly_all_cases_were_decided_by_the_follower(target: FollowerTarget) -> None:
    print(target.causes, target.decided)
    assert target.decided > sum(target.causes.values())
