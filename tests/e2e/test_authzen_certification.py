"""The certification scenario of AuthZEN 1.0, with the policies that the docs show.

The test names have the sections of the scenario (openid/authzen,
certification/authorization-api-1_0-scenario.md).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support import servers
from tests.support.rest.packs import CHAINS, created_json, ok_json, pack, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

PAGE: Final = Path(__file__).parents[2] / "docs/integrations/authzen.md"
URL: Final = "https://pdp.example.com"

EVALUATION: Final = "/access/v1/evaluation"
EVALUATIONS: Final = "/access/v1/evaluations"
SUBJECTS: Final = "/access/v1/search/subject"
RESOURCES: Final = "/access/v1/search/resource"
ACTIONS: Final = "/access/v1/search/action"

ALICE: Final = {"type": "user", "id": "alice"}
BOB: Final = {"type": "user", "id": "bob"}
ADMIN: Final = {**BOB, "properties": {"role": "admin"}}
READ: Final = {"name": "read"}
WRITE: Final = {"name": "write"}
RECORD_1: Final = {"type": "record", "id": "record-1"}
RECORD_2: Final = {"type": "record", "id": "record-2"}
ARCHIVED: Final = {**RECORD_2, "properties": {"status": "archived"}}


def document(key: str) -> Any:
    """Returns the list in the JSON block of the page that begins with that key."""
    found = re.search(rf'^```json\n(\{{"{key}": \[.*?)^```$', PAGE.read_text(), re.M | re.S)
    assert found is not None
    return json.loads(found[1])[key]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of a tenant with the fixture of the scenario."""
    directory = tmp_path_factory.mktemp("authzen")
    with (
        servers.start(directory, PDP_PUBLIC_URL=URL) as server,
        server.client("records", Authorization="Bearer x") as opened,
    ):
        for group in document("groups"):
            created_json(opened.post("/api/admin/user-groups/", json=group))
        pack_id = pack(opened, "Records")["id"]
        for each in document("rules"):
            rule(opened, pack_id, **each)
        chain = {"packs": [{"id": pack_id}], "combining_algorithm": "first_applicable"}
        ok_json(opened.put(f"{CHAINS}/org", json=chain))
        yield opened


def decided(client: httpx2.Client, subject: Any, action: Any, resource: Any, **more: Any) -> bool:
    """Returns the decision on a request, and checks the form of the answer."""
    body = {"subject": subject, "action": action, "resource": resource, **more}
    answer = client.post(EVALUATION, json=body)
    document = ok_json(answer)
    assert answer.headers["content-type"] == "application/json"
    assert type(document["decision"]) is bool
    assert isinstance(document.get("context", {}), dict)
    decision: bool = document["decision"]
    return decision


def decisions(client: httpx2.Client, **body: Any) -> list[bool]:
    """Returns the decisions on several evaluations."""
    document = ok_json(client.post(EVALUATIONS, json=body))
    assert "decision" not in document
    return [each["decision"] for each in document["evaluations"]]


def found(client: httpx2.Client, path: str, **body: Any) -> list[Any]:
    """Returns the results of a search, and checks their page."""
    document = ok_json(client.post(path, json=body))
    assert document["page"] == {"next_token": "", "count": len(document["results"])}
    results: list[Any] = document["results"]
    return results


@pytest.mark.parametrize(
    ("subject", "action", "resource", "decision"),
    [
        (ALICE, READ, RECORD_1, True),
        (ALICE, WRITE, RECORD_1, True),
        (BOB, READ, RECORD_1, True),
        (BOB, WRITE, RECORD_1, False),
        (ALICE, WRITE, ARCHIVED, False),
        (ADMIN, WRITE, ARCHIVED, True),
        (ALICE, {"name": "delete", "properties": {"soft": True}}, RECORD_1, True),
        (ALICE, {"name": "delete", "properties": {"soft": False}}, RECORD_1, False),
    ],
)
def test_1_4_the_eight_decisions(
    client: httpx2.Client, subject: Any, action: Any, resource: Any, decision: bool
) -> None:
    """With and without context (1.6), and each time (2.6)."""
    context = {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}
    for _ in range(3):
        assert decided(client, subject, action, resource) is decision
        assert decided(client, subject, action, resource, context=context) is decision


