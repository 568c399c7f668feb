"""The organisation policy API over HTTP, from the first operation to the last, and its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import org_policy_pb2 as pb
from pdp._gen.pdp.v1.org_policy_pb2_grpc import OrgPolicyServiceStub

if TYPE_CHECKING:
    import grpc
    import httpx2


PATH: Final = "/v1/org/policy"
WEBHOOK: Final = "https://hooks.slack.com/services/T.../B.../xxx"
DEFAULT: Final = {
    "logging_level": "standard",
    "frameworks": {"gdpr": True, "ai_act": True, "soc2": False},
    "alert_rules": [],
    "blocking_rules": {"enabled": False, "block_on": "critical"},
}


def rule(condition: Any = None, name: str = "Rule", url: str = WEBHOOK) -> dict[str, Any]:
    document: dict[str, Any] = {"name": name, "notify": {"slack_webhook_url": url}}
    return document if condition is None else {**document, "condition": condition}


def put(client: httpx2.Client, body: Any) -> httpx2.Response:
    return client.put(PATH, json=body)


def fields(answer: httpx2.Response) -> list[str]:
    return [each["field"] for each in answer.json()["error"]["details"]]


class TestPolicy:
    """The operations in the order of the API's contract."""

    def test_the_default(self, client: httpx2.Client) -> None:
        answer = client.get(PATH)
        assert (answer.status_code, answer.json()) == (200, DEFAULT)
        assert list(answer.json()) == list(DEFAULT)

    def test_paranoid_mode(self, client: httpx2.Client) -> None:
        blocking = {"enabled": True, "block_on": "high"}
        answer = put(client, {"logging_level": "paranoid", "blocking_rules": blocking})
        expected = {**DEFAULT, "logging_level": "paranoid", "blocking_rules": blocking}
        assert (answer.status_code, answer.json()) == (200, expected)
        assert client.get(PATH).json() == expected

    def test_alert_rules(self, client: httpx2.Client) -> None:
        rules = [rule({"risk_level_gte": "high", "pii_detected": True}, "High risk with PII")]
        answer = put(client, {"alert_rules": rules})
        assert (answer.status_code, answer.json()) == (200, {**DEFAULT, "alert_rules": rules})
        assert client.get(PATH).json()["alert_rules"] == rules

    def test_all_conditions(self, client: httpx2.Client) -> None:
        full = {
            "risk_level_gte": "high",
            "action_contains": "shell",
            "pii_detected": True,
            "agent_id_eq": "claude-code",
            "approval_requested": True,
        }
        assert put(client, {"alert_rules": [rule(full)]}).json()["alert_rules"] == [rule(full)]

    @pytest.mark.parametrize("level", ["minimal", "standard", "full", "paranoid"])
    def test_every_logging_level(self, client: httpx2.Client, level: str) -> None:
        assert put(client, {"logging_level": level}).json() == {**DEFAULT, "logging_level": level}

    @pytest.mark.parametrize("level", ["medium", "high", "critical"])
    def test_every_level_to_block_on(self, client: httpx2.Client, level: str) -> None:
        answer = put(client, {"blocking_rules": {"block_on": level}})
        assert answer.json()["blocking_rules"] == {"enabled": False, "block_on": level}


