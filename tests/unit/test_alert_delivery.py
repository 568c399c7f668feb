"""From recorded decisions to a webhook: what is said, once a window, again until it is taken."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.domain.decision import Match
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
from tests.support.certificates import authority
from tests.support.records import card, record, recorded
from tests.support.siem_product import Product, Say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST = DeliveryTiming(
    linger_s=0.05, poll_s=0.02, min_backoff_s=0.001, max_backoff_s=0.005, grace_s=60.0
)


@pytest.fixture
def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    signer = authority()
    ca_file, _ = signer.write(tmp_path, "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    certificate, key = signer.signs("localhost").write(tmp_path, "server")
    with Product(lambda _: Say(200, "ok"), (str(certificate), str(key))) as product:
        yield product


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    made = started(tmp_path)
    yield made
    made.close()


def started(directory: Path, **settings: Any) -> Exporter:
    whole = {
        "destinations": AllowedDestinations(parse_networks("127.0.0.0/8,::1/128")),
        "timing": FAST,
        **settings,
    }
    made = Exporter(ExportSettings(directory, **whole), {})
    made.start()
    return made


def policy(
    slack: Product, name: str = "High risk", place: str = "T/B/s3cret", **condition: Any
) -> OrgPolicy:
    webhook = f"https://localhost:{slack.port}/services/{place}"
    rule = {"name": name, "condition": condition, "notify": {"slack_webhook_url": webhook}}
    return OrgPolicy(alert_rules=[rule])


def opened(directory: Path) -> Spool:
    return Spool(directory / SPOOL_NAME, 1_000_000)


def test_a_decision_that_meets_a_rule_is_told_of(exporter: Exporter, slack: Product) -> None:
    rules = policy(slack, risk_level_gte="high")
    exporter.consume(recorded(record(1, score=55), policy=rules))
    exporter.consume(recorded(record(2), policy=rules))
    slack.until(lambda: len(slack.asked) == 1)
    message = slack.asked[0].json
    assert message["text"] == "High risk: BLOCK (not allowed)"
    header, who, why = message["blocks"]
    assert header["text"] == {"type": "plain_text", "text": message["text"]}
    said = {each["text"] for each in who["fields"]}
    assert said == {
        "*Risk*\n65 (high)",
        "*Tenant*\nacme",
        "*User*\nu1",
        "*Agent*\nclaude-code",
        "*Action*\ndatabase:table:drop",
        "*Model*\nopenai/gpt-4o",
        "*Decision*\ndecision-2",
        "*Time*\n2026-09-21T14:13:22.250Z",
    }
    assert why["text"]["text"] == ("SQL injection\nstatic: UNION injection (block, critical)")


def test_what_is_said_holds_no_text_and_is_within_slacks_bounds() -> None:
    told = card(1, redacted_text="Pay with [REDACTED]", subject=RecordedSubject("<!channel>" * 300))
    many = tuple(Match("dlp", f"r{n}", "x" * 250, "redact", "high", "why") for n in range(20))
    message = alert_message("Rule & <name> " + "x" * 300, told._replace(matches=many), 3).decode()
    assert "Pay with" not in message
    assert "<!channel>" not in message
    assert "and 15 more" in message
    assert "3 similar alerts" in message

    header, who, why, _ = json.loads(message)["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert all(len(each["text"]) <= 2000 for each in who["fields"])
    assert len(why["text"]["text"]) <= 3000


def test_alike_decisions_are_told_of_once_a_window(tmp_path: Path, slack: Product) -> None:
    exporter = started(tmp_path, window_s=3600.0)
    rules = policy(slack)
    other = record(9, subject=RecordedSubject("u2"))
    exporter.consume(recorded(*(record(number) for number in range(5)), other, policy=rules))
    slack.until(lambda: len(slack.asked) == 2)
    exporter.close()
    told = [each.json["blocks"][1]["fields"][6]["text"] for each in slack.asked]
    assert told == ["*Decision*\ndecision-0", "*Decision*\ndecision-9"]
    spool = opened(tmp_path)
    spool._connection.execute("UPDATE windows SET ends_at = 1")
    outbox.close_windows(spool)
    [alert] = spool.due_alerts(10)
    assert b"High risk: 4 more similar alerts" in alert.body
    assert spool._connection.execute("SELECT COUNT(*) FROM windows").fetchone() == (0,)
    spool.close()


def test_what_was_suppressed_is_told_with_the_next(tmp_path: Path, slack: Product) -> None:
    spool = opened(tmp_path)
    met = outbox.AlertMatcher().match(
        recorded(record(1), record(2), record(3), policy=policy(slack))
    )
    outbox.enqueue(spool, met, 3600.0)
    spool._connection.execute("UPDATE windows SET ends_at = 1")
    outbox.enqueue(spool, met[:1], 3600.0)
    first, second = spool.due_alerts(10)
    assert b"similar alert" not in first.body
    assert b"2 similar alerts since the last message" in second.body
    spool.close()


def test_without_a_window_all_are_told_of(tmp_path: Path, slack: Product) -> None:
    exporter = started(tmp_path, window_s=0.0)
    exporter.consume(recorded(*(record(number) for number in range(5)), policy=policy(slack)))
    slack.until(lambda: len(slack.asked) == 5)
    exporter.close()


def test_a_webhook_that_is_down_is_tried_again(exporter: Exporter, slack: Product) -> None:
    slack.said.extend([Say(500), Say(reset=True), Say(429), Say(raw=b"no\r\n\r\n")])
    exporter.consume(recorded(record(1), policy=policy(slack)))
    slack.until(lambda: len(slack.asked) == 5)
    assert len({each.body for each in slack.asked}) == 1


def test_a_webhook_that_does_not_answer_holds_up_no_other(
    exporter: Exporter, slack: Product
) -> None:
    """It may be another tenant's, who has made it so."""
    never = threading.Event()
    slack.said.append(Say(200, wait=never))
    exporter.consume(recorded(record(1), policy=policy(slack)))
    slack.until(lambda: len(slack.asked) == 1)
    exporter.consume(recorded(record(2), policy=policy(slack, "Other", "T/B/another")))
    slack.until(lambda: len(slack.asked) == 2)
    assert slack.asked[1].path == "/services/T/B/another"
    never.set()


