"""Schedules of chain rules: which times they cover, and how they are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pdp.domain.decision import Outcome
from pdp.domain.request import Request
from pdp.engine.evaluate import evaluate
from pdp.engine.rules.documents import read_rule
from pdp.engine.rules.schedules import InvalidSchedule, read_schedule
from pdp.errors import InvalidArgument, InvalidCondition
from tests.unit.test_chains import chain_of, rule, snapshot_of

WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]


def at(text: str, timezone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


@pytest.mark.parametrize(
    ("schedule", "time", "expected"),
    [
        ({"from": "09:00", "until": "17:00"}, "2026-11-27T09:00:00", True),
        ({"from": "09:00", "until": "17:00"}, "2026-11-27T08:59:59", False),
        ({"from": "09:00", "until": "17:00"}, "2026-11-27T16:59:59", True),
        ({"from": "09:00", "until": "17:00"}, "2026-11-27T17:00:00", False),
        ({"days": WORKDAYS}, "2026-11-27T23:59:59", True),
        ({"days": WORKDAYS}, "2026-11-28T00:00:00", False),
        # Across midnight: the night belongs to the day on which it begins.
        ({"days": ["fri"], "from": "22:00", "until": "06:00"}, "2026-11-27T22:00:00", True),
        ({"days": ["fri"], "from": "22:00", "until": "06:00"}, "2026-11-28T05:59:00", True),
        ({"days": ["fri"], "from": "22:00", "until": "06:00"}, "2026-11-28T06:00:00", False),
        ({"days": ["fri"], "from": "22:00", "until": "06:00"}, "2026-11-27T05:00:00", False),
        ({"days": ["sun"], "from": "22:00", "until": "06:00"}, "2026-11-30T01:00:00", True),
        ({"from": "12:00", "until": "24:00"}, "2026-11-27T23:59:59", True),
    ],
)
def test_the_times_of_a_schedule(schedule: dict[str, Any], time: str, expected: bool) -> None:
    assert read_schedule(schedule).covers(at(time)) is expected
    berlin = {**schedule, "timezone": "Europe/Berlin"}
    assert read_schedule(berlin).covers(at(time, "Europe/Berlin")) is expected


def test_a_schedule_follows_the_clock_on_the_wall() -> None:
    """Summer time moves it in UTC."""
    schedule = read_schedule({"from": "09:00", "until": "10:00", "timezone": "Europe/Berlin"})
    assert schedule.covers(at("2026-01-15T08:30:00"))
    assert schedule.covers(at("2026-07-15T07:30:00"))
    assert not schedule.covers(at("2026-07-15T08:30:00"))


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("always", "must be an object"),
        ({"timezone": "UTC"}, "must have days, or from and until"),
        ({"from": "09:00"}, "both from and until"),
        ({"from": "09:00", "until": "09:00"}, "that differ"),
        ({"from": "9:00", "until": "17:00"}, "from must be a time of day"),
        ({"from": "24:00", "until": "17:00"}, "from must be a time of day"),
        ({"from": "09:00", "until": "24:01"}, "until must be a time of day"),
        ({"days": []}, "days must be a list of mon, tue"),
        ({"days": ["monday"]}, "days must be a list of mon, tue"),
        ({"days": ["mon"], "timezone": "Mars"}, 'there is no time zone "Mars"'),
        ({"days": ["mon"], "hours": 3}, "not 'hours'"),
    ],
)
def test_an_invalid_schedule_is_refused(schedule: Any, reason: str) -> None:
    with pytest.raises(InvalidSchedule, match=reason):
        read_schedule(schedule)
    with pytest.raises(InvalidArgument) as refusal:
        read_rule({"schedule": schedule}, {"type": "BLOCK"})
    assert refusal.value.violations[0].field == "conditions.schedule"


@pytest.mark.parametrize(
    ("server_time", "outcome"),
    [("2026-11-27T12:00:00", Outcome.BLOCK), ("2026-11-28T12:00:00", Outcome.ALLOW)],
)
def test_a_schedule_is_read_by_the_server_clock_if_it_is_known(
    server_time: str, outcome: Outcome
) -> None:
    """Otherwise by the timestamp of the request, as in simulations and replays."""
    block = {"type": "BLOCK"}
    snapshot = snapshot_of(chain_of(rule(block, {"schedule": {"days": ["fri"]}})))
    assert snapshot.needs_clock
    other_time = at("2026-11-24T12:00:00")
    request = Request(timestamp=other_time, server_time=at(server_time))
    assert evaluate(snapshot, request, "d").outcome is outcome
    simulated = Request(timestamp=at(server_time))
    assert evaluate(snapshot, simulated, "d").outcome is outcome
    assert not snapshot_of(chain_of(rule(block, {"content_regex": "x"}))).needs_clock


def test_an_expression_that_does_not_compile_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidCondition) as refusal:
        read_rule({"expression": "groups = AND"}, {"type": "BLOCK"}, "rules[2].")
    violation = refusal.value.violations[0]
    assert violation.field == "rules[2].conditions.expression"
    assert violation.reason.startswith("line 1, column 10: expected a value")


@pytest.mark.parametrize("actions", [["drop"], ["a:b:c:d"], ["A:b:c"], ["a*:b:c"]])
def test_a_malformed_action_pattern_is_refused(actions: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        read_rule({"actions": actions}, {"type": "BLOCK"})
    assert "is no action pattern" in refusal.value.violations[0].reason


def test_the_number_of_globs_is_bounded() -> None:
    globs = [f"m{number}-*" for number in range(32)]
    read_rule({"models": globs}, {"type": "BLOCK"})
    with pytest.raises(InvalidArgument, match="at most 32 entries with"):
        read_rule({"models": [*globs, "*"]}, {"type": "BLOCK"})


def test_the_patterns_of_all_expressions_are_bounded() -> None:
    def chain(count: int) -> Any:
        source = " OR ".join(f"tool LIKE '_{number}'" for number in range(10))
        conditions = {"expression": source}
        rules = (rule({"type": "BLOCK"}, conditions, sequence=place) for place in range(count))
        return chain_of(*rules)

    snapshot_of(chain(50))
    with pytest.raises(InvalidArgument, match="have 510 patterns"):
        snapshot_of(chain(51))
