"""The functions of conditions: tables of conditions and their results."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pdp.domain.request import Request
from pdp.engine.conditions import Truth, compile_condition
from pdp.errors import InvalidArgument
from tests.support.condition_tables import REQUEST, F, T, U, of, table


@table(
    ("hour(timestamp) = 3", T),
    ("minute(timestamp) = 0", T),
    ("day_of_week(timestamp) = 4", T),  # a Thursday
    ("day_of_week('2026-03-01') = 7", T),  # a Sunday
    ("day_of_week('2026-03-02') = 1", T),  # a Monday
    ("day_of_week('1969-12-31') = 3", T),  # before the epoch
    ("date(timestamp) = '2026-02-26'", T),
    ("date(timestamp) < '2026-03-01'", T),
    ("hour('1969-12-31T23:59:59.5Z') = 23", T),
    ("minute('1969-12-31T23:59:59.5Z') = 59", T),
    ("hour(when) = 3", T),
    ("hour(day) = 0", T),
    ("hour('2026-02-26T23:30:00+02:00') = 21", T),
    ("hour('2026-02-26 23:30:00') = 23", T),
    ("hour(name) = 3", U),
    ("hour(batch_size) = 3", U),
    ("hour(missing) = 3", U),
    ("date('2026-02-30') = '2026-02-30'", U),
    ("date('2026-W09-4') = '2026-02-26'", U),
    ("date('20260226') = '2026-02-26'", U),
    ("hour('2026-02-26T24:00:00Z') = 0", U),
    ("hour('٢٠٢٦-02-26') = 0", U),
)
def test_functions_of_calendar_and_clock_have_the_listed_results(
    source: str, expected: Truth
) -> None:
    assert of(source) is expected


@table(
    ("timestamp_diff('2026-02-26T00:01:00Z', '2026-02-26T00:00:00Z') = 60", T),
    ("timestamp_diff('2026-02-26T00:00:00Z', '2026-02-26T00:01:00Z') = -60", T),
    ("timestamp_diff(timestamp, '2026-02-26T03:00:00Z') = 59.5", T),
    ("timestamp_diff(timestamp, when) = 59.5", T),
    ("timestamp_diff('2026-02-27', '2026-02-26', 'seconds') = 86400", T),
    ("timestamp_diff('2026-02-27', '2026-02-26', 'minutes') = 1440", T),
    ("timestamp_diff('2026-02-27', '2026-02-26', 'hours') = 24", T),
    ("timestamp_diff('2026-02-27', '2026-02-26', 'days') = 1", T),
    ("timestamp_diff('2026-02-26T12:00:00Z', '2026-02-26', 'days') = 0.5", T),
    ("timestamp_diff(timestamp, name) > 0", U),
    ("timestamp_diff(missing, timestamp) > 0", U),
    ("timestamp_diff(1, 2) = -1", U),
)
def test_differences_of_timestamps_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("timestamp > '2026-02-26'", T),
    ("timestamp < '2026-02-26T03:00:59Z'", F),
    ("'2026-02-26T04:00:59.5+01:00' = timestamp", T),
    ("timestamp >= timestamp", T),
    ("timestamp > when", T),
    ("timestamp > name", U),
    ("timestamp > 5", U),
    ("timestamp > missing", U),
    ("timestamp + 1 > 0", U),
    ("length(timestamp) > 0", U),
    ("timestamp LIKE '2%'", U),
    ("when < day", F),  # two texts are compared as texts
)
def test_the_timestamp_is_compared_with_times_only(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("length(name) = 3", T),
    ("length('straße😀') = 7", T),
    ("length(empty) = 0", T),
    ("length(tags) = 3", T),
    ("length(object) = 1", U),
    ("length(batch_size) = 3", U),
    ("length(missing) = 0", U),
    ("lower(name) = 'ada'", T),
    ("upper('straße') = 'STRASSE'", T),
    ("lower(batch_size) = '200'", U),
    ("upper(missing) = ''", U),
    ("starts_with(tool, 'read')", T),
    ("starts_with(tool, 'Read')", F),
    ("ends_with(tool, '_file')", T),
    ("ends_with(tool, '')", T),
    ("starts_with(tool, 1)", U),
    ("ends_with(missing, 'x')", U),
    ("contains(tool, 'd_f')", T),
    ("contains(tool, '')", T),
    ("contains(tool, 'x')", F),
    ("contains(tool, 1)", U),
    ("contains(tags, 'b')", T),
    ("contains(tags, 'c')", F),
    ("contains(tags, 1)", U),
    ("contains(mixed, 1)", T),
    ("contains(mixed, 2)", U),
    ("contains(none, 'c')", F),
    ("contains(tags, tags)", U),
    ("contains(tags, missing)", U),
    ("contains(object, 'key')", U),
    ("contains(batch_size, 2)", U),
    ("contains(missing, 'x')", U),
)
def test_functions_of_texts_and_lists_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


@table(
    ("any(truths)", T),
    ("any([false, false])", F),
    ("any(unsure)", U),
    ("any(none)", F),
    ("any(tags)", U),
    ("any(tags, 'a')", T),
    ("any(tags, 'c')", F),
    ("any(tags, ['c', 'b'])", T),
    ("any(target.classifications, ['PCI', 'PHI'])", T),
    ("any(target.classifications, [])", F),
    ("any(tags, 1)", U),
    ("any(mixed, 'a')", T),
    ("any(mixed, 'z')", U),
    ("any(tags, missing)", U),
    ("any(missing, 'a')", U),
    ("any(name, 'Ada')", U),
    ("any(tags, object)", U),
    ("all(truths)", F),
    ("all([true, true])", T),
    ("all([true, null])", U),
    ("all(unsure)", F),
    ("all(none)", T),
    ("all(tags, ['a', 'b'])", T),
    ("all(tags, ['a'])", F),
    ("all(tags, 'b')", F),
    ("all(none, 'b')", T),
    ("all(mixed, 'a')", U),
    ("all(mixed, ['a', 1])", U),
    ("all(['a', 1], ['a', 1])", T),
    ("any([true]) AND contains([1], 1)", T),
    ("all(missing)", U),
    ("count(tags) = 3", T),
    ("count(none) = 0", T),
    ("count(mixed) = 3", T),
    ("count(tags, 'b') = 2", T),
    ("count(tags, ['a', 'b', 'z']) = 3", T),
    ("count(mixed, 'a') = 1", T),
    ("count(mixed, 'z') = 0", T),
    ("count(name) = 3", U),
    ("count(missing) = 0", U),
    ("count(tags, missing) = 0", U),
)
def test_any_all_and_count_have_the_listed_results(source: str, expected: Truth) -> None:
    assert of(source) is expected


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("source", "timezone", "expected"),
    [
        ("hour(timestamp) = 4", BERLIN, T),
        ("hour(timestamp) = 8 AND minute(timestamp) = 30", "Asia/Kolkata", T),
        ("date(timestamp) = '2026-02-25' AND day_of_week(timestamp) = 3", "America/New_York", T),
        ("hour('2026-07-01T00:00:00Z') = 2", BERLIN, T),  # summer time
        ("hour('2026-02-26T05:00:00') = 5", BERLIN, T),
        ("timestamp_diff('2026-02-26T05:00:00', '2026-02-26T04:00:00Z') = 0", BERLIN, T),
        ("timestamp_diff('2026-03-30', '2026-03-29', 'hours') = 23", BERLIN, T),
        ("timestamp > '2026-02-26T04:00:00'", BERLIN, T),
        ("timestamp > '2026-02-26T04:01:00'", BERLIN, F),
        ("hour(timestamp) = 3", "Etc/UTC", T),
    ],
)
def test_times_are_in_the_time_zone_of_the_policy(
    source: str, timezone: str, expected: Truth
) -> None:
    assert of(source, timezone) is expected


@pytest.mark.parametrize("timezone", ["UTC", BERLIN])
def test_fractions_of_a_second_are_cut_off(timezone: str) -> None:
    request = Request(timestamp=datetime(2026, 2, 26, 3, 59, 59, 999_999, tzinfo=UTC).timestamp())
    assert of("minute(timestamp) = 59", timezone, request) is True


@pytest.mark.parametrize("timezone", ["UTC", BERLIN])
@pytest.mark.parametrize("seconds", [1e18, -1e18, 253402300800.0, -62135596801.0])
def test_a_time_without_a_date_is_unknown(seconds: float, timezone: str) -> None:
    request = Request(timestamp=seconds)
    for function in ("hour", "minute", "day_of_week"):
        assert of(f"{function}(timestamp) >= 0", timezone, request) is None
    assert of("date(timestamp) > ''", timezone, request) is None


@pytest.mark.parametrize(
    "timezone",
    ["Europe/Nowhere", "", "../UTC", "/etc/localtime", "localtime", "Europe", "EUROPE\0", "Ä"],
)
def test_an_unknown_time_zone_is_refused(timezone: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        compile_condition("true", timezone)
    (violation,) = caught.value.violations
    assert violation.field == "timezone"
    assert "there is no time zone" in violation.reason


def test_compiled_conditions_are_cached() -> None:
    assert compile_condition("a = 1") is compile_condition("a = 1")
    assert compile_condition("a = 1", BERLIN) is not compile_condition("a = 1")


def test_a_condition_lists_its_names() -> None:
    condition = compile_condition("risk_score > 0.5 AND a.b = 1 OR a.b = 2 AND hour(timestamp) < 6")
    assert condition.names == ("a.b", "risk_score", "timestamp")
    assert condition.evaluate(REQUEST) is None