def test_2_2_8_additional_properties(client: httpx2.Client) -> None:
    subject = {**ALICE, "properties": {"department": "Sales", "role": "manager"}}
    action = {**READ, "properties": {"method": "GET"}}
    resource = {**RECORD_1, "properties": {"status": "active", "owner": "bob"}}
    assert decided(client, subject, action, resource)


def test_2_2_9_unknown_fields_are_ignored(client: httpx2.Client) -> None:
    assert decided(client, ALICE, READ, RECORD_1, foo="bar", futureField={"nested": True})


COMPLETE: Final = {"subject": ALICE, "action": READ, "resource": RECORD_1}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        *((name, {k: v for k, v in COMPLETE.items() if k != name}) for name in COMPLETE),
        ("subject.type", {**COMPLETE, "subject": {"id": "alice"}}),
        ("subject.id", {**COMPLETE, "subject": {"type": "user"}}),
        ("action.name", {**COMPLETE, "action": {}}),
        ("resource.type", {**COMPLETE, "resource": {"id": "record-1"}}),
        ("resource.id", {**COMPLETE, "resource": {"type": "record"}}),
        ("subject", {**COMPLETE, "subject": "alice"}),
        ("action.name", {**COMPLETE, "action": {"name": 123}}),
    ],
)
def test_2_4_missing_and_mistyped_fields(client: httpx2.Client, field: str, body: Any) -> None:
    answer = client.post(EVALUATION, json=body)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [field]


