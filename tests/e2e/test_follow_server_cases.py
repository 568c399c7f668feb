"""Every decision case gets the expected decision from a server that follows another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdp.cases import ClientTarget
from pdp.client.remote import RemoteClient
from tests.support import servers
from tests.support.authenticated_servers import authenticated_server
from tests.support.decision_cases import case_checks, each_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.cases import Case, Suite
    from tests.support.decision_cases import CaseCheck

pytestmark = pytest.mark.xdist_group("follow server cases")


class FollowServerTarget(ClientTarget):
    """Decides by the follower, and administers the server that it follows."""

    def __init__(self, follower: RemoteClient, admin: RemoteClient) -> None:
        super().__init__(follower)
        self._admin = ClientTarget(admin)

    def administer(
        self, tenant_id: str, name: str, body: Mapping[str, object]
    ) -> tuple[Mapping[str, object], int]:
        """See `CaseTarget.administer`."""
        return self._admin.administer(tenant_id, name, body)


@pytest.fixture(scope="module")
def check(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CaseCheck]:
    """Checks cases on a server that follows another one."""
    folder = tmp_path_factory.mktemp("follow")
    with authenticated_server(folder / "central") as central:
        key_file = folder / "follower.key"
        key_file.write_text(central.key("follower", "*"))
        following = servers.start(
            folder / "follower",
            PDP_FOLLOW=f"http://{central.server.grpc_address}",
            PDP_FOLLOW_KEY_FILE=str(key_file),
            PDP_FOLLOW_MAX_TENANTS="1000",
        )
        with (
            following as server,
            RemoteClient(server.grpc_address, timeout_s=servers.TIMEOUT_S) as follower,
            central.remote(central.admin) as admin,
        ):
            yield from case_checks(FollowServerTarget(follower, admin))


@each_case
def test_a_case_gets_the_expected_decision(suite: Suite, case: Case, check: CaseCheck) -> None:
    check(suite, case)
