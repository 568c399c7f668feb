"""The running server held against its own API document, by requests made up from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import BaseSchema, Case

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

# Items of a batch are validated each on its own: one out of its bounds is answered in its place.
ANSWERED_IN_PLACE = {"DecideBatch": [negative_data_rejection]}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """A server of its own: what is made up switches models off for everyone."""
    with running.start(tmp_path_factory.mktemp("schemathesis")) as started:
        yield started


@pytest.fixture(scope="session")
def document(server: running.Server) -> BaseSchema:
    """The API document, as the server serves it."""
    return schemathesis.openapi.from_url(f"{server.http_url}/openapi.json")


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_server_does_what_the_document_says(case: Case) -> None:
    name = case.operation.definition.raw["operationId"]
    case.call_and_validate(checks=CHECKS, excluded_checks=ANSWERED_IN_PLACE.get(name, []))
