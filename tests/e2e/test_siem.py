"""The SIEM API over HTTP, and the events that a real server sends to a SIEM."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import siem_pb2 as pb
from pdp._gen.pdp.v1.siem_pb2_grpc import SiemServiceStub
from pdp.client.remote import open_channel
from tests.support import servers
from tests.support.approvals import ApprovalTenant, approval_of
from tests.support.authenticated_servers import authenticated_server
from tests.support.certificates import new_authority
from tests.support.ocsf_schema import faults
from tests.support.siem_product import PlannedResponse, Product, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

CONNECTORS: Final = "/api/admin/siem/connectors"
HEALTH: Final = "/api/admin/siem/health"
TEST: Final = "/api/admin/siem/test"
TOKEN: Final = "hec-t0ken-s3cret"
CARD: Final = "4111 1111 1111 1111"
ATTACK: Final = " -- ".join(("1 UNION SELECT password FROM users", CARD))


def hec(request: ReceivedRequest) -> PlannedResponse:
    """Responds as Splunk's collector does."""
    if request.path == "/services/collector/health":
        return PlannedResponse(200, {"text": "HEC is healthy", "code": 17})
    if request.headers.get("authorization") != f"Splunk {TOKEN}":
        return PlannedResponse(403, {"text": "Invalid token", "code": 4})
    return PlannedResponse(200, {"text": "Success", "code": 0})


@pytest.fixture(scope="module")
def splunk() -> Iterator[Product]:
    with Product(hec) as product:
        yield product


@pytest.fixture(scope="module")
def server(splunk: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    settings = {
        "SPLUNK_HEC_URL": splunk.url,
        "SPLUNK_HEC_TOKEN": TOKEN,
        "SPLUNK_HEC_INDEX": "pdp_audit",
        "PDP_SIEM_FLUSH_S": "0.05",
    }
    with servers.start(tmp_path_factory.mktemp("siem"), **settings) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: servers.Server) -> Iterator[httpx2.Client]:
    with server.client() as opened:
        yield opened


def events(splunk: Product, tenant: str) -> list[dict[str, Any]]:
    """Returns the events that arrived for a tenant."""
    return [
        each["event"]
        for request in splunk.requests
        if request.path == "/services/collector/event"
        for each in request.lines
        if each["event"]["metadata"]["tenant_uid"] == tenant
    ]


class TestConnectors:
    """The operations in the order of the API's contract."""

    def test_the_list_of_connectors(self, client: httpx2.Client, splunk: Product) -> None:
        answer = client.get(CONNECTORS)
        assert answer.status_code == 200
        body = answer.json()
        assert list(body) == ["connectors", "total"]
        assert body["total"] == len(body["connectors"]) == 9
        assert body["connectors"][0] == {
            "connector_id": "splunk",
            "display_name": "Splunk HEC",
            "status": "healthy",
            "connector_type": "SplunkHECConnector",
            "config_summary": {"hec_url": splunk.url, "index": "pdp_audit"},
        }
        others = body["connectors"][1:]
        assert {each["status"] for each in others} == {"not_configured"}
        assert [each["connector_id"] for each in others] == [
            *("elastic", "sentinel", "datadog", "sumo_logic", "syslog", "otlp", "file", "kafka")
        ]
        assert others[0]["config_summary"] == {}

    def test_the_health_of_connectors(self, client: httpx2.Client) -> None:
        answer = client.get(HEALTH)
        assert answer.status_code == 200
        assert answer.json() == {
            "healthy": 1,
            "degraded": 0,
            "error": 0,
            "not_configured": 8,
            "total": 9,
        }

    @pytest.mark.parametrize("name", ["splunk", "splunk_hec"])
    def test_a_test_delivers_an_event(
        self, client: httpx2.Client, splunk: Product, name: str
    ) -> None:
        before = len(events(splunk, ""))
        answer = client.post(f"{TEST}/{name}")
        assert answer.status_code == 200
        assert answer.json() == {
            "connector_id": "splunk",
            "success": True,
            "events_sent": 1,
            "error": None,
        }
        sent = events(splunk, "")[before:]
        assert [faults(each) for each in sent] == [[]]

    def test_a_connector_without_settings_cannot_be_tested(self, client: httpx2.Client) -> None:
        answer = client.post(f"{TEST}/sentinel")
        body = answer.json()
        assert (answer.status_code, body["success"], body["events_sent"]) == (200, False, 0)
        assert "SENTINEL_CLIENT_SECRET" in body["error"]

    def test_a_test_reports_the_error_of_the_product(
        self, client: httpx2.Client, splunk: Product
    ) -> None:
        splunk.responses.append(PlannedResponse(403, {"text": f"Invalid token {TOKEN}", "code": 4}))
        body = client.post(f"{TEST}/splunk").json()
        assert (body["success"], body["events_sent"]) == (False, 0)
        assert body["error"] == 'HTTP 403 {"text": "Invalid token ***", "code": 4}'

    def test_an_unknown_connector_is_not_found(self, client: httpx2.Client) -> None:
        answer = client.post(f"{TEST}/arcsight")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "CONNECTOR_NOT_FOUND"


