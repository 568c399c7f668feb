"""Summaries of decisions over HTTP: what a server has decided a moment ago."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx2

SUMMARY = "/api/admin/audit/summary"
SQLI = "1 UNION SELECT password FROM users"


def summary(client: httpx2.Client, **parameters: Any) -> Any:
    answer = client.get(SUMMARY, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def decide(client: httpx2.Client, text: str, **fields: Any) -> None:
    answer = client.post("/v1/decide", json={"content": {"text": text}, **fields})
    assert answer.status_code == 200, answer.text


def outcomes(result: Any) -> dict[str, tuple[int, int]]:
    """Returns how many decisions were made and recorded, by outcome."""
    made: Counter[str] = Counter()
    recorded: Counter[str] = Counter()
    for bucket in result["buckets"]:
        for each in bucket["outcomes"]:
            made[each["outcome"]] += each["made"]
            recorded[each["outcome"]] += each["recorded"]
    return {name: (made[name], recorded[name]) for name in made}


def test_a_summary_has_all_decisions_and_what_the_records_say(client: httpx2.Client) -> None:
    """An ALLOW is not recorded at the default logging level, but counted."""
    subject = {"user_id": "ann", "agent_id": "bot"}
    model = {"provider": "openai", "model": "gpt-4o"}
    for _ in range(3):
        decide(client, SQLI, subject=subject, model=model)
    decide(client, "hello", subject={"user_id": "bob"})
    result = summary(client)
    assert outcomes(result) == {"BLOCK": (3, 3), "ALLOW": (1, 0)}
    assert (result["records_read"], result["records_complete"]) == (3, True)
    assert result["bucket_seconds"] == 60
    assert result["top_users"] == [{"user_id": "ann", "count": 3, "blocked": 3}]
    assert result["top_agents"] == [{"agent_id": "bot", "count": 3, "blocked": 3}]
    assert result["top_models"] == [{**model, "count": 3}]
    policies = {each["policy_id"]: each["count"] for each in result["top_policies"]}
    assert policies["sys_sqli_union"] == 3
    assert sum(each["count"] for bucket in result["buckets"] for each in bucket["risk"]) == 3
    [with_durations] = [each for each in result["buckets"] if each["duration_us_p50"] is not None]
    assert 0 < with_durations["duration_us_p50"] <= with_durations["duration_us_p99"]


def test_a_second_summary_includes_what_was_decided_since(client: httpx2.Client) -> None:
    decide(client, SQLI)
    assert summary(client)["records_read"] == 1
    decide(client, SQLI)
    result = summary(client)
    assert (result["records_read"], outcomes(result)) == (2, {"BLOCK": (2, 2)})


def test_decisions_of_other_tenants_are_not_in_it(
    client: httpx2.Client, blocked: str, server: Any
) -> None:
    with server.client(f"{blocked}-other") as other:
        decide(other, SQLI)
        assert summary(other)["records_read"] == 1
    result = summary(client)
    assert (result["records_read"], outcomes(result)) == (0, {})
    assert len(result["buckets"]) in {60, 61}
    assert result["buckets"][0]["duration_us_p50"] is None


def test_a_period_of_days_has_buckets_of_hours(client: httpx2.Client) -> None:
    period = {"since": "2020-01-01T00:30:00Z", "until": "2020-01-03T00:00:00Z", "buckets": 500}
    result = summary(client, **period)
    assert result["bucket_seconds"] == 3600
    assert (result["since"], result["until"]) == ("2020-01-01T00:00:00Z", "2020-01-03T00:00:00Z")
    assert len(result["buckets"]) == 48


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"buckets": 501}, "buckets"),
        ({"buckets": -1}, "buckets"),
        ({"since": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"since": "2020-01-02T00:00:00Z", "until": "2020-01-02T00:00:00Z"}, "until"),
        ({"since": "9999-01-01T00:00:00Z"}, "until"),
        ({"until": "1969-01-01T00:00:00Z"}, "until"),
    ],
)
def test_a_period_without_length_is_refused(
    client: httpx2.Client, parameters: dict[str, Any], field: str
) -> None:
    answer = client.get(SUMMARY, params=parameters)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [field]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "1969-12-31T23:00:00Z"])
def test_any_period_is_answered(client: httpx2.Client, since: str) -> None:
    decide(client, SQLI)
    result = summary(client, since=since, until="9999-12-31T23:59:59Z", buckets=3)
    assert result["records_read"] == 1
    assert outcomes(result) == {"BLOCK": (1, 1)}