class TestPartialUpdates:
    """Only fields in the request change."""

    def test_one_framework_can_be_changed(self, client: httpx2.Client) -> None:
        put(client, {"frameworks": {"soc2": True}})
        answer = put(client, {"frameworks": {"gdpr": False}})
        assert answer.json()["frameworks"] == {"gdpr": False, "ai_act": True, "soc2": True}

    def test_one_blocking_rule_can_be_changed(self, client: httpx2.Client) -> None:
        put(client, {"blocking_rules": {"block_on": "medium"}})
        answer = put(client, {"blocking_rules": {"enabled": True}})
        assert answer.json()["blocking_rules"] == {"enabled": True, "block_on": "medium"}

    def test_alert_rules_are_replaced_as_a_whole(self, client: httpx2.Client) -> None:
        put(client, {"alert_rules": [rule({}, "a"), rule({}, "b")]})
        assert put(client, {"logging_level": "full"}).json()["alert_rules"] == [
            rule({}, "a"),
            rule({}, "b"),
        ]
        assert put(client, {"alert_rules": [rule({}, "c")]}).json()["alert_rules"] == [
            rule({}, "c")
        ]
        assert put(client, {"alert_rules": []}).json()["alert_rules"] == []

    @pytest.mark.parametrize(
        "condition",
        [
            None,
            {},
            {"pii_detected": False},
            {"agent_id_eq": "claude-code"},
            {"approval_requested": False},
        ],
    )
    def test_a_condition_is_returned_as_posted(
        self, client: httpx2.Client, condition: dict[str, Any] | None
    ) -> None:
        posted = [rule(condition)]
        assert put(client, {"alert_rules": posted}).json()["alert_rules"] == posted
        assert client.get(PATH).json()["alert_rules"] == posted

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"logging_level": None},
            {"frameworks": None, "alert_rules": None, "blocking_rules": None},
            {"frameworks": {}, "blocking_rules": {"enabled": None}},
        ],
    )
    def test_null_and_missing_fields_change_nothing(
        self, client: httpx2.Client, body: dict[str, Any]
    ) -> None:
        before = put(client, {"logging_level": "full", "alert_rules": [rule()]})
        after = put(client, body)
        assert (after.status_code, after.json()) == (200, before.json())
        assert after.headers["etag"] == before.headers["etag"]

    def test_a_complete_policy_is_accepted(self, client: httpx2.Client) -> None:
        whole = {**DEFAULT, "logging_level": "full", "alert_rules": [rule({"pii_detected": True})]}
        assert put(client, whole).json() == whole

    def test_names_in_lower_camel_case_are_accepted(self, client: httpx2.Client) -> None:
        answer = put(client, {"loggingLevel": "full", "blockingRules": {"blockOn": "high"}})
        assert answer.json()["logging_level"] == "full"
        assert answer.json()["blocking_rules"]["block_on"] == "high"

    def test_an_empty_list_over_grpc(self, channel: grpc.Channel, tenant: str) -> None:
        stub: Any = OrgPolicyServiceStub(channel)
        metadata = [("x-tenant-id", tenant)]
        rules = [pb.AlertRule(name="A", notify=pb.AlertNotify(slack_webhook_url=WEBHOOK))]
        message = pb.UpdateOrgPolicyRequest(alert_rules=pb.AlertRules(alert_rules=rules))
        assert len(stub.UpdateOrgPolicy(message, metadata=metadata).policy.alert_rules) == 1
        message = pb.UpdateOrgPolicyRequest(logging_level="full")
        assert len(stub.UpdateOrgPolicy(message, metadata=metadata).policy.alert_rules) == 1
        message = pb.UpdateOrgPolicyRequest(alert_rules=pb.AlertRules())
        assert not stub.UpdateOrgPolicy(message, metadata=metadata).policy.alert_rules


