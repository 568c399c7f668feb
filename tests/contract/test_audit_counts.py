"""What the counts of decisions of any audit log must hold to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest

from pdp.domain.decision_counts import CountKey

if TYPE_CHECKING:
    from pdp.domain.audit_log import AuditLog

START: Final = 1_700_000_000 // 3600 * 3600
DECISIONS: Final = (
    (0, CountKey("acme", "full", "ALLOW", True), 3),
    (59, CountKey("acme", "full", "BLOCK", True), 2),
    (60, CountKey("acme", "standard", "ALLOW", False), 7),
    (119, CountKey("acme", "full", "ALLOW", True), 1),
    (600, CountKey("acme", "standard", "WARN", False), 5),
    (600, CountKey("other", "full", "BLOCK", True), 9),
    (3600, CountKey("acme", "full", "BLOCK", True), 4),
)
"""Seconds after `START`, what the decisions have in common, and how many there are."""


@pytest.mark.parametrize("width", [60, 120, 600, 3600])
def test_each_bucket_has_what_was_decided_in_it(log: AuditLog, width: int) -> None:
    number = 7200 // width
    for after, key, decisions in DECISIONS:
        log.add_counts({key: decisions}, START + after)
    buckets = log.bucket_counts("acme", start=START, width=width, number=number)
    found = {(each.bucket, each.outcome): (each.made, each.recorded) for each in buckets.counts}
    expected: dict[tuple[int, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for bucket in range(number):
        begin = START + bucket * width
        for count in log.counts("acme", since=begin, until=begin + width).counts:
            made, recorded = expected[bucket, count.outcome]
            expected[bucket, count.outcome] = made + count.made, recorded + count.recorded
    assert found == dict(expected)
    assert sum(made for made, _ in found.values()) == 22
    assert [each.bucket for each in buckets.counts] == sorted(
        each.bucket for each in buckets.counts
    )


def test_decisions_outside_of_the_buckets_do_not_count(log: AuditLog) -> None:
    for after, key, decisions in DECISIONS:
        log.add_counts({key: decisions}, START + after)
    buckets = log.bucket_counts("acme", start=START + 60, width=60, number=2)
    assert [(each.bucket, each.outcome, each.made) for each in buckets.counts] == [
        (0, "ALLOW", 8),
    ]
    assert log.bucket_counts("unknown", start=START, width=60, number=9).counts == []
