"""From recorded decisions to a webhook: messages, de-duplication windows and retries."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.domain.decision import Match, Obligation, ObligationType, Outcome
from pdp.domain.decision_record import RecordedSubject
from pdp.domain.org_policy import OrgPolicy
from pdp.export.alerts import outbox, sender
from pdp.export.alerts.addresses import AllowedDestinations, parse_networks
from pdp.export.alerts.messages import alert_message
from pdp.export.alerts.webhook import WebhookClient
from pdp.export.deliveries import ExportSettings
from pdp.export.delivery_worker import DeliveryTiming
from pdp.export.exporter import SPOOL_NAME, Exporter
from pdp.export.spool import ALERTS_DROPPED, Spool
from tests.support.certificates import new_authority
from tests.support.records import card, record, recorded
from tests.support.siem_product import PlannedResponse, Product

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdp.domain.decision_record import DecisionRecord

FAST = DeliveryTiming(
    linger_s=0.05, poll_s=0.02, min_backoff_s=0.001, max_backoff_s=0.005, grace_s=60.0
)


@pytest.fixture
def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    signer = new_authority()
    ca_file, _ = signer.write(tmp_path, "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    certificate, key = signer.issue("localhost").write(tmp_path, "server")
    with Product(lambda _: PlannedResponse(200, "ok"), (str(certificate), str(key))) as product:
        yield product


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    new_exporter = started(tmp_path)
    yield new_exporter
    new_exporter.close()


def started(directory: Path, **settings: Any) -> Exporter:
    arguments = {
        "destinations": AllowedDestinations(parse_networks("127.0.0.0/8,::1/128")),
        "timing": FAST,
        **settings,
    }
    exporter = Exporter(ExportSettings(directory, **arguments), {})
    exporter.start()
    return exporter


def policy(
    slack: Product, name: str = "High risk", path: str = "T/B/s3cret", **condition: Any
) -> OrgPolicy:
    webhook = f"https://localhost:{slack.port}/services/{path}"
    rule = {"name": name, "condition": condition, "notify": {"slack_webhook_url": webhook}}
    return OrgPolicy(alert_rules=[rule])


def held(number: int, approval_id: str, **fields: Any) -> DecisionRecord:
    """Returns the record of a request that waits for an approval."""
    obligation = Obligation(
        ObligationType.APPROVAL,
        message="May it?",
        approval_id=approval_id,
        expires_at=1_790_003_600.0,
        token="s3cret-t0ken",
        approval_state="pending",
    )
    values = {"outcome": Outcome.ESCALATE, "obligations": (obligation,), **fields}
    return record(number, **values)


def open_spool(directory: Path) -> Spool:
    return Spool(directory / SPOOL_NAME, 1_000_000)


def test_a_decision_that_matches_a_rule_is_alerted(exporter: Exporter, slack: Product) -> None:
    rules = policy(slack, risk_level_gte="high")
    exporter.consume(recorded(record(1, score=55), policy=rules))
    exporter.consume(recorded(record(2), policy=rules))
    slack.until(lambda: len(slack.requests) == 1)
    message = slack.requests[0].json
    assert message["text"] == "High risk: BLOCK (not allowed)"
    header, details, reasons = message["blocks"]
    assert header["text"] == {"type": "plain_text", "text": message["text"]}
    texts = {each["text"] for each in details["fields"]}
    assert texts == {
        "*Risk*\n65 (high)",
        "*Tenant*\nacme",
        "*User*\nu1",
        "*Agent*\nclaude-code",
        "*Action*\ndatabase:table:drop",
        "*Model*\nopenai/gpt-4o",
        "*Decision*\ndecision-2",
        "*Time*\n2026-09-21T14:13:22.250Z",
    }
    assert reasons["text"]["text"] == ("SQL injection\nstatic: UNION injection (block, critical)")


def test_a_message_contains_no_text_of_the_request_and_keeps_the_limits_of_slack() -> None:
    decision = card(
        1, redacted_text="Pay with [REDACTED]", subject=RecordedSubject("<!channel>" * 300)
    )
    many = tuple(Match("dlp", f"r{n}", "x" * 250, "redact", "high", "why") for n in range(20))
    message = alert_message(
        "Rule & <name> " + "x" * 300, decision._replace(matches=many), 3
    ).decode()
    assert "Pay with" not in message
    assert "<!channel>" not in message
    assert "and 15 more" in message
    assert "3 similar alerts" in message

    header, details, reasons, _ = json.loads(message)["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert all(len(each["text"]) <= 2000 for each in details["fields"])
    assert len(reasons["text"]["text"]) <= 3000


def test_a_request_for_an_approval_says_which_one_until_when_and_where() -> None:
    url = "https://pdp.example.com/base"
    message = json.loads(alert_message("Approvals", held(1, "01A"), 0, url))
    assert message["text"] == "Approvals: ESCALATE (not allowed)"
    _, details, _, link = message["blocks"]
    texts = {each["text"] for each in details["fields"]}
    assert {"*Approval*\n01A (pending)", "*Expires*\n2026-09-21T15:13:20.000Z"} <= texts
    assert len(texts) <= 10, "Slack accepts no more fields"
    assert link["text"]["text"] == f"<{url}/v1/approvals/01A|Show the approval>"


def test_a_message_has_no_token_and_without_a_url_no_link() -> None:
    message = alert_message("Approvals", held(1, "01A", redacted_text="Pay with"), 0, "").decode()
    assert "01A" in message
    for absent in ("s3cret-t0ken", "/v1/approvals", "Pay with"):
        assert absent not in message
    others = alert_message("All", record(1), 0, "https://pdp.example.com").decode()
    assert "pproval" not in others


def sent_alerts(directory: Path, *records: DecisionRecord) -> list[str]:
    """Returns the ids of the decisions whose alerts are sent; windows are long."""
    rules = OrgPolicy(
        alert_rules=[{"name": "All", "notify": {"slack_webhook_url": "https://localhost/"}}]
    )
    spool = open_spool(directory)
    outbox.enqueue(spool, outbox.AlertMatcher().match(recorded(*records, policy=rules)), 3600.0)
    uids = [each.uid for each in spool.due_alerts(10)]
    spool.close()
    return uids


def test_alerts_about_different_approvals_are_never_merged(tmp_path: Path) -> None:
    asked = [held(1, "01A"), held(2, "01B"), held(3, "01A"), held(4, "01B")]
    assert sent_alerts(tmp_path, *asked) == ["decision-1", "decision-2"]


def test_alerts_about_approvals_without_an_id_are_not_merged(tmp_path: Path) -> None:
    bare = [held(number, "01A", obligations=()) for number in (1, 2)]
    assert sent_alerts(tmp_path, *bare) == ["decision-1", "decision-2"]


def test_similar_decisions_are_alerted_once_per_window(tmp_path: Path, slack: Product) -> None:
    exporter = started(tmp_path, window_s=3600.0)
    rules = policy(slack)
    other = record(9, subject=RecordedSubject("u2"))
    exporter.consume(recorded(*(record(number) for number in range(5)), other, policy=rules))
    slack.until(lambda: len(slack.requests) == 2)
    exporter.close()
    texts = [each.json["blocks"][1]["fields"][6]["text"] for each in slack.requests]
    assert texts == ["*Decision*\ndecision-0", "*Decision*\ndecision-9"]
    spool = open_spool(tmp_path)
    spool._connection.execute("UPDATE windows SET ends_at = 1")
    outbox.close_windows(spool)
    [alert] = spool.due_alerts(10)
    assert b"High risk: 4 more similar alerts" in alert.body
    assert spool._connection.execute("SELECT COUNT(*) FROM windows").fetchone() == (0,)
    spool.close()


def test_suppressed_alerts_are_reported_with_the_next_one(tmp_path: Path, slack: Product) -> None:
    spool = open_spool(tmp_path)
    matches = outbox.AlertMatcher().match(
        recorded(record(1), record(2), record(3), policy=policy(slack))
    )
    outbox.enqueue(spool, matches, 3600.0)
    spool._connection.execute("UPDATE windows SET ends_at = 1")
    outbox.enqueue(spool, matches[:1], 3600.0)
    first, second = spool.due_alerts(10)
    assert b"similar alert" not in first.body
    assert b"2 similar alerts since the last message" in second.body
    spool.close()


def test_without_a_window_every_decision_is_alerted(tmp_path: Path, slack: Product) -> None:
    exporter = started(tmp_path, window_s=0.0)
    exporter.consume(recorded(*(record(number) for number in range(5)), policy=policy(slack)))
    slack.until(lambda: len(slack.requests) == 5)
    exporter.close()


def test_an_alert_is_retried_while_the_webhook_is_down(exporter: Exporter, slack: Product) -> None:
    slack.responses.extend(
        [
            PlannedResponse(500),
            PlannedResponse(reset=True),
            PlannedResponse(429),
            PlannedResponse(raw=b"no\r\n\r\n"),
        ]
    )
    exporter.consume(recorded(record(1), policy=policy(slack)))
    slack.until(lambda: len(slack.requests) == 5)
    assert len({each.body for each in slack.requests}) == 1


def test_a_webhook_that_does_not_answer_does_not_delay_others(
    exporter: Exporter, slack: Product
) -> None:
    """Another tenant may have caused this on purpose."""
    never = threading.Event()
    slack.responses.append(PlannedResponse(200, wait=never))
    exporter.consume(recorded(record(1), policy=policy(slack)))
    slack.until(lambda: len(slack.requests) == 1)
    exporter.consume(recorded(record(2), policy=policy(slack, "Other", "T/B/another")))
    slack.until(lambda: len(slack.requests) == 2)
    assert slack.requests[1].path == "/services/T/B/another"
    never.set()


def test_the_alerts_of_a_webhook_arrive_in_order(exporter: Exporter, slack: Product) -> None:
    first = threading.Event()
    slack.responses.append(PlannedResponse(200, wait=first))
    rules = policy(slack)
    for number in range(3):
        subject = RecordedSubject(f"u{number}")
        exporter.consume(recorded(record(number, subject=subject), policy=rules))
    slack.until(lambda: len(slack.requests) == 1)
    first.set()
    slack.until(lambda: len(slack.requests) == 3)
    users = [each.json["blocks"][1]["fields"][2]["text"] for each in slack.requests]
    assert users == ["*User*\nu0", "*User*\nu1", "*User*\nu2"]


def test_an_alert_that_is_never_accepted_is_a_dead_letter_and_can_be_resent(
    tmp_path: Path, slack: Product
) -> None:
    exporter = started(tmp_path)
    slack.responses.extend(
        [PlannedResponse(404, "no_service"), *[PlannedResponse(500)] * sender.MAX_ATTEMPTS]
    )
    exporter.consume(recorded(record(1), policy=policy(slack)))
    slack.until(lambda: len(slack.requests) == 1)
    exporter.consume(recorded(record(2), policy=policy(slack, "Other")))
    slack.until(lambda: len(slack.requests) == 1 + sender.MAX_ATTEMPTS)
    exporter.close()
    spool = open_spool(tmp_path)
    refused_letter, expired_letter = spool.dead_letters()
    assert (refused_letter.kind, refused_letter.destination, refused_letter.uid) == (
        "alert",
        "acme/High risk",
        "decision-1",
    )
    assert refused_letter.reason == "HTTP 404 no_service"
    assert expired_letter.reason == f"{sender.MAX_ATTEMPTS} attempts: HTTP 500"
    assert spool.resend([expired_letter.id]) == 1
    assert [each.id for each in spool.dead_letters()] == [refused_letter.id]
    spool.close()
    again = started(tmp_path)
    slack.until(lambda: len(slack.requests) == 2 + sender.MAX_ATTEMPTS)
    again.close()
    assert slack.requests[-1].body == slack.requests[-2].body


async def test_an_alert_for_a_forbidden_webhook_is_a_dead_letter_at_once(
    tmp_path: Path, slack: Product
) -> None:
    spool = open_spool(tmp_path)
    outbox.enqueue(
        spool, outbox.AlertMatcher().match(recorded(record(1), policy=policy(slack))), 0.0
    )
    task = asyncio.create_task(sender.AlertSender(WebhookClient(), spool, FAST).run())
    while not spool.dead_letters():  # noqa: ASYNC110 - a file has no events
        await asyncio.sleep(0)
    task.cancel()
    [letter] = spool.dead_letters()
    spool.close()
    assert letter.reason == "the webhook is refused: its address is not public"
    assert slack.requests == []


def test_the_number_of_queued_alerts_is_bounded(
    tmp_path: Path, slack: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    spool = open_spool(tmp_path)
    decisions = recorded(*(record(number) for number in range(5)), policy=policy(slack))
    outbox.enqueue(spool, outbox.AlertMatcher().match(decisions), 0.0)
    assert spool.count_alerts() == 3
    assert spool.mark(ALERTS_DROPPED) == 2
    spool.close()
