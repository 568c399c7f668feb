"""The running server held against its own API document, by requests made up from it."""

from __future__ import annotations

import json
import os
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case, CheckContext, Response


def no_fault(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """No 5xx, except that a revision of the far future cannot be waited for."""
    if response.status_code >= 500:
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "REVISION_UNAVAILABLE"


CHECKED_IN_CODE = {
    "CreateApiKey",
    "CreateComplianceBundle",
    "CreateDlpRule",
    "CreateLimit",
    "CreatePolicyPack",
    "CreatePolicyRule",
    "CreateUserGroup",
    "ReorderPolicyRules",
    "Replay",
    "ReplaceOrgPolicyChain",
    "ReplaceUserPolicyChain",
    "Simulate",
    "SimulatePolicy",
    "SimulatePolicyChain",
    "UpdateComplianceBundle",
    "UpdateDlpRule",
    "UpdateLimit",
    "UpdateModelConfig",
    "UpdatePolicyPack",
    "UpdatePolicyRule",
    "UpdateUserGroup",
    "UpgradeComplianceBundle",
}
"""What these take has rules between its fields, or documents of its own, that no schema can say."""


def takes_what_it_describes(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A request that the document allows is refused for what no schema can say, if at all."""
    if case.operation.definition.raw["operationId"] in CHECKED_IN_CODE:
        return
    if case.meta is not None and case.meta.generation.mode.is_positive:
        assert response.status_code != 415
        if response.status_code == 400:
            error = response.json()["error"]
            fields = {detail["field"] for detail in error["details"]}
            # Headers are made up without regard to their patterns.
            excused = fields == {"If-Match"} or "NUL" in error["message"]
            assert excused or error["code"] == "INVALID_PATTERN"


CHECKS = [
    no_fault,
    takes_what_it_describes,
    unsupported_method,
    allow_header_conformance,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

# Items of a batch are validated each on its own: one out of its bounds is answered in its place.
ANSWERED_IN_PLACE = {"DecideBatch": [negative_data_rejection]}


# The committed document: that the server serves the same bytes is tested on its own below.
PATH = resources.files("pdp._gen") / "openapi.json"
document = schemathesis.openapi.from_dict(json.loads(PATH.read_text(encoding="utf-8")))
# An answer that has no end is none that can be checked; tests/e2e/test_audit.py reads it.
schema = document.exclude(operation_id="TailRecords")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """A server of its own: what is made up switches models off for everyone."""
    with running.start(tmp_path_factory.mktemp("schemathesis")) as started:
        yield started


# Every example is a call over a socket, and breaking a schema on purpose filters much: neither is
# a fault of the test.
@schema.parametrize()
@settings(
    max_examples=300 if os.environ.get("PDP_SOAK") else 15,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
def test_the_server_does_what_the_document_says(case: Case[Any], server: running.Server) -> None:
    name = case.operation.definition.raw["operationId"]
    case.call_and_validate(
        base_url=server.http_url, checks=CHECKS, excluded_checks=ANSWERED_IN_PLACE.get(name, [])
    )


def test_the_document_is_the_one_that_is_served(server: running.Server) -> None:
    with urlopen(f"{server.http_url}/openapi.json", timeout=10) as answer:  # noqa: S310 - loopback
        assert answer.read() == PATH.read_bytes()
