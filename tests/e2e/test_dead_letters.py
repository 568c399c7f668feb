"""Dead letters and the health of alert rules over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp.export.exporter import SPOOL_NAME
from pdp.export.spool import Spool
from tests.support.servers import start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

LETTERS = "/api/admin/siem/dead-letters"
HEALTH = "/v1/org/policy/alerts/health"
SECRET = "T0KEN"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx2.Client]:
    """A client of a server whose spool has two dead letters of a SIEM, and one of an alert."""
    spool = Spool(tmp_path / SPOOL_NAME, 1_000_000)
    spool.attach(["splunk"])
    spool.append([(str(number), 1.0, b"body-of-the-event") for number in range(2)])
    batch = spool.batch("splunk", 2, 1_000_000)
    spool.acknowledge("splunk", batch, [(each, "HTTP 400") for each in batch])
    spool.add_alert("acme/High", f"https://hooks.example/{SECRET}", "d1", b"body-of-the-alert")
    spool.bury_alert(spool.due_alerts(1)[0], "12 attempts: no answer in time")
    spool.close()
    with start(tmp_path) as server, server.client("acme") as opened:
        yield opened


def groups(client: httpx2.Client) -> list[dict[str, Any]]:
    answer = client.get(LETTERS)
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    assert "body-of" not in answer.text
    listed: list[dict[str, Any]] = answer.json()["groups"]
    return listed


def test_dead_letters_are_listed_and_discarded(client: httpx2.Client) -> None:
    siem, alert = groups(client)
    assert (siem["kind"], siem["destination"], siem["reason"]) == ("siem", "splunk", "HTTP 400")
    assert (siem["count"], siem["size_bytes"]) == (2, 34)
    assert siem["since"] <= siem["until"]
    assert (alert["kind"], alert["destination"]) == ("alert", "acme/High")
    answer = client.post(f"{LETTERS}:discard", json={"destination": "splunk"})
    assert (answer.status_code, answer.json()) == (200, {"discarded": 2})
    assert groups(client) == [alert]


def test_dead_letters_are_sent_again(client: httpx2.Client) -> None:
    answer = client.post(f"{LETTERS}:retry", json={"all": True})
    assert (answer.status_code, answer.json()) == (200, {"retried": 3})
    assert not [each for each in groups(client) if each["kind"] == "siem"]


@pytest.mark.parametrize("verb", ["retry", "discard"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "all"),
        ({"all": False}, "all"),
        ({"all": True, "kind": "siem"}, "all"),
        ({"kind": "mail"}, "kind"),
    ],
)
def test_nothing_is_done_by_accident(
    client: httpx2.Client, verb: str, body: dict[str, Any], field: str
) -> None:
    answer = client.post(f"{LETTERS}:{verb}", json=body)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [field]
    assert len(groups(client)) == 2


def test_the_health_of_alert_rules_is_by_rule(client: httpx2.Client) -> None:
    rules = [
        {
            "name": name,
            "condition": {"risk_level_gte": "high"},
            "notify": {"slack_webhook_url": f"https://hooks.example/{SECRET}"},
        }
        for name in ("High", "Other")
    ]
    assert client.put("/v1/org/policy", json={"alert_rules": rules}).status_code == 200
    answer = client.get(HEALTH)
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    high, other = answer.json()["rules"]
    assert high.pop("last_error_at") is not None
    assert high == {
        "name": "High",
        "status": "failed",
        "queued": 0,
        "attempts": 0,
        "queued_since": None,
        "dead_letters": 1,
        "last_error": "12 attempts: no answer in time",
    }
    assert (other["status"], other["last_error"], other["last_error_at"]) == ("ok", "", None)


def test_a_tenant_without_rules_has_no_health(client: httpx2.Client) -> None:
    answer = client.get(HEALTH, headers={"X-Tenant-ID": "nobody"})
    assert answer.json() == {"rules": []}
