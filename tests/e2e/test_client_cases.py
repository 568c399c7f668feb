"""Every decision case gets the expected decision through the client of every language."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_decision_cases import cases, installer
from tests.support.client_programs import PROGRAMS, ProgramTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.cases import Case, Suite
    from pdp.cases.runner import InstalledSuite
    from pdp.client.remote import RemoteClient
    from tests.support.servers import Server

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("client programs")]


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def installed(
    request: pytest.FixtureRequest, server: Server, remote: RemoteClient
) -> Iterator[Callable[[Suite], InstalledSuite]]:
    """A function that installs the policies of a suite, for the client of one language."""
    program = PROGRAMS[request.param]
    with ProgramTarget(program, server.grpc_address, remote) as target:
        yield from installer(target)


@pytest.mark.usefixtures("same_day")
@pytest.mark.parametrize(("suite", "case"), list(cases()))
def test_a_case_gets_the_expected_decision(
    suite: Suite, case: Case, installed: Callable[[Suite], InstalledSuite]
) -> None:
    result = installed(suite).run_case(case)
    assert not result.problem
    assert not result.differences
