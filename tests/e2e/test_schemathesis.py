"""Tests the running server against its API document, with generated requests."""

from __future__ import annotations

import json
import os
import re
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
import requests
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
from schemathesis.core.failures import FailureGroup, as_reported_failure
from schemathesis.core.result import Ok
from schemathesis.pytest.lazy import get_all_tests

from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import BaseSchema, Case, CheckContext, Response


def no_fault(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """Fails on a 5xx response, except for a future revision that the server cannot wait for."""
    if response.status_code >= 500:
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "REVISION_UNAVAILABLE"


EXCEPTION = r"(policies|dlp_rules|rules)(\[\d+\])?|everyone|valid_until|values|value_patterns|scope"

POLICY_RULE = r"sequence|redaction|conditions\.schedule"

PAYLOAD = r"payload(\.body)?|content|arguments(_json)?|action|tool|entities"

CHECKED_IN_CODE = {
    "CreateApiKey": r"name|expires_at|tenants|owner",
    "CreateComplianceBundle": r"rule_ids\[\d+\]",
    "CreateDlpRule": r"(config_json|scope_actions)(\..*)?",
    "CreateException": EXCEPTION,
    "CreateLimit": r"(daily|monthly)_cost_limit_usd",
    "CreateModelConfig": r"aliases\[\d+\]",
    "CreatePolicyPack": rf"pack_type|rules\[\d+\]\.({POLICY_RULE})",
    "CreatePolicyRule": POLICY_RULE,
    "CreateStaticPolicy": r"scope_actions(\..*)?",
    "CreateStaticPolicyOverride": r"scope_actions(\..*)?",
    "CreateUserGroup": r"bundle_ids\[\d+\]|dlp_rules\[\d+\]\.rule_id",
    "Decide": PAYLOAD,
    "DisableModelByName": r"provider",
    "DiscardDeadLetters": r"all",
    "EnableModelByName": r"provider",
    "ExportPolicyFile": r"revision",
    "ImportPolicyFile": r"policies\..*",
    "PutCustomerPolicy": r".*",  # the whole document is the customer's
    "ReorderPolicyRules": r"rules(\[\d+\].*)?",
    "Replay": (
        r"revision|cursor|overlay\..*|requests\[\d+\]\.payload"
        r"|recorded\.(since|until|outcomes|(user|customer|policy)_id)"
    ),
    "ReplaceOrgPolicyChain": r"packs\[\d+\]\.(id|sequence)",
    "ReplaceUserPolicyChain": r"packs\[\d+\]\.(id|sequence)",
    "RetryDeadLetters": r"all",
    "RollbackPolicyFile": r"revision",
    "Simulate": rf"overlay\..*|request\.({PAYLOAD})",
    "SimulatePolicy": r"overlay\..*|provider|prompt|user_id|user_groups|user_risk_score",
    "SimulatePolicyChain": r"overlay\..*",
    "SummarizeRecords": r"until",
    "UpdateComplianceBundle": r"rule_ids\[\d+\]",
    "UpdateDlpRule": r"(config_json|scope_actions)(\..*)?",
    "UpdateException": EXCEPTION,
    "UpdateLimit": r"(daily|monthly)_cost_limit_usd|scope|subject_id",
    "UpdateModelConfig": r"provider|model_id|aliases\[\d+\]",
    "UpdatePolicyRule": POLICY_RULE,
    "UpdateStaticPolicy": r"scope_actions(\..*)?",
    "UpdateTenantSettings": r"sample_rate",
    "UpdateUserGroup": r"bundle_ids\[\d+\]|dlp_rules\[\d+\]\.rule_id",
    "UpgradeComplianceBundle": r"bundle_id",
}
"""Fields with rules that a schema cannot express, by operation, as patterns.

Such a field must name an existing object, be unused, lie in the future or go with another field. Or
it belongs to an embedded document that has its own rules.
"""


def takes_what_it_describes(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A valid request is refused only for a rule that a schema cannot express."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    assert response.status_code != 415
    if response.status_code in {400, 422}:
        error = response.json()["error"]
        fields = {detail["field"] for detail in error["details"]}
        # Generated headers ignore the patterns of the document. Page tokens are the server's own.
        excused = fields in ({"If-Match"}, {"page_token"}) or "NUL" in error["message"]
        reason = CHECKED_IN_CODE.get(case.operation.definition.raw["operationId"], "")
        by_code = fields and all(re.fullmatch(reason, field, re.DOTALL) for field in fields)
        by_language = error["code"] in {"INVALID_PATTERN", "INVALID_CONDITION"}
        assert excused or by_code or by_language, error


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

# The server validates each item of a batch, and answers an invalid item with an error in its place.
ANSWERED_IN_PLACE = {"DecideBatch": [negative_data_rejection]}


# The committed document. Another test checks that the server serves the same bytes.
PATH = resources.files("pdp._gen") / "openapi.json"
DOCUMENT = json.loads(PATH.read_text(encoding="utf-8"))
OPERATIONS = sorted(
    operation["operationId"]
    for operations in DOCUMENT["paths"].values()
    for operation in operations.values()
    if operation["operationId"] != "TailRecords"  # endless; tests/e2e/test_audit.py reads it
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A separate server: generated requests disable models for all tenants."""
    with servers.start(tmp_path_factory.mktemp("schemathesis")) as started:
        yield started


@pytest.fixture(scope="session")
def document() -> BaseSchema:
    """The API document."""
    return schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="session")
def connection() -> Iterator[requests.Session]:
    """A client that keeps connections open between calls."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


# Each example is a call over a socket, and negative tests filter many examples. So the health
# checks of Hypothesis do not apply.
SETTINGS = settings(
    max_examples=300 if os.environ.get("PDP_SOAK") else 15,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_the_server_does_what_the_document_says(
    operation_id: str, document: BaseSchema, server: servers.Server, connection: requests.Session
) -> None:
    """The server answers requests that are generated from the document as the document says."""

    def check(case: Case[Any]) -> None:
        case.call_and_validate(
            base_url=server.http_url,
            session=connection,
            checks=CHECKS,
            excluded_checks=ANSWERED_IN_PLACE.get(operation_id, []),
        )

    # Not `document.parametrize()`: it generates the requests when pytest collects the tests, and
    # each process of pytest-xdist collects all tests.
    schema = document.include(operation_id=operation_id)
    [test] = get_all_tests(schema=schema, test_func=check, settings=SETTINGS, given_kwargs={})
    assert isinstance(test, Ok)
    _, run = test.ok()
    try:
        run()
    except FailureGroup as failures:
        raise as_reported_failure(failures) from None


def test_the_document_is_the_one_that_is_served(server: servers.Server) -> None:
    with urlopen(f"{server.http_url}/openapi.json", timeout=servers.TIMEOUT_S) as answer:  # noqa: S310 - loopback
        assert answer.read() == PATH.read_bytes()