class TestEvents:
    def test_decisions_and_findings_arrive_without_the_text(
        self, client: httpx2.Client, splunk: Product, server: servers.Server, tenant: str
    ) -> None:
        headers = {"X-Tenant-ID": tenant}
        body = {"content": {"text": ATTACK}, "arguments": {"card": CARD}}
        decision = client.post("/v1/decide", json=body, headers=headers).json()
        splunk.until(lambda: len(events(splunk, tenant)) >= 3)
        activity, data, attack = events(splunk, tenant)
        assert (activity["class_uid"], data["class_uid"], attack["class_uid"]) == (6003, 2006, 2004)
        assert activity["metadata"]["uid"] == decision["decision_id"]
        assert activity["disposition_id"] == 2
        assert [faults(each) for each in (activity, data, attack)] == [[], [], []]
        sent = json.dumps(events(splunk, tenant)) + "".join(server.lines)
        for secret in (CARD, CARD.replace(" ", ""), TOKEN, "password"):
            assert secret not in sent
        for file in server.data_dir.iterdir():
            assert CARD.encode() not in file.read_bytes(), file
            assert TOKEN.encode() not in file.read_bytes(), file

    def test_admin_changes_arrive_without_values(
        self, client: httpx2.Client, splunk: Product, tenant: str
    ) -> None:
        webhook = "https://hooks.slack.com/services/T/B/s3cret"
        rule = {"name": "All", "notify": {"slack_webhook_url": webhook}}
        headers = {"X-Tenant-ID": tenant}
        client.put("/v1/org/policy", json={"alert_rules": [rule]}, headers=headers)
        splunk.until(lambda: bool(events(splunk, tenant)))
        [event] = events(splunk, tenant)
        assert (event["class_uid"], event["entity"]["uid"]) == (3004, "org_policy")
        assert event["actor"]["user"]["name"] == "dev-admin"
        assert "alert_rules" in event["unmapped"]["changed_fields"]
        assert "s3cret" not in str(event)
        assert faults(event) == []

    def test_over_grpc(self, server: servers.Server) -> None:
        with open_channel(server.grpc_address) as channel:
            stub = SiemServiceStub(channel)
            health = stub.GetSiemHealth(pb.GetSiemHealthRequest())
            assert (health.healthy, health.total) == (1, 9)
            answer = stub.TestSiemConnector(pb.TestSiemConnectorRequest(connector_id="kafka"))
            assert not answer.success
            with pytest.raises(grpc.RpcError) as failed:
                stub.TestSiemConnector(pb.TestSiemConnectorRequest(connector_id="nobody"))
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND

    def test_readiness_and_metrics_have_the_state_of_exports(self, client: httpx2.Client) -> None:
        assert client.get("/readyz").json()["checks"]["siem_splunk"] == "ok"
        metrics = client.get("/metrics").text
        for name in ("pdp_siem_waiting", "pdp_siem_spool_bytes", "pdp_siem_dropped_total"):
            assert f"\n{name} " in metrics


@pytest.fixture
def slack(tmp_path: Path) -> Iterator[tuple[Product, Path]]:
    signer = new_authority()
    ca_file, _ = signer.write(tmp_path, "ca")
    certificate, key = signer.issue("localhost").write(tmp_path, "server")
    with Product(lambda _: PlannedResponse(200, "ok"), (str(certificate), str(key))) as product:
        yield product, ca_file