def test_alerts_of_one_webhook_come_in_order(exporter: Exporter, slack: Product) -> None:
    first = threading.Event()
    slack.said.append(Say(200, wait=first))
    rules = policy(slack)
    for number in range(3):
        who = RecordedSubject(f"u{number}")
        exporter.consume(recorded(record(number, subject=who), policy=rules))
    slack.until(lambda: len(slack.asked) == 1)
    first.set()
    slack.until(lambda: len(slack.asked) == 3)
    users = [each.json["blocks"][1]["fields"][2]["text"] for each in slack.asked]
    assert users == ["*User*\nu0", "*User*\nu1", "*User*\nu2"]


def test_what_is_never_taken_is_a_dead_letter_that_can_be_sent_again(
    tmp_path: Path, slack: Product
) -> None:
    exporter = started(tmp_path)
    slack.said.extend([Say(404, "no_service"), *[Say(500)] * sender.MAX_ATTEMPTS])
    exporter.consume(recorded(record(1), policy=policy(slack)))
    slack.until(lambda: len(slack.asked) == 1)
    exporter.consume(recorded(record(2), policy=policy(slack, "Other")))
    slack.until(lambda: len(slack.asked) == 1 + sender.MAX_ATTEMPTS)
    exporter.close()
    spool = opened(tmp_path)
    refused, given_up = spool.dead_letters()
    assert (refused.kind, refused.destination, refused.uid) == (
        "alert",
        "acme/High risk",
        "decision-1",
    )
    assert refused.reason == "HTTP 404 no_service"
    assert given_up.reason == f"{sender.MAX_ATTEMPTS} attempts: HTTP 500"
    assert spool.resend([given_up.id]) == 1
    assert [each.id for each in spool.dead_letters()] == [refused.id]
    spool.close()
    again = started(tmp_path)
    slack.until(lambda: len(slack.asked) == 2 + sender.MAX_ATTEMPTS)
    again.close()
    assert slack.asked[-1].body == slack.asked[-2].body


async def test_a_webhook_that_is_refused_is_a_dead_letter_at_once(
    tmp_path: Path, slack: Product
) -> None:
    spool = opened(tmp_path)
    outbox.enqueue(
        spool, outbox.AlertMatcher().match(recorded(record(1), policy=policy(slack))), 0.0
    )
    sending = asyncio.create_task(sender.AlertSender(WebhookClient(), spool, FAST).run())
    while not spool.dead_letters():  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0)
    sending.cancel()
    [letter] = spool.dead_letters()
    spool.close()
    assert letter.reason == "the webhook is refused: its address is not public"
    assert slack.asked == []


def test_alerts_that_nobody_takes_do_not_fill_the_disk(
    tmp_path: Path, slack: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    spool = opened(tmp_path)
    decisions = recorded(*(record(number) for number in range(5)), policy=policy(slack))
    outbox.enqueue(spool, outbox.AlertMatcher().match(decisions), 0.0)
    assert spool.count_alerts() == 3
    assert spool.mark(ALERTS_DROPPED) == 2
    spool.close()
