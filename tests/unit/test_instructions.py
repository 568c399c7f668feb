"""The comparison of instruction counts with those recorded."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from bench.instruction_work import all_work
from bench.instructions import OTHER_TOLERANCE, RECORDED, TOLERANCE, compare

HERE: Final = {"python": "3.11"}
ELSEWHERE: Final = {"python": "3.11, another build"}
DOCUMENT: Final[dict[str, Any]] = {
    "environment": HERE,
    "instructions": {"read": 1_000_000, "answer": 1_000_000},
}


def counts(read: int) -> dict[str, int]:
    return {"read": read, "answer": 1_000_000}


@pytest.mark.parametrize(
    ("now", "tolerance"), [(HERE, TOLERANCE), (ELSEWHERE, OTHER_TOLERANCE)], ids=["same", "other"]
)
def test_a_count_may_rise_by_the_tolerance(now: dict[str, str], tolerance: float) -> None:
    most = round(1_000_000 * (1 + tolerance))
    report, failed = compare(DOCUMENT, counts(most - 1), now)
    assert (failed, "FAILED" in report) == (False, False)
    report, failed = compare(DOCUMENT, counts(most + 1), now)
    assert failed
    assert "too many" in report
    assert "make record-instructions" in report


def test_the_report_names_both_environments_if_they_differ() -> None:
    assert str(ELSEWHERE) in compare(DOCUMENT, counts(1_000_000), ELSEWHERE)[0]
    assert str(HERE) not in compare(DOCUMENT, counts(1_000_000), HERE)[0]


def test_a_count_may_fall() -> None:
    report, failed = compare(DOCUMENT, counts(500_000), HERE)
    assert not failed
    assert "-50.0%" in report
    assert "make record-instructions" in report


@pytest.mark.parametrize(
    "now",
    [{"read": 1}, {"read": 1, "answer": 1, "new": 1}],
    ids=["work is missing", "work is not recorded"],
)
def test_recorded_and_counted_work_must_be_the_same(now: dict[str, int]) -> None:
    report, failed = compare(DOCUMENT, now, HERE)
    assert failed
    assert "recorded and counted work differ" in report


def test_all_work_is_recorded_and_can_be_done() -> None:
    names = []
    for work in all_work():
        work.run()
        names.append(work.name)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert list(recorded["instructions"]) == names
    assert set(recorded["environment"]) == {"python", "libc", "machine"}