@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS, SUBJECTS, RESOURCES, ACTIONS])
def test_2_4_bodies_that_cannot_be_read(client: httpx2.Client, path: str) -> None:
    json_type = {"Content-Type": "application/json"}
    body = json.dumps(COMPLETE).encode()
    for content, headers in (
        (body, {"Content-Type": "text/plain"}),
        (body, {}),
        (body, {**json_type, "Content-Encoding": "gzip"}),
        (b'{"subject": ', json_type),
        (b"", json_type),
        (b"[]", json_type),
    ):
        answer = client.post(path, content=content, headers=headers)
        assert answer.status_code == 400, (content, headers)
        assert answer.json()["error"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize("path", [EVALUATION, EVALUATIONS, SUBJECTS, RESOURCES, ACTIONS])
def test_2_5_the_request_id(client: httpx2.Client, path: str) -> None:
    """It comes back with decisions and errors; without one, the server makes one."""
    for body in (COMPLETE, {}):
        answer = client.post(path, json=body, headers={"X-Request-ID": "bfe9eb29-ab87"})
        assert answer.headers["x-request-id"] == "bfe9eb29-ab87"
        assert client.post(path, json=body).headers["x-request-id"]


def test_3_2_batches_core(client: httpx2.Client) -> None:
    """3.2.1, 3.2.2, 3.2.5 and 3.2.6."""
    records = [{"resource": RECORD_1}, {"resource": RECORD_2}]
    assert decisions(client, subject=ALICE, action=READ, evaluations=records) == [True, True]
    verbs = [{"action": READ}, {"action": WRITE}]
    assert decisions(client, subject=BOB, resource=RECORD_1, evaluations=verbs) == [True, False]
    full = [COMPLETE, {"subject": BOB, "action": WRITE, "resource": RECORD_1}]
    assert decisions(client, evaluations=full) == [True, False]
    override = {"time": "2025-06-27T19:00-07:00", "source": "batch-override"}
    records = [{"resource": RECORD_1}, {"resource": RECORD_2, "context": override}]
    context = {"time": "2025-06-27T18:03-07:00"}
    assert decisions(client, subject=ALICE, action=READ, context=context, evaluations=records) == [
        True,
        True,
    ]


def test_3_2_batches_properties(client: httpx2.Client) -> None:
    """3.2.3, 3.2.4 and 3.2.7."""
    active = {**RECORD_1, "properties": {"status": "active"}}
    records = [{"resource": active}, {"resource": ARCHIVED}]
    assert decisions(client, subject=ALICE, action=WRITE, evaluations=records) == [True, False]
    people = [{"subject": ALICE}, {"subject": ADMIN}]
    assert decisions(client, action=WRITE, resource=ARCHIVED, evaluations=people) == [False, True]
    untyped = {"id": "record-1", "properties": {"status": "active"}}
    records = [{"resource": untyped}, {"resource": ARCHIVED}]
    kind = {"type": "record"}
    assert decisions(client, subject=ALICE, action=WRITE, resource=kind, evaluations=records) == [
        True,
        False,
    ]


def test_3_4_1_an_evaluation_that_fails(client: httpx2.Client) -> None:
    body = {"subject": ALICE, "action": READ, "evaluations": [{"resource": RECORD_1}, {}]}
    first, second = ok_json(client.post(EVALUATIONS, json=body))["evaluations"]
    assert first["decision"] is True
    assert second == {
        "decision": False,
        "context": {"error": {"status": 400, "message": "resource: is required"}},
    }


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
def test_3_4_without_evaluations_it_is_a_single_one(client: httpx2.Client, more: Any) -> None:
    answer = ok_json(client.post(EVALUATIONS, json={**COMPLETE, **more}))
    assert answer["decision"] is True
    assert "evaluations" not in answer


@pytest.mark.parametrize("context", [{}, {"context": {"ip": "192.168.1.1"}}])
def test_4_2_subject_search(client: httpx2.Client, context: Any) -> None:
    """4.2.1, 4.2.2 and 4.2.4."""
    user = {"type": "user"}
    readers = found(client, SUBJECTS, subject=user, action=READ, resource=RECORD_1, **context)
    assert readers == [ALICE, BOB]
    writers = found(client, SUBJECTS, subject=user, action=WRITE, resource=ARCHIVED, **context)
    assert writers == [BOB]


def test_4_3_resource_search_knows_no_records(client: httpx2.Client) -> None:
    """4.3.1 and 4.3.3 cannot be answered: the server has no list of records."""
    kind = {"type": "record"}
    assert found(client, RESOURCES, subject=ALICE, action=READ, resource=kind) == []
    assert found(client, RESOURCES, subject=ADMIN, action=WRITE, resource=kind) == []


@pytest.mark.parametrize("context", [{}, {"context": {"ip": "192.168.1.1"}}])
def test_4_4_action_search(client: httpx2.Client, context: Any) -> None:
    """4.4.1, 4.4.2 and 4.4.3."""
    names = [{"name": "read"}, {"name": "write"}]
    assert found(client, ACTIONS, subject=ALICE, resource=RECORD_1, **context) == names
    assert found(client, ACTIONS, subject=ADMIN, resource=ARCHIVED, **context) == names


def test_4_5_pages(client: httpx2.Client) -> None:
    body = {"subject": {"type": "user"}, "action": READ, "resource": RECORD_1}
    first = ok_json(client.post(SUBJECTS, json={**body, "page": {"limit": 1}}))
    assert first["results"] == [ALICE]
    token = first["page"]["next_token"]
    assert token
    last = ok_json(client.post(SUBJECTS, json={**body, "page": {"token": token}}))
    assert last == {"results": [BOB], "page": {"next_token": "", "count": 1}}


def test_4_6_empty_results(client: httpx2.Client) -> None:
    stranger = {"type": "user", "id": "nonexistent-user"}
    assert found(client, ACTIONS, subject=stranger, resource=RECORD_1) == []
    ship = {"type": "spaceship"}
    assert found(client, SUBJECTS, subject=ship, action=READ, resource=RECORD_1) == []


@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        (SUBJECTS, "action", {"subject": {"type": "user"}, "resource": RECORD_1}),
        (RESOURCES, "subject", {"action": READ, "resource": {"type": "record"}}),
        (ACTIONS, "resource", {"subject": ALICE}),
        (
            SUBJECTS,
            "resource.id",
            {"subject": {"type": "user"}, "action": READ, "resource": {"type": "record"}},
        ),
        (
            RESOURCES,
            "subject.id",
            {"subject": {"type": "user"}, "action": READ, "resource": {"type": "record"}},
        ),
    ],
)
def test_4_7_errors_of_searches(client: httpx2.Client, path: str, field: str, body: Any) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [field]


def test_6_discovery(client: httpx2.Client) -> None:
    answer = client.get("/.well-known/authzen-configuration")
    assert answer.headers["content-type"] == "application/json"
    assert ok_json(answer) == {
        "policy_decision_point": URL,
        "access_evaluation_endpoint": f"{URL}{EVALUATION}",
        "access_evaluations_endpoint": f"{URL}{EVALUATIONS}",
        "search_subject_endpoint": f"{URL}{SUBJECTS}",
        "search_resource_endpoint": f"{URL}{RESOURCES}",
        "search_action_endpoint": f"{URL}{ACTIONS}",
        "supported_obligations": ["custom", "step-up"],
    }
