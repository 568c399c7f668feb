"""Every decision case gets the expected decision through the client of every language."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.client_programs import PROGRAMS, ProgramTarget
from tests.support.decision_cases import case_checks, each_case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.cases import Case, Suite
    from pdp.client.remote import RemoteClient
    from tests.support.decision_cases import CaseCheck
    from tests.support.servers import Server

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("client programs")]


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def check(
    request: pytest.FixtureRequest, server: Server, remote: RemoteClient
) -> Iterator[CaseCheck]:
    """Checks cases on the client of one language."""
    program = PROGRAMS[request.param]
    with ProgramTarget(program, server.grpc_address, remote) as target:
        yield from case_checks(target)


@each_case
def test_a_case_gets_the_expected_decision(suite: Suite, case: Case, check: CaseCheck) -> None:
    check(suite, case)
