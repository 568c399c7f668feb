"""Every decision case gets the expected decision through the Python client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pdp_client as pdp
import pytest

from tests.support.decision_cases import case_checks, each_case
from tests.support.python_client_target import PythonClientTarget
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.cases import Case, Suite
    from pdp.client.remote import RemoteClient
    from tests.support.decision_cases import CaseCheck
    from tests.support.servers import Server


pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("python client")]


@pytest.fixture(scope="module")
def check(server: Server, remote: RemoteClient) -> Iterator[CaseCheck]:
    """Checks cases on the client."""
    with pdp.Client(server.grpc_address, timeout=TIMEOUT_S) as client:
        yield from case_checks(PythonClientTarget(client, remote))


@each_case
def test_a_case_gets_the_expected_decision(suite: Suite, case: Case, check: CaseCheck) -> None:
    check(suite, case)
