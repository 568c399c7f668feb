"""Selections and counts outside of a log: the same as a search of the log gives."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.audit.record_json import encode_record
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision import Match, Outcome, Risk
from pdp.domain.decision_counts import CountKey, counted_period
from pdp.domain.decision_record import DecisionRecord, RecordedSubject
from pdp.domain.record_selection import selects
from pdp.record_files.exported_log import ExportedLog
from pdp.store import open_audit_log
from tests.support.audit_logs import body
from tests.support.record_files import export, memory_place
from tests.support.records import record

VALUES = st.sampled_from(["", "a", "b"])
RECORDS = st.builds(
    record,
    st.integers(0, 5),
    tenant_id=st.sampled_from(["acme", "b"]),
    outcome=st.sampled_from([Outcome.ALLOW, Outcome.BLOCK]),
    time=st.integers(0, 5).map(float),
    risk=st.sampled_from([Risk(0, "none"), Risk(70, "high")]),
    subject=st.builds(lambda user, agent: RecordedSubject(user, (), agent), VALUES, VALUES),
    customer_id=VALUES,
    provider=VALUES,
    model=VALUES,
    action=VALUES,
    reason_code=VALUES,
    request_id=VALUES,
    pii_detected=st.booleans(),
    matches=st.lists(
        VALUES.map(lambda each: Match("static", each, "n", "block", "low", "r")), max_size=2
    ).map(tuple),
)
TIMES = st.none() | st.integers(0, 5).map(float)
FILTERS = st.builds(
    RecordFilter,
    tenant_id=st.just("acme"),
    since=TIMES,
    until=TIMES,
    outcomes=st.sampled_from([(), ("BLOCK",), ("ALLOW", "BLOCK")]),
    risk_levels=st.sampled_from([(), ("high",)]),
    user_id=VALUES,
    agent_id=VALUES,
    customer_id=VALUES,
    provider=VALUES,
    model=st.sampled_from(["", "a", "a/b"]),
    action=VALUES,
    policy_id=VALUES,
    reason_code=VALUES,
    request_id=VALUES,
    pii_detected=st.none() | st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(RECORDS, min_size=1, max_size=8), st.lists(FILTERS, min_size=1, max_size=6))
def test_a_selection_is_that_of_a_search(
    records: list[DecisionRecord], filters: list[RecordFilter]
) -> None:
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/audit.db"
        with closing(open_audit_log(url)) as log:
            log.append([encode_record(each) for each in records])
            stored = [DecisionRecord.from_json(json.loads(row.body)) for row in log.read_on(0, 99)]
            for record_filter in filters:
                page = log.follow(record_filter, after=0, limit=99)
                found = [row.sequence for row in page.records]
                selected = [n for n, each in enumerate(stored, 1) if selects(record_filter, each)]
                assert selected == found, record_filter


COUNTS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "b"]),
        st.sampled_from(["standard", "full"]),
        st.sampled_from(["ALLOW", "BLOCK"]),
        st.booleans(),
        st.integers(1, 9),
        st.integers(0, 400),
    ),
    max_size=10,
)


@settings(max_examples=60)
@given(
    COUNTS,
    st.integers(0, 400),
    st.none() | st.integers(0, 400),
    st.none() | st.integers(0, 400),
    st.sampled_from([(), ("BLOCK",)]),
)
def test_counts_of_an_export_are_those_of_the_log(
    counts: list[tuple[Any, ...]],
    oldest: int,
    since: int | None,
    until: int | None,
    outcomes: tuple[str, ...],
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "audit.db"
        with closing(open_audit_log(f"sqlite:///{path}")) as log:
            log.append([body(1, time=float(oldest))])
            for *key, made, at in counts:
                log.add_counts({CountKey(*key): made}, float(at))
            expected = log.counts(
                "acme",
                since=None if since is None else float(since),
                until=None if until is None else float(until),
                outcomes=outcomes,
            )
            place = memory_place()
            export(path, place)
    counted = ExportedLog(place).counts_of("acme")
    assert expected == counted_period(
        counted.counts,
        counted_from=counted.counted_from,
        held_from=counted.held_from,
        since=None if since is None else float(since),
        until=None if until is None else float(until),
        outcomes=outcomes,
    )


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (None, None, [0, 1, 2]),
        (86_400.0, None, [1, 2]),
        (86_399.0, 86_400.0, [0, 1]),
        (None, 86_399.0, [0]),
    ],
)
def test_only_files_of_the_days_are_read(
    tmp_path: Path, since: float | None, until: float | None, days: list[int]
) -> None:
    with closing(open_audit_log(f"sqlite:///{tmp_path}/audit.db")) as log:
        log.append([body(day, time=day * 86_400.0 + 5) for day in range(3)])
    place = memory_place()
    export(tmp_path / "audit.db", place)
    files = ExportedLog(place).files_of("acme", since, until)
    assert [each.day for each in files] == [f"1970-01-0{day + 1}" for day in days]
