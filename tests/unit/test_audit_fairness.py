"""The size of the audit log is shared fairly between tenants."""

from __future__ import annotations

from contextlib import closing
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.audit_log import RecordFilter, RemovedRecords, Retention
from pdp.store import open_audit_log
from pdp.store.fair_shares import fair_share
from pdp.store.sqlite import audit_holdings, audit_removal
from tests.support.audit_logs import KEY, body, file, log, old_log, run

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

__all__ = ["file", "log"]

NOW: Final = 2e9


def write(log: AuditLog, *tenants: str, batches: int = 20) -> None:
    """Appends batches with a record of each of these tenants."""
    for _ in range(batches):
        log.append([body(0, tenant_id=each, redacted_text="x" * 2000) for each in tenants])


def count(log: AuditLog, tenant: str) -> int:
    return len(log.select(RecordFilter(tenant), before=None, limit=10_000).records)


def shrink(log: AuditLog, max_bytes: int, max_age_s: float | None = None) -> int:
    """Applies the retention until it has nothing to do; returns the records removed early."""
    early = 0
    for _ in range(500):
        removal = log.retain(Retention(max_age_s, max_bytes), NOW)
        early += removal.early
        if not removal.records:
            return early
    raise AssertionError("the retention does not end")


class TestShares:
    @pytest.mark.parametrize("key", [b"", KEY], ids=["no key", "key"])
    def test_a_loud_tenant_loses_only_its_own_oldest_records(self, file: Path, key: bytes) -> None:
        with closing(open_audit_log(f"sqlite:///{file}", key=key)) as log:
            write(log, "quiet", "other", batches=10)
            write(log, *["loud"] * 8, "quiet")
            newest = log.select(RecordFilter("loud"), before=None, limit=1).records[0].sequence
            limit = log.size() * 2 // 3
            early = shrink(log, limit)
            assert log.size() <= limit
            assert (count(log, "quiet"), count(log, "other")) == (30, 10)
            remaining = log.select(RecordFilter("loud"), before=None, limit=1000).records
            assert remaining[0].sequence == newest
            lowest = min(each.sequence for each in remaining)
            assert all(each.sequence >= lowest for each in remaining)
            assert 0 < len(remaining) < 160
            verification = log.verify()
            assert verification.problems == ()
            assert verification.removed == (RemovedRecords("loud", "size", 160 - len(remaining)),)
            assert early == 160 - len(remaining)

    def test_a_loud_tenant_that_goes_on_never_reaches_the_others(self, log: AuditLog) -> None:
        write(log, *["quiet"] * 5, batches=10)
        limit = log.size() * 3
        for _ in range(30):
            write(log, *["loud"] * 20, batches=2)
            shrink(log, limit)
        verification = log.verify()
        assert (verification.problems, count(log, "quiet")) == ((), 50)
        assert verification.batches < 60, "batches without records are removed between the others"

    def test_a_tenant_just_within_its_share_loses_nothing(self, log: AuditLog) -> None:
        write(log, "a", "a", "b", batches=60)
        log.append([body(0)])
        shrink(log, int(log.size() * 0.72))  # the share is more than what b holds
        assert (count(log, "b"), count(log, "a") < 120) == (60, True)

    def test_a_tenant_just_over_its_share_loses_records_too(self, log: AuditLog) -> None:
        write(log, "a", "a", "b", batches=60)
        log.append([body(0)])
        shrink(log, int(log.size() * 0.6))  # the share is less than what b holds
        assert 40 < count(log, "b") < 60
        assert abs(count(log, "a") - count(log, "b")) < 10

    def test_many_tenants_give_records_back_in_one_step(self, log: AuditLog) -> None:
        tenants = [f"t{number}" for number in range(40)]
        write(log, *tenants, batches=5)
        removal = log.retain(Retention(max_bytes=log.size() // 2), NOW)
        assert removal.records >= 40
        assert {each.tenant_id for each in log.verify().removed} == set(tenants)

    @pytest.mark.parametrize(("counted", "first"), [(59, 1), (61, 20)])
    def test_nothing_is_removed_before_all_records_are_counted(
        self, log: AuditLog, monkeypatch: pytest.MonkeyPatch, counted: int, first: int
    ) -> None:
        monkeypatch.setattr(audit_holdings, "MAX_COUNTED", counted)
        write(log, "a", "b", "b", batches=20)
        removal = log.retain(Retention(max_bytes=log.size() // 2), NOW)
        assert (removal.records >= first, removal.early > 0) == (True, counted > 60)
        shrink(log, log.size() // 2)
        assert log.verify().problems == ()

    def test_age_removes_the_oldest_records_of_all_tenants(self, log: AuditLog) -> None:
        write(log, "a", "b", batches=5)
        log.append([body(0)])
        assert log.retain(Retention(max_age_s=0), NOW) == (10, 0)
        verification = log.verify()
        assert verification.problems == ()
        assert verification.removed == (
            RemovedRecords("a", "age", 5),
            RemovedRecords("b", "age", 5),
        )

    def test_totals_survive_the_removal_of_the_notes(self, log: AuditLog) -> None:
        write(log, "a", "b", "b", batches=40)
        shrink(log, log.size() // 2)
        removed = sum(each.records for each in log.verify().removed)
        for later in (NOW + 100, NOW + 200):  # the notes are older then
            log.append([body(0)])
            log.retain(Retention(max_age_s=0), later)
        verification = log.verify()
        assert verification.problems == ()
        assert verification.batches == 2
        by_reason = {
            reason: sum(each.records for each in verification.removed if each.reason == reason)
            for reason in ("age", "size")
        }
        assert by_reason == {"size": removed, "age": 121 - removed}


class TestOldLogs:
    @pytest.mark.parametrize("key", [b"", KEY], ids=["no key", "key"])
    def test_batches_of_an_older_release_lose_single_records_too(
        self, file: Path, key: bytes
    ) -> None:
        old_log(file, batches=40, size=10, key=key)
        with closing(open_audit_log(f"sqlite:///{file}", key=key)) as log:
            assert log.verify().problems == ()
            log.append([body(0, tenant_id="quiet")])
            write(log, "loud", "quiet", batches=5)
            assert log.verify().problems == ()
            shrink(log, int(log.size() * 0.8))
            verification = log.verify()
            assert (verification.problems, count(log, "quiet")) == ((), 6)
            assert [each.tenant_id for each in verification.removed] == ["acme"]

    @pytest.mark.parametrize("by_age", [True, False])
    def test_a_log_from_which_an_older_release_removed_batches_verifies(
        self, file: Path, by_age: bool
    ) -> None:
        """That release noted neither the tenants nor why."""
        old_log(file, batches=40, size=10, removed=3)
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            assert (log.verify().problems, log.verify().removed_batches) == ((), 3)
            log.append([body(12)])
            size = log.size()
            bounds = Retention(max_age_s=0) if by_age else Retention(max_bytes=int(size * 0.9))
            removed = log.retain(bounds, NOW).records
            verification = log.verify()
            assert verification.problems == ()
            assert verification.removed == (
                RemovedRecords("", "", 30),
                RemovedRecords("acme", "age" if by_age else "size", removed),
            )

    def test_a_cut_beginning_of_such_a_log_is_detected(self, file: Path) -> None:
        old_log(file, removed=1)
        run(file, "DELETE FROM batches WHERE sequence = 2", "DELETE FROM records WHERE sequence<7")
        with closing(open_audit_log(f"sqlite:///{file}")) as log:
            [problem] = log.verify().problems
            assert "batches 1 to 2 are missing" in problem


class TestFairShare:
    @pytest.mark.parametrize(
        ("holdings", "limit", "share"),
        [
            ({"a": 10, "b": 90}, 60, 50),
            ({"a": 30, "b": 30}, 50, 25),
            ({"a": 10, "b": 20, "c": 60}, 60, 30),
            ({"a": 10, "b": 20}, 30, float("inf")),
            ({}, 0, float("inf")),
        ],
    )
    def test_what_one_tenant_leaves_goes_to_the_others(
        self, holdings: dict[str, int], limit: int, share: float
    ) -> None:
        assert fair_share(holdings, limit) == share

    @given(st.dictionaries(st.text(), st.integers(1, 10**9)), st.integers(1, 10**9))
    def test_shares_fill_the_limit(self, holdings: dict[str, int], limit: int) -> None:
        share = fair_share(holdings, limit)
        total = sum(min(size, share) for size in holdings.values())
        assert total == pytest.approx(min(limit, sum(holdings.values())))


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_appends_and_removals_verifies(
    file: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Nothing is lost: a record is in the log, or a note says that it was removed."""
    random = Random(seed)  # noqa: S311 - not for secrets
    key = random.choice([b"", KEY])
    monkeypatch.setattr(audit_removal, "MAX_RECORDS", random.choice([3, 20, 1000]))
    monkeypatch.setattr(audit_removal, "MIN_GAP", random.choice([1, 8]))
    old_log(file, batches=random.randint(1, 6), size=5, key=key)
    with closing(open_audit_log(f"sqlite:///{file}", key=key)) as log:
        for _ in range(25):
            if random.random() < 0.6:
                tenants = random.choices(["loud", "a", "b"], [8, 1, 1], k=random.randint(1, 20))
                text = "x" * random.choice([10, 1000])
                log.append([body(0, tenant_id=each, redacted_text=text) for each in tenants])
            else:
                limit = int(log.size() * random.choice([0.5, 0.8, 0.97]))
                age = random.choice([None, None, 1e9])
                log.retain(Retention(age, limit), NOW)
            verification = log.verify()
            assert verification.problems == ()
            removed = sum(each.records for each in verification.removed)
            assert verification.records + removed == log.last()
