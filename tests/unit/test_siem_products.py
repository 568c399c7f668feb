"""The protocol of each product: requests and responses as its documentation describes them."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import pytest

from pdp.export.siem.base import DeliveryFailed, Refusal
from tests.support.records import NOW
from tests.support.siem import connected, events, uids
from tests.support.siem_product import PlannedResponse, Product, ReceivedRequest
from tests.unit.test_siem_http import ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = socket.gethostname()


def product_with(
    response: Callable[[ReceivedRequest], PlannedResponse] | PlannedResponse,
) -> Product:
    return Product(response if callable(response) else lambda _: response)


def body_uids(documents: list[Any]) -> list[str]:
    return [each["metadata"]["uid"] for each in documents]


class TestSplunk:
    OK = PlannedResponse(200, {"text": "Success", "code": 0})

    async def test_a_batch_is_a_sequence_of_json_objects(self) -> None:
        with product_with(self.OK) as product:
            more = {"SPLUNK_HEC_INDEX": "audit", "SPLUNK_HEC_SOURCE": "gateway"}
            environ = {"SPLUNK_HEC_URL": f"{product.url}/services/collector/", **more}
            async with connected("splunk", SPLUNK_HEC_TOKEN="tok", **environ) as connector:
                assert await connector.send(events(3)) == ()
                assert connector.config_summary() == {"hec_url": product.url, "index": "audit"}
        [request] = product.requests
        assert (request.method, request.path) == ("POST", "/services/collector/event")
        assert request.headers["authorization"] == "Splunk tok"
        assert body_uids([each.pop("event") for each in request.lines]) == uids(3)
        assert [each["time"] for each in request.lines] == [NOW + 1, NOW + 2, NOW + 3]
        common = {"host": HOST, "source": "gateway", "sourcetype": "ocsf:json", "index": "audit"}
        assert {**request.lines[0], "time": 0, "event": 0} == {**common, "time": 0, "event": 0}

    @pytest.mark.parametrize("body", [b"", b"[]", b"<html>", {"text": "No", "code": 9}])
    async def test_only_code_0_is_success(self, body: Any) -> None:
        with product_with(PlannedResponse(200, body)) as product:
            async with connected("splunk", **ENVIRONMENTS["splunk"](product.url)) as connector:
                with pytest.raises(DeliveryFailed):
                    await connector.send(events(1))

    async def test_a_wrong_index_is_retried(self) -> None:
        with product_with(PlannedResponse(400, {"text": "Incorrect index", "code": 7})) as product:
            async with connected("splunk", **ENVIRONMENTS["splunk"](product.url)) as connector:
                with pytest.raises(DeliveryFailed, match="Incorrect index"):
                    await connector.send(events(1))

    async def test_health_is_that_of_the_collector(self) -> None:
        with product_with(PlannedResponse(200, {"text": "HEC is healthy", "code": 17})) as product:
            async with connected("splunk", **ENVIRONMENTS["splunk"](product.url)) as connector:
                assert await connector.check() == ""
                product.responses.append(
                    PlannedResponse(503, {"text": "HEC is unhealthy", "code": 18})
                )
                with pytest.raises(DeliveryFailed, match="unhealthy"):
                    await connector.check()
        assert product.requests[0].path == "/services/collector/health"


def bulk(request: ReceivedRequest) -> PlannedResponse:
    """Responds as the bulk API of Elastic: all documents were created."""
    items = [
        {"create": {"_id": each["create"]["_id"], "status": 201}} for each in request.lines[::2]
    ]
    return PlannedResponse(200, {"errors": False, "items": items})


def items(*statuses: int) -> PlannedResponse:
    results = [
        {"create": {"status": each, "error": {"type": "kind", "reason": "why"}}}
        for each in statuses
    ]
    return PlannedResponse(200, {"errors": True, "items": results})


class TestElastic:
    async def test_each_event_is_created_under_its_own_id(self) -> None:
        with product_with(bulk) as product:
            environ = ENVIRONMENTS["elastic"](product.url)
            async with connected("elastic", **environ, ELASTIC_INDEX="logs-pdp") as connector:
                assert await connector.send(events(2)) == []
                summary = connector.config_summary()
        assert summary == {"url": product.url, "index": "logs-pdp"}
        [request] = product.requests
        assert (request.method, request.path) == ("POST", "/_bulk")
        assert request.headers["content-type"] == "application/x-ndjson"
        assert request.headers["authorization"].startswith("ApiKey ")
        assert request.body.endswith(b"\n")
        actions, documents = request.lines[::2], request.lines[1::2]
        assert actions == [{"create": {"_index": "logs-pdp", "_id": uid}} for uid in uids(2)]
        assert body_uids(documents) == uids(2)
        assert documents[0]["@timestamp"] == "2026-09-21T14:13:21.250Z"

    async def test_a_user_and_a_password_are_sent_as_basic_authentication(self) -> None:
        with product_with(bulk) as product:
            user = {"ELASTIC_USERNAME": "u", "ELASTIC_PASSWORD": "p"}
            async with connected("elastic", ELASTIC_URL=product.url, **user) as connector:
                await connector.send(events(1))
        expected = f"Basic {b64encode(b'u:p').decode()}"
        assert product.requests[0].headers["authorization"] == expected

    async def test_errors_of_items_are_refusals_or_failures(self) -> None:
        with product_with(items(201, 409, 400)) as product:
            async with connected("elastic", **ENVIRONMENTS["elastic"](product.url)) as connector:
                refusals = await connector.send(events(3))
                assert refusals == [Refusal(2, "status 400 kind: why")]
                for status in (403, 404, 429, 503):
                    product.responses.append(items(201, status, 400))
                    with pytest.raises(DeliveryFailed, match=f"status {status}"):
                        await connector.send(events(3))

    @pytest.mark.parametrize(
        "body",
        [
            {"items": []},
            {"errors": False},
            {"items": [{"create": {}}]},
            {"items": [{"index": {"status": 200}}]},
            {"items": ["x"]},
        ],
    )
    async def test_a_response_that_does_not_cover_the_event_is_a_failure(self, body: Any) -> None:
        with product_with(PlannedResponse(200, body)) as product:
            async with connected("elastic", **ENVIRONMENTS["elastic"](product.url)) as connector:
                with pytest.raises(DeliveryFailed):
                    await connector.send(events(1))

    async def test_health_is_that_of_the_cluster(self) -> None:
        with product_with(PlannedResponse(200, {"status": "green"})) as product:
            async with connected("elastic", **ENVIRONMENTS["elastic"](product.url)) as connector:
                assert await connector.check() == ""
                product.responses.append(PlannedResponse(200, {"status": "yellow"}))
                assert "yellow" in await connector.check()
                product.responses.append(PlannedResponse(200, {"status": "red"}))
                with pytest.raises(DeliveryFailed, match="red"):
                    await connector.check()
                product.responses.extend(
                    [PlannedResponse(410), PlannedResponse(200, {"name": "serverless"})]
                )
                assert await connector.check() == ""
        assert [each.path for each in product.requests][-3:] == ["/_cluster/health"] * 2 + ["/"]


class TestSentinel:
    async def test_records_go_to_the_stream_with_a_token(self) -> None:
        def azure(request: ReceivedRequest) -> PlannedResponse:
            if request.path == "/directory/oauth2/v2.0/token":
                return PlannedResponse(200, {"access_token": "granted", "expires_in": 3599})
            return PlannedResponse(204)

        with product_with(azure) as product:
            async with connected("sentinel", **ENVIRONMENTS["sentinel"](product.url)) as connector:
                assert await connector.send(events(2)) == ()
                assert await connector.send(events(1)) == ()
                assert "secret" not in str(connector.config_summary())
                product.responses.append(PlannedResponse(401))
                with pytest.raises(DeliveryFailed):
                    await connector.send(events(1))
                await connector.send(events(1))
        token, first, _, _, second_token, _ = product.requests
        assert token.path == second_token.path, "a refused token must not be used again"
        assert parse_qs(token.body.decode()) == {
            "grant_type": ["client_credentials"],
            "client_id": ["app"],
            "client_secret": ["sup3r-s3cret"],
            "scope": ["https://monitor.azure.com/.default"],
        }
        path = "/dataCollectionRules/dcr-1/streams/Custom-Pdp_CL?api-version=2023-01-01"
        assert (first.method, first.path) == ("POST", path)
        assert first.headers["authorization"] == "Bearer granted"
        assert body_uids(first.json) == uids(2)
        assert first.json[0]["TimeGenerated"] == "2026-09-21T14:13:21.250Z"

    @pytest.mark.parametrize(
        "response",
        [
            PlannedResponse(401, {"error": "invalid_client"}),
            PlannedResponse(200, {}),
            PlannedResponse(200, b"x"),
        ],
    )
    async def test_without_a_token_nothing_is_sent(self, response: PlannedResponse) -> None:
        with product_with(response) as product:
            async with connected("sentinel", **ENVIRONMENTS["sentinel"](product.url)) as connector:
                with pytest.raises(DeliveryFailed):
                    await connector.send(events(1))
                with pytest.raises(DeliveryFailed):
                    await connector.check()
        assert {each.path for each in product.requests} == {"/directory/oauth2/v2.0/token"}


class TestDatadog:
    async def test_logs_have_the_attributes_of_datadog(self) -> None:
        with product_with(PlannedResponse(202, b"{}")) as product:
            environ = ENVIRONMENTS["datadog"](product.url)
            async with connected("datadog", **environ, DATADOG_TAGS="env:prod") as connector:
                assert await connector.send(events(2)) == ()
        [request] = product.requests
        assert (request.method, request.path) == ("POST", "/api/v2/logs")
        assert request.headers["dd-api-key"] == "sup3r-s3cret"
        first = request.json[0]
        assert body_uids([each["ocsf"] for each in request.json]) == uids(2)
        assert first["message"] == first["ocsf"]["message"]
        assert (first["ddsource"], first["service"], first["hostname"]) == ("pdp", "pdp", HOST)
        assert (first["ddtags"], first["status"]) == ("env:prod", "error")
        assert first["timestamp"] == round((NOW + 1) * 1000)

    async def test_the_site_determines_the_hosts(self) -> None:
        environ = {"DATADOG_API_KEY": "k", "DATADOG_SITE": "datadoghq.eu"}
        async with connected("datadog", **environ) as connector:
            summary = connector.config_summary()
        assert summary["logs_url"] == "https://http-intake.logs.datadoghq.eu"

    async def test_health_is_that_of_the_api_key(self) -> None:
        with product_with(PlannedResponse(200, {"valid": True})) as product:
            async with connected("datadog", **ENVIRONMENTS["datadog"](product.url)) as connector:
                assert await connector.check() == ""
                product.responses.extend(
                    [PlannedResponse(403, {"errors": ["Forbidden"]}), PlannedResponse(200, {})]
                )
                for _ in range(2):
                    with pytest.raises(DeliveryFailed):
                        await connector.check()
        assert product.requests[0].path == "/api/v1/validate"


class TestSumoLogic:
    async def test_events_are_lines(self) -> None:
        with product_with(PlannedResponse(200)) as product:
            environ = ENVIRONMENTS["sumo_logic"](product.url)
            async with connected("sumo_logic", **environ, SUMO_LOGIC_CATEGORY="ai") as connector:
                assert await connector.send(events(3)) == ()
                assert connector.config_summary() == {"host": "127.0.0.1", "category": "ai"}
                assert await connector.check() == ""
                product.responses.append(PlannedResponse(401))
                with pytest.raises(DeliveryFailed, match="HTTP 401"):
                    await connector.check()
        first, empty, _ = product.requests
        assert (first.method, first.path) == ("POST", "/receiver/v1/http/sup3r-s3cret")
        assert first.headers["x-sumo-category"] == "ai"
        assert body_uids(first.lines) == uids(3)
        assert empty.body == b""


class TestOtlp:
    async def test_events_are_log_records(self) -> None:
        with product_with(PlannedResponse(200, {"partialSuccess": {}})) as product:
            environ = {"OTLP_LOGS_ENDPOINT": product.url, "OTLP_LOGS_HEADERS": "X-Key=a%20b"}
            async with connected("otlp", **environ) as connector:
                assert await connector.send(events(2)) == ()
                assert await connector.check() == ""
        request, empty = product.requests
        assert (request.method, request.path) == ("POST", "/v1/logs")
        assert (request.headers["content-type"], request.headers["x-key"]) == (
            "application/json",
            "a b",
        )
        [logs] = request.json["resourceLogs"]
        assert {"key": "service.name", "value": {"stringValue": "pdp"}} in logs["resource"][
            "attributes"
        ]
        [scope] = logs["scopeLogs"]
        records = scope["logRecords"]
        assert body_uids([json.loads(each["body"]["stringValue"]) for each in records]) == uids(2)
        assert records[0]["timeUnixNano"] == str(round((NOW + 1) * 1000) * 1_000_000)
        assert (records[0]["severityNumber"], records[0]["severityText"]) == (17, "ERROR")
        assert empty.json == {"resourceLogs": []}

    async def test_a_partial_success_refuses_the_whole_batch(self) -> None:
        body = {"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too old"}}
        with product_with(PlannedResponse(200, body)) as product:
            async with connected("otlp", **ENVIRONMENTS["otlp"](product.url)) as connector:
                refusals = await connector.send(events(2))
        assert [each.position for each in refusals] == [0, 1]
        assert "too old" in refusals[0].reason