class TestRefusals:
    """An invalid value in valid JSON is 422 and names the field; other errors are 400."""

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"logging_level": "loud"}, "logging_level"),
            ({"logging_level": "Standard"}, "logging_level"),
            ({"logging_level": ""}, "logging_level"),
            ({"logging_level": 3}, "logging_level"),
            ({"log_level": "full"}, "log_level"),
            ({"soc2": None}, "soc2"),
            ({"frameworks": []}, "frameworks"),
            ({"frameworks": {"gdpr": "yes"}}, "frameworks.gdpr"),
            ({"frameworks": {"hipaa": True}}, "frameworks.hipaa"),
            ({"blocking_rules": {"block_on": "low"}}, "blocking_rules.block_on"),
            ({"blocking_rules": {"block_on": "HIGH"}}, "blocking_rules.block_on"),
            ({"blocking_rules": {"enabled": 1}}, "blocking_rules.enabled"),
            ({"blocking_rules": {"from": "high"}}, "blocking_rules.from"),
            ({"alert_rules": {}}, "alert_rules"),
            ({"alert_rules": [3]}, "alert_rules[0]"),
            ({"alert_rules": [rule(), {"name": "x"}]}, "alert_rules[1].notify"),
            ({"alert_rules": [{"notify": {"slack_webhook_url": WEBHOOK}}]}, "alert_rules[0].name"),
            ({"alert_rules": [rule(name=" ")]}, "alert_rules[0].name"),
            ({"alert_rules": [rule(name="x" * 257)]}, "alert_rules[0].name"),
            ({"alert_rules": [{**rule(), "when": {}}]}, "alert_rules[0].when"),
            ({"alert_rules": [rule({"risk": "high"})]}, "alert_rules[0].condition.risk"),
            (
                {"alert_rules": [rule({"risk_level_gte": "severe"})]},
                "alert_rules[0].condition.risk_level_gte",
            ),
            (
                {"alert_rules": [rule({"action_contains": ""})]},
                "alert_rules[0].condition.action_contains",
            ),
            (
                {"alert_rules": [rule({"pii_detected": "no"})]},
                "alert_rules[0].condition.pii_detected",
            ),
            (
                {"alert_rules": [rule({"approval_requested": "yes"})]},
                "alert_rules[0].condition.approval_requested",
            ),
            (
                {"alert_rules": [rule({"agent_id_eq": "x" * 257})]},
                "alert_rules[0].condition.agent_id_eq",
            ),
            ({"alert_rules": [rule()] * 101}, "alert_rules"),
        ],
    )
    def test_invalid_values_are_refused(
        self, client: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        answer = put(client, body)
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"
        assert field in fields(answer)
        assert client.get(PATH).json() == DEFAULT

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http://hooks.slack.com/services/T/B/x",
            "hooks.slack.com",
            "ftp://hooks.slack.com/x",
            "https://",
            "https:///x",
            "https://user:secret@hooks.slack.com/x",
            "https://hooks.slack.com/a b",
            "https://hooks.slack.com/\n",
            "https://hooks.slack.com/" + "x" * 2048,
        ],
    )
    def test_invalid_webhooks_are_refused(self, client: httpx2.Client, url: str) -> None:
        answer = put(client, {"alert_rules": [rule(url=url)]})
        assert answer.status_code == 422
        assert "alert_rules[0].notify.slack_webhook_url" in fields(answer)

    def test_all_errors_are_reported(self, client: httpx2.Client) -> None:
        answer = put(client, {"loud": 1, "frameworks": {"hipaa": True}, "alert_rules": "x"})
        assert set(fields(answer)) == {"loud", "frameworks.hipaa", "alert_rules"}

    def test_a_partly_invalid_policy_is_not_written(self, client: httpx2.Client) -> None:
        assert put(client, {"logging_level": "full", "alert_rules": [{}]}).status_code == 422
        assert client.get(PATH).json() == DEFAULT

    @pytest.mark.parametrize("body", [b"[]", b'"paranoid"', b"null", b"1"])
    def test_bodies_must_be_objects(self, client: httpx2.Client, body: bytes) -> None:
        """The body is valid JSON, so the error is 422 for its value."""
        answer = client.put(PATH, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert fields(answer) == ["body"]

    @pytest.mark.parametrize("body", [b"", b"{", b'{"logging_level": full}'])
    def test_malformed_bodies_are_refused(self, client: httpx2.Client, body: bytes) -> None:
        answer = client.put(PATH, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "MALFORMED_REQUEST"

    @pytest.mark.parametrize("verb", ["POST", "PATCH", "DELETE"])
    def test_other_methods_are_refused(self, client: httpx2.Client, verb: str) -> None:
        answer = client.request(verb, PATH)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, PUT, HEAD, OPTIONS"


class TestDeciding:
    """The policy applies to the next decision."""

    def test_the_policy_blocks_requests(self, client: httpx2.Client) -> None:
        body = {"content": {"text": "PROJ-1234"}}
        policy = {"name": "P", "category": "custom", "pattern": "PROJ-", "action": "log"}
        client.post("/api/v1/static-policies", json=policy)
        assert client.post("/v1/decide", json=body).json()["outcome"] == "ALLOW"
        put(client, {"blocking_rules": {"enabled": True, "block_on": "medium"}})
        decision = client.post("/v1/decide", json=body).json()
        assert (decision["outcome"], decision["reason_code"]) == ("BLOCK", "ORG_RISK_BLOCK")
        put(client, {"blocking_rules": {"block_on": "high"}})
        assert client.post("/v1/decide", json=body).json()["outcome"] == "ALLOW"

    def test_an_overlay_is_simulated(self, client: httpx2.Client) -> None:
        policy = {"name": "P", "category": "custom", "pattern": "PROJ-", "action": "warn"}
        client.post("/api/v1/static-policies", json=policy)
        body: dict[str, Any] = {"request": {"content": {"text": "PROJ-1234"}}}
        body["overlay"] = {"org_policy": {"blocking_rules": {"enabled": True, "block_on": "high"}}}
        calm = client.post("/v1/simulate", json=body).json()
        assert calm["decision"]["outcome"] == "WARN"
        org = next(each for each in calm["layers"] if each["layer"] == "org")
        assert org["reason"] == "risk medium (40) is below high"
        body["overlay"] = {"org_policy": {**DEFAULT, "logging_level": "paranoid"}}
        body["overlay"]["org_policy"]["blocking_rules"] = {"block_on": "medium"}
        strict = client.post("/v1/simulate", json=body).json()
        assert strict["decision"]["reason_code"] == "ORG_RISK_BLOCK"
        org = next(each for each in strict["layers"] if each["layer"] == "org")
        assert (org["outcome"], org["matches"][0]["policy_id"]) == ("BLOCK", "org_policy")
        assert client.get(PATH).json() == DEFAULT

    def test_an_overlay_is_validated_like_a_policy(self, client: httpx2.Client) -> None:
        for overlay, field in (
            ({"org_policy": {"logging_level": "loud"}}, "overlay.org_policy.logging_level"),
            ({"org_policy": {"alert_rules": [{}]}}, "overlay.org_policy.alert_rules[0].name"),
            ({"org_policy": {"loud": 1}}, "overlay.org_policy.loud"),
        ):
            answer = client.post("/v1/simulate", json={"request": {}, "overlay": overlay})
            assert (answer.status_code, field in fields(answer)) == (400, True)


def test_an_expression_comes_back_as_posted(client: httpx2.Client) -> None:
    rules = [rule({"expression": "'EMAIL' IN findings.types", "pii_detected": True})]
    assert put(client, {"alert_rules": rules}).json()["alert_rules"] == rules


def test_an_expression_that_does_not_compile_is_refused(client: httpx2.Client) -> None:
    before = client.get(PATH).json()
    answer = put(client, {"alert_rules": [rule(), rule({"expression": "findings.type = 'x'"})]})
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"] == "alert_rules[1].condition.expression"
    assert "did you mean findings.types?" in detail["reason"]
    assert client.get(PATH).json() == before


def test_a_mode_is_absent_until_it_is_set(client: httpx2.Client) -> None:
    assert "mode" not in client.get(PATH).json()
    assert put(client, {"mode": "monitor"}).json()["mode"] == "monitor"
    assert put(client, {"logging_level": "standard"}).json()["mode"] == "monitor"
    assert put(client, {"mode": "trial"}).status_code == 422
    put(client, {"mode": "enforce"})
