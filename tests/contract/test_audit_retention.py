"""The contract of audit logs: the retention by size is fair, and the rest verifies."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from pdp.domain.audit_log import RecordFilter, RemovedRecords, Retention
from tests.support.audit_logs import KEY, body, fill, ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.domain.audit_log import AuditLog

NOW: Final = 1e9
"""Before the records, so that none is too old."""


def write(log: AuditLog, *tenants: str, batches: int = 20) -> None:
    """Appends batches with a record of each of these tenants."""
    for _ in range(batches):
        log.append([body(0, tenant_id=each, redacted_text="x" * 2000) for each in tenants])


def count(log: AuditLog, tenant: str) -> int:
    return len(log.select(RecordFilter(tenant), before=None, limit=10_000).records)


def shrink(log: AuditLog, max_bytes: int) -> int:
    """Applies the retention until it has nothing to do; returns the records removed early."""
    early = 0
    for _ in range(500):
        removal = log.retain(Retention(None, max_bytes), NOW)
        early += removal.early
        if not removal.records:
            return early
    raise AssertionError("the retention does not end")


@pytest.mark.parametrize("key", [b"", KEY], ids=["no key", "key"])
def test_a_loud_tenant_loses_only_its_own_oldest_records(
    open_log: Callable[..., AuditLog], key: bytes
) -> None:
    log = open_log(key)
    write(log, "quiet", "other", batches=10)
    write(log, *["loud"] * 8, "quiet")
    before = log.select(RecordFilter("loud"), before=None, limit=1000).records
    limit = log.size() * 2 // 3
    early = shrink(log, limit)
    assert log.size() <= limit
    assert (count(log, "quiet"), count(log, "other")) == (30, 10)
    remaining = log.select(RecordFilter("loud"), before=None, limit=1000).records
    assert 0 < len(remaining) < 160
    assert remaining == before[: len(remaining)], "the newest ones stay"
    verification = log.verify()
    assert verification.problems == ()
    assert verification.removed == (RemovedRecords("loud", "size", 160 - len(remaining)),)
    assert early == 160 - len(remaining)


def test_a_loud_tenant_that_goes_on_never_reaches_the_others(log: AuditLog) -> None:
    write(log, *["quiet"] * 5, batches=10)
    limit = log.size() * 3
    for _ in range(10):
        write(log, *["loud"] * 20, batches=2)
        shrink(log, limit)
    assert (log.verify().problems, count(log, "quiet")) == ((), 50)
    assert log.size() <= limit


def test_a_tenant_within_its_share_loses_nothing(log: AuditLog) -> None:
    write(log, "a", "a", "b", batches=60)
    log.append([body(0)])
    shrink(log, int(log.size() * 0.72))
    assert (count(log, "b"), count(log, "a") < 120) == (60, True)


def test_many_tenants_give_records_back_in_one_step(log: AuditLog) -> None:
    tenants = [f"t{number}" for number in range(40)]
    write(log, *tenants, batches=5)
    removal = log.retain(Retention(max_bytes=log.size() // 2), NOW)
    assert removal.records >= 40
    assert {each.tenant_id for each in log.verify().removed} == set(tenants)


def test_nothing_is_removed_within_the_limits(log: AuditLog) -> None:
    fill(log)
    assert log.retain(Retention(3600, log.size() * 2), NOW) == (0, 0)
    assert len(ids(log)) == 12


def test_what_is_removed_is_found_by_no_search(log: AuditLog) -> None:
    log.append([body(n, request_id="r", redacted_text="x" * 2000) for n in range(50)])
    log.checkpoint()
    log.append([body(50, request_id="r")])
    shrink(log, log.size() // 2)
    remaining = ids(log)
    assert 0 < len(remaining) < 40
    assert ids(log, request_id="r") == remaining
    assert log.get("acme", "d0") is None
    assert log.get("acme", "d50") is not None


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_appends_and_removals_verifies(
    open_log: Callable[..., AuditLog], seed: int
) -> None:
    """Nothing is lost: a record is in the log, or a note says that it was removed."""
    random = Random(seed)  # noqa: S311 - not for secrets
    key = random.choice([b"", KEY])
    logs = [open_log(key) for _ in range(3)]
    appended = 0
    for _ in range(25):
        log = random.choice(logs)
        if random.random() < 0.6:
            tenants = random.choices(["loud", "a", "b", ""], [8, 1, 1, 1], k=random.randint(1, 20))
            text = "x" * random.choice([10, 1000])
            log.append([body(0, tenant_id=each, redacted_text=text) for each in tenants])
            appended += len(tenants)
        else:
            log.retain(Retention(None, int(log.size() * random.choice([0.5, 0.8, 0.97]))), NOW)
        verification = log.verify()
        assert verification.problems == ()
        removed = sum(each.records for each in verification.removed)
        assert verification.records + removed == appended