def test_alerts_are_tested_and_delivered(slack: tuple[Product, Path], tmp_path: Path) -> None:
    product, ca_file = slack
    webhook = f"https://localhost:{product.port}/services/T/B/s3cret"
    rules = [
        {"name": "Attacks", "condition": {"risk_level_gte": "high"}},
        {"name": "Personal data", "condition": {"pii_detected": True}},
    ]
    for rule in rules:
        rule["notify"] = {"slack_webhook_url": webhook}
    settings = {"SSL_CERT_FILE": str(ca_file), "PDP_ALERT_NETWORKS": "127.0.0.0/8,::1/128"}
    with (
        servers.start(tmp_path / "data", **settings) as server,
        server.client() as client,
    ):
        client.put("/v1/org/policy", json={"alert_rules": rules}).raise_for_status()
        answer = client.post("/v1/org/policy/alerts/test", json={})
        assert answer.status_code == 200
        assert answer.json() == {
            "results": [
                {"name": "Attacks", "success": True, "error": None},
                {"name": "Personal data", "success": True, "error": None},
            ]
        }
        product.responses.append(PlannedResponse(404, "no_service"))
        answer = client.post("/v1/org/policy/alerts/test", json={"name": "Attacks"})
        assert answer.json()["results"] == [
            {"name": "Attacks", "success": False, "error": "HTTP 404 no_service"}
        ]
        answer = client.post("/v1/org/policy/alerts/test", json={"name": "Nobody"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RULE_NOT_FOUND")
        answer = client.post("/v1/org/policy/alerts/test", json={"name": ""})
        assert answer.status_code == 422
        body = {"content": {"text": ATTACK.partition(" --")[0]}, "subject": {"user_id": "u1"}}
        decision = client.post("/v1/decide", json=body).json()
        product.until(lambda: len(product.requests) == 4)
        message = product.requests[-1].body.decode()
        assert "Attacks: BLOCK" in message
        assert decision["decision_id"] in message
        assert "password" not in message
    assert "s3cret" not in "".join(server.lines)


def test_approvers_are_notified_of_each_approval_once(
    slack: tuple[Product, Path], tmp_path: Path
) -> None:
    product, ca_file = slack
    rule = {
        "name": "Approvals",
        "condition": {"approval_requested": True},
        "notify": {"slack_webhook_url": f"https://localhost:{product.port}/services/T/B/s3cret"},
    }
    url = "https://pdp.example.com"
    settings = {
        "SSL_CERT_FILE": str(ca_file),
        "PDP_ALERT_NETWORKS": "127.0.0.0/8,::1/128",
        "PDP_PUBLIC_URL": url,
    }
    with authenticated_server(tmp_path / "data", **settings) as server:
        tenant = ApprovalTenant(server, "acme")
        tenant.write("PUT", "/v1/org/policy", {"alert_rules": [rule]})
        assert tenant.decide(action="db:test:delete")["outcome"] == "ALLOW"
        changed = tenant.decide(arguments={"id": 8, "card": CARD})
        first, again, other = map(approval_of, (tenant.decide(), tenant.decide(), changed))
        assert first["approval_id"] == again["approval_id"] != other["approval_id"]
        product.until(lambda: len(product.requests) == 2)
        messages = {each.body.decode() for each in product.requests}
    for each in (first, other):
        link = f"<{url}/v1/approvals/{each['approval_id']}|"
        assert sum(link in message for message in messages) == 1
    everything = "".join((*messages, *server.server.lines))
    for secret in (first["token"], other["token"], CARD, CARD.replace(" ", "")):
        assert secret not in everything


def test_webhooks_in_the_servers_network_are_refused_unless_allowed(
    slack: tuple[Product, Path], server: servers.Server, client: httpx2.Client, tenant: str
) -> None:
    product, _ = slack
    webhook = f"https://localhost:{product.port}/"
    rule = {"name": "All", "notify": {"slack_webhook_url": webhook}}
    headers = {"X-Tenant-ID": tenant}
    client.put("/v1/org/policy", json={"alert_rules": [rule]}, headers=headers)
    [result] = client.post("/v1/org/policy/alerts/test", json={}, headers=headers).json()["results"]
    assert result["success"] is False
    assert "not public" in result["error"]
    assert product.requests == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SPLUNK_HEC_URL": "https://splunk:8088"}, "SPLUNK_HEC_TOKEN is not"),
        ({"SPLUNK_HEC_URL": "splunk", "SPLUNK_HEC_TOKEN": "t"}, "SPLUNK_HEC_URL"),
        ({"ELASTIC_URL": "https://elastic"}, "ELASTIC_API_KEY"),
        ({"PDP_ALERT_NETWORKS": "here"}, "PDP_ALERT_NETWORKS"),
    ],
)
def test_an_incomplete_configuration_refuses_the_start(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    with servers.launch(tmp_path, **settings) as server:
        assert server.wait() == 78
    assert message in "".join(server.lines)
