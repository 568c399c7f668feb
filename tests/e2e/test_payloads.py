"""Payloads over real transports: what is one decision, what is counted and recorded, and bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_documentation import blocks, includes, run
from tests.support.rest.packs import check_error, ok_json
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import httpx2

    from tests.support.servers import Server

CHAT = "/v1/decide/payload/openai.chat_completions"
CARD = "4111 1111 1111 1111"


def chat(*texts: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": each} for each in texts], **fields}


def test_the_examples_of_the_page_work(server: Server) -> None:
    examples = blocks("docs/payloads.md")
    shell = [index for index, (language, _) in enumerate(examples) if language == "sh"]
    assert len(shell) == 3
    for index in shell:
        done = run("sh", examples[index][1], server)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert "error" not in answer, answer
        if index + 1 < len(examples) and examples[index + 1][0] == "json":
            assert includes(answer, json.loads(examples[index + 1][1])), answer


def test_a_payload_is_one_request_to_limits(client: httpx2.Client) -> None:
    """However many parts it has."""
    limit = {"scope": "user", "subject_id": "ann", "daily_request_limit": 2}
    answer = client.post("/api/admin/limits", json=limit)
    assert answer.status_code == 201, answer.text
    ann = {"X-PDP-User": "ann"}
    outcomes = [
        ok_json(client.post(CHAT, json=chat(*"abcdef"), headers=ann))["outcome"] for _ in range(3)
    ]
    assert outcomes == ["ALLOW", "ALLOW", "BLOCK"]


def test_a_payload_has_one_record(client: httpx2.Client) -> None:
    """It has the redacted document, without media."""
    ok_json(client.put("/v1/org/policy", json={"logging_level": "full"}))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo"}}
    body = chat("hello", f"my card is {CARD}")
    body["messages"].append({"role": "user", "content": [image]})
    decision = ok_json(client.post(CHAT, json=body, headers={"X-PDP-User": "ann"}))

    def records() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ok_json(client.get("/api/admin/audit/records"))["records"]
        return found

    wait_until(lambda: len(records()) == 1, "the decision is recorded")
    [record] = records()
    assert record["decision_id"] == decision["decision_id"]
    assert record["payload_format"] == "openai.chat_completions"
    assert record["subject"]["user_id"] == "ann"
    messages = record["redacted_arguments"]["messages"]
    assert messages[1]["content"].startswith("my card is [")
    assert messages[2]["content"][0]["image_url"]["url"] == "[MEDIA]"
    assert CARD not in json.dumps(record)
    assert "iVBORw0KGgo" not in json.dumps(record)


def test_media_can_be_forbidden(client: httpx2.Client) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo"}}
    body = {"messages": [{"role": "user", "content": [image]}]}
    assert ok_json(client.post(CHAT, json=body))["outcome"] == "WARN"
    ok_json(client.put("/v1/tenant/settings", json={"unjudged": "block"}))
    decision = ok_json(client.post(CHAT, json=body))
    assert (decision["outcome"], decision["reason_code"]) == ("BLOCK", "UNJUDGED_CONTENT")
    assert decision["status_hint"] == 403
    assert ok_json(client.post(CHAT, json=chat("hello")))["outcome"] == "ALLOW"


def test_an_address_of_an_image_is_judged(client: httpx2.Client) -> None:
    """It is a text that goes to the provider."""
    url = f"https://cdn.example/a.png?card={CARD.replace(' ', '')}"
    part = {"type": "image_url", "image_url": {"url": url}}
    decision = ok_json(client.post(CHAT, json={"messages": [{"role": "user", "content": [part]}]}))
    assert decision["outcome"] == "REDACT"
    assert "unjudged" not in decision


def test_large_payloads_are_judged_whole(client: httpx2.Client) -> None:
    """A thread reads and judges them; the last of many texts counts like the first."""
    texts = [f"message {index} " + "word " * 200 for index in range(1000)]
    assert ok_json(client.post(CHAT, json=chat(*texts)))["outcome"] == "ALLOW"
    decision = ok_json(client.post(CHAT, json=chat(*texts, f"card {CARD}")))
    assert decision["outcome"] == "REDACT"
    redacted = json.loads(decision["redacted_payload"])
    assert redacted == chat(*texts, "card [REDACTED]")


def test_the_parts_share_the_work_of_one_decision(client: httpx2.Client) -> None:
    """What is too much in one text is too much in many, and passes in none."""
    cards = " ".join([CARD] * 20)
    few = chat(*[cards] * 20)
    assert ok_json(client.post(CHAT, json=few))["outcome"] == "REDACT"
    decision = ok_json(client.post(CHAT, json=chat(*[cards] * 1000)))
    assert (decision["outcome"], decision["reason_code"]) == ("BLOCK", "WORK_LIMIT_EXCEEDED")
    assert decision["incomplete"]


@pytest.mark.parametrize(
    ("path", "body", "headers", "field"),
    [
        (CHAT, b"", {}, "body"),
        (CHAT, b"\xff\xfe", {}, "body"),
        (CHAT, b'{"messages":[', {}, "payload.body"),
        (CHAT, b"[]", {}, "payload.body"),
        (CHAT, b'{"messages":[],"messages":[]}', {}, "payload.body"),
        (CHAT, b'{"messages":["\\ud800"]}', {}, "payload.body"),
        (CHAT, b"{" + b'"a":{' * 200, {}, "payload.body"),
        (CHAT, b'{"messages":[]}', {"content-encoding": "gzip"}, "Content-Encoding"),
        (CHAT, b'{"messages":[]}', {"x-pdp-direction": "output"}, "payload.body"),
        (CHAT, b'{"messages":[]}', {"x-pdp-direction": "sideways"}, "direction"),
        (CHAT, b'{"messages":[]}', {"x-pdp-history": "none"}, "payload.history"),
        (CHAT, b'{"messages":[]}', {"x-pdp-usr": "ann"}, "x-pdp-usr"),
        (CHAT, b'{"messages":[]}', {"x-pdp-user": "%ff"}, "x-pdp-user"),
        (CHAT, b'{"messages":[]}', {"x-pdp-user": "ann, bob"}, "x-pdp-user"),
        (CHAT, b'{"messages":[]}', {"x-pdp-explain": "1"}, "X-PDP-Explain"),
        ("/v1/decide/payload/openai.chat", b"{}", {}, "format"),
        ("/v1/decide/payload/detect", b'{"a":1}', {}, "payload.body"),
    ],
)
def test_what_cannot_be_read_is_refused(
    client: httpx2.Client, path: str, body: bytes, headers: dict[str, str], field: str
) -> None:
    check_error(client.post(path, content=body, headers=headers), 400, "INVALID_ARGUMENT", field)


def test_a_body_that_is_too_large_is_refused(client: httpx2.Client) -> None:
    answer = client.post("/v1/decide/payload/text", content=b"a" * (8 * 1024 * 1024 + 1))
    check_error(answer, 413, "REQUEST_TOO_LARGE")
    answer = client.post("/v1/decide/payload/text", content=b"a" * (1024 * 1024 + 1))
    check_error(answer, 400, "INVALID_ARGUMENT", "payload.body")


def test_headers_give_the_context(client: httpx2.Client) -> None:
    """Values may be percent-encoded."""
    policy = {
        "name": "Not for contractors",
        "category": "custom",
        "pattern": "zinc",
        "action": "block",
        "expression": "'contractors é' in groups and subject.agent_id == 'bot'",
    }
    assert client.post("/api/v1/static-policies", json=policy).status_code == 201
    text = "/v1/decide/payload/text"
    for groups in (b"staff, contractors%20%C3%A9", "staff,contractors é".encode()):
        headers = {b"X-PDP-Groups": groups, b"X-PDP-Agent": b"bot"}
        assert ok_json(client.post(text, content=b"zinc", headers=headers))["outcome"] == "BLOCK"
    assert ok_json(client.post(text, content=b"zinc"))["outcome"] == "ALLOW"


def test_a_refused_payload_is_counted(server: Server, client: httpx2.Client) -> None:
    """Although it reaches no endpoint."""

    def refused() -> float:
        """Returns the calls of Decide over HTTP that were refused as invalid."""
        labels = ('transport="http"', 'method="Decide"', 'code="INVALID_ARGUMENT"')
        lines = server.request("GET", "/metrics").text.splitlines()
        found = [each for each in lines if each.startswith("pdp_calls_total{")]
        return sum(float(each.split()[-1]) for each in found if all(map(each.count, labels)))

    before = refused()
    check_error(client.post(CHAT, content=b""), 400, "INVALID_ARGUMENT", "body")
    assert refused() > before


def test_a_simulation_judges_a_payload_and_records_nothing(client: httpx2.Client) -> None:
    request = {"payload": {"body": json.dumps(chat("hello", f"card {CARD}"))}, "explain": True}
    answer = ok_json(client.post("/v1/simulate", json={"request": request}))
    decision = answer["decision"]
    assert decision["outcome"] == "REDACT"
    assert json.loads(decision["redacted_payload"]) == chat("hello", "card [REDACTED]")
    assert [row for row in decision["trace"] if row["matched"]]
    assert {each["layer"] for each in answer["layers"]} >= {"static", "dlp"}


def test_a_replay_of_requests_refuses_payloads(client: httpx2.Client) -> None:
    body = {"requests": [{"payload": {"body": "{}"}}]}
    answer = client.post("/v1/simulate/replay", json=body)
    check_error(answer, 400, "INVALID_ARGUMENT", "requests[0].payload")
