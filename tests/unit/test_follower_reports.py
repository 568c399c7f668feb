"""A follower reports every record once, in order, and keeps it until the server has it."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, closing
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, Final

import grpc
import protovalidate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp._gen.pdp.v1 import audit_pb2
from pdp.decisions import reports
from pdp.domain.audit_log import Retention, StoredRecord
from pdp.domain.decision_record import DecisionRecord, Recorded
from pdp.domain.org_policy import DEFAULT_ORG_POLICY
from pdp.errors import ConfigError, StoreUnavailable
from pdp.follower import reporter as reporters
from pdp.follower.reporter import Reporter, SpoolRetention
from pdp.store import open_audit_log
from pdp.transport.grpc.limits import MAX_MESSAGE_BYTES
from tests.support.audit_logs import body
from tests.support.failed_calls import FailedCall
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

RECORDED: Final = Recorded(DecisionRecord.from_json(json.loads(body(0))), DEFAULT_ORG_POLICY)

INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT


class FakeCentral:
    """A server that takes records, or fails.

    Attributes:
        reports: the tenant and the records of each report that it has taken.
        failure: returns the error of a report; None to take it.
        failures: how many reports have failed.
    """

    def __init__(self) -> None:
        self.reports: list[tuple[str, list[str]]] = []
        self.failure: Callable[[Sequence[str]], Exception | None] = lambda _: None
        self.failures = 0

    def report(self, tenant_id: str, bodies: Sequence[str]) -> int:
        error = self.failure(bodies)
        if error is not None:
            self.failures += 1
            raise error
        self.reports.append((tenant_id, list(bodies)))
        return len(bodies)

    @property
    def records(self) -> list[str]:
        """The records that it has taken."""
        return [each for _, bodies in list(self.reports) for each in bodies]

    def fail(self, error: Exception) -> None:
        """Makes all reports fail."""
        self.failure = lambda _: error

    def work(self) -> None:
        """Makes all reports succeed."""
        self.failure = lambda _: None


class Spool:
    """A log of records, a server, and the reporters between them."""

    def __init__(self, path: Path) -> None:
        self.position_file = path / "reported"
        self.central = FakeCentral()
        self.bodies: list[str] = []
        self._closers = ExitStack()
        url = f"sqlite:///{path}/records.db"
        self.log: AuditLog = self._closers.enter_context(closing(open_audit_log(url)))

    def append(self, count: int = 1, tenant_id: str = "acme") -> list[str]:
        """Appends records to the log, and returns them."""
        first = len(self.bodies)
        bodies = [body(first + number, tenant_id=tenant_id) for number in range(count)]
        self.log.append(bodies)
        self.bodies += bodies
        return bodies

    def start(self, max_unsent: int = 1000) -> Reporter:
        """Starts a reporter, as a new process does."""
        central: Any = self.central
        reporter = Reporter(self.log, central, self.position_file, max_unsent)
        self._closers.callback(reporter.close)
        return reporter

    def wait(self, count: int) -> None:
        """Waits until the server has so many records."""
        wait_until(lambda: len(self.central.records) >= count, f"the server has {count} records")

    def close(self) -> None:
        self.central.work()
        self._closers.close()


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    """A spool whose reporters wait for nothing."""
    monkeypatch.setattr(reporters, "POLL_S", 0.001)
    monkeypatch.setattr(reporters, "RETRY_S", 0.001)
    opened = Spool(tmp_path)
    yield opened
    opened.close()


class TestOrder:
    def test_all_records_are_reported_in_the_order_of_the_log(self, spool: Spool) -> None:
        spool.append(3)
        reporter = spool.start()
        for count in (1, 4, 2):
            spool.append(count)
        spool.wait(10)
        assert spool.central.records == spool.bodies
        wait_until(lambda: reporter.reported == 10, "all reports have ended")
        assert (reporter.refused, reporter.problem) == (0, "")

    def test_a_report_has_the_records_of_one_tenant(self, spool: Spool) -> None:
        expected = [
            (tenant_id, spool.append(count, tenant_id))
            for tenant_id, count in (("acme", 2), ("rival", 3), ("acme", 1), ("other", 2))
        ]
        spool.start()
        spool.wait(8)
        assert spool.central.reports == expected

    def test_reports_keep_within_their_bounds(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporters, "MAX_RECORDS", 4)
        spool.append(11)
        size = len(spool.bodies[-1])
        monkeypatch.setattr(reporters, "MAX_CHARACTERS", 3 * size)
        spool.start()
        spool.wait(11)
        pages = [bodies for _, bodies in spool.central.reports]
        assert [each for page in pages for each in page] == spool.bodies
        assert all(sum(map(len, page)) <= 3 * size for page in pages)
        assert max(map(len, pages)) == 3

    def test_a_report_has_as_many_records_as_the_server_takes(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporters, "MAX_RECORDS", 4)
        spool.append(10)
        spool.start()
        spool.wait(10)
        assert [len(bodies) for _, bodies in spool.central.reports] == [4, 4, 2]

    @given(st.lists(st.integers(1, 40), max_size=20), st.integers(1, 60))
    def test_pages_hold_all_records_in_order(self, sizes: list[int], bound: int) -> None:
        records = [StoredRecord(number, "x" * size) for number, size in enumerate(sizes)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reporters, "MAX_CHARACTERS", bound)
            pages = reporters._pages(records)
        assert [each for page in pages for each in page] == records
        for page in pages:
            assert len(page) == 1 or sum(len(each.body) for each in page) <= bound
        for page, after in pairwise(pages):
            assert sum(len(each.body) for each in (*page, after[0])) > bound

    def test_the_bounds_are_below_those_of_the_server(self) -> None:
        page = ["x" * (reporters.MAX_CHARACTERS // reporters.MAX_RECORDS)] * reporters.MAX_RECORDS
        protovalidate.validate(audit_pb2.ReportRecordsRequest(records=page))
        assert reporters.MAX_CHARACTERS <= reports.MAX_CHARACTERS
        assert 4 * reporters.MAX_CHARACTERS < MAX_MESSAGE_BYTES  # a character has up to 4 bytes


FAILURES: Final = [
    *(
        FailedCall(code)
        for code in grpc.StatusCode
        if code not in {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    ),
    grpc.RpcError(),
    ConfigError("the key cannot be read"),
    ValueError("odd"),
]


class TestFailures:
    @pytest.mark.parametrize("error", FAILURES, ids=lambda error: getattr(error, "_code", error))
    def test_records_wait_until_the_server_takes_them(self, spool: Spool, error: Exception) -> None:
        spool.central.fail(error)
        spool.append(3)
        reporter = spool.start()
        wait_until(lambda: spool.central.failures >= 3, "it is tried again")
        assert reporter.problem
        assert (reporter.reported, reporter.refused, reporter.unsent) == (0, 0, 3)
        spool.append(2)
        spool.central.work()
        spool.wait(5)
        wait_until(lambda: not reporter.problem and not reporter.unsent, "nothing waits")
        assert spool.central.records == spool.bodies
        assert (reporter.reported, reporter.refused) == (5, 0)

    def test_the_problem_names_the_status(self, spool: Spool) -> None:
        spool.central.fail(FailedCall(grpc.StatusCode.UNAVAILABLE))
        spool.append()
        reporter = spool.start()
        wait_until(lambda: reporter.problem, "the report has failed")
        assert reporter.problem == "the server cannot be reached (UNAVAILABLE)"

    def test_a_record_that_the_server_refuses_is_left_out_alone(self, spool: Spool) -> None:
        spool.append(5)
        bad = spool.bodies[2]
        spool.central.failure = lambda bodies: FailedCall(INVALID) if bad in bodies else None
        reporter = spool.start()
        spool.append(2)
        spool.wait(6)
        wait_until(lambda: reporter.reported == 6, "all reports have ended")
        assert spool.central.records == [each for each in spool.bodies if each != bad]
        assert (reporter.refused, reporter.problem) == (1, "")

    def test_records_that_are_all_refused_do_not_stop_the_next_ones(self, spool: Spool) -> None:
        spool.append(3)
        bad = set(spool.bodies)
        spool.central.failure = lambda bodies: FailedCall(INVALID) if bad & {*bodies} else None
        reporter = spool.start()
        wait_until(lambda: reporter.refused == 3, "all are refused")
        spool.append()
        spool.wait(1)
        reporter.close()
        spool.append()
        second = spool.start()
        spool.wait(2)
        assert spool.central.records == spool.bodies[3:]
        assert (reporter.refused, second.refused) == (3, 0)

    def test_a_server_that_goes_away_between_single_records_loses_none(self, spool: Spool) -> None:
        """After a refused page, its records are sent one by one."""
        spool.append(4)
        first, bad, *_ = spool.bodies
        gone = threading.Event()

        def failure(bodies: Sequence[str]) -> Exception | None:
            if bad in bodies:
                return FailedCall(INVALID)
            return FailedCall(grpc.StatusCode.UNAVAILABLE) if gone.is_set() else None

        spool.central.failure = failure
        reporter = spool.start()
        spool.wait(3)
        gone.set()
        spool.append(2)
        wait_until(lambda: reporter.problem, "the server is gone")
        gone.clear()
        spool.wait(5)
        assert spool.central.records == [first, *spool.bodies[2:]]
        assert reporter.refused == 1

    def test_a_log_that_cannot_be_read_is_tried_again(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.append(2)
        read_on, attempts = spool.log.read_on, []

        def fail_twice(after: int, limit: int) -> Sequence[StoredRecord]:
            attempts.append(after)
            if len(attempts) < 3:
                raise StoreUnavailable("gone")
            return read_on(after, limit)

        monkeypatch.setattr(spool.log, "read_on", fail_twice)
        spool.start()
        spool.wait(2)
        assert spool.central.records == spool.bodies

    def test_a_position_that_cannot_be_kept_stops_no_report(self, spool: Spool) -> None:
        """A new process may report records again; the server takes each once."""
        blocker = spool.position_file.with_name("reported.new")
        blocker.mkdir()
        spool.append(2)
        reporter = spool.start()
        spool.wait(2)
        spool.append(2, "rival")
        spool.wait(4)
        assert spool.central.records == spool.bodies
        reporter.close()
        blocker.rmdir()
        spool.append()
        spool.start()
        spool.wait(9)
        assert spool.central.records[4:] == spool.bodies


class TestPosition:
    def test_a_new_process_reports_nothing_twice(self, spool: Spool) -> None:
        spool.append(3)
        first = spool.start()
        spool.wait(3)
        first.close()
        spool.append(2)
        second = spool.start()
        spool.wait(5)
        wait_until(lambda: second.reported == 2, "the report has ended")
        second.close()
        spool.start().close()
        assert spool.central.records == spool.bodies

    def test_a_new_process_goes_on_after_the_last_report(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporters, "MAX_RECORDS", 2)
        spool.append(7)
        stop = spool.bodies[4]
        gone = FailedCall(grpc.StatusCode.UNAVAILABLE)
        spool.central.failure = lambda bodies: gone if stop in bodies else None
        first = spool.start()
        wait_until(lambda: first.problem, "the server is gone")
        first.close()
        assert spool.central.records == spool.bodies[:4]
        spool.central.work()
        spool.start()
        spool.wait(7)
        assert spool.central.records == spool.bodies

    @pytest.mark.parametrize("content", ["", "x", "1.5"])
    def test_without_a_position_all_records_are_reported(self, spool: Spool, content: str) -> None:
        spool.position_file.write_text(content)
        spool.append(3)
        spool.start()
        spool.wait(3)
        assert spool.central.records == spool.bodies

    def test_a_position_that_cannot_be_read_is_an_error(self, spool: Spool) -> None:
        spool.position_file.mkdir()
        with pytest.raises(OSError, match="directory"):
            spool.start()

    def test_closing_reports_what_waits(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporters, "POLL_S", TIMEOUT_S)
        reporter = spool.start()
        spool.append(3)
        reporter.close()
        assert spool.central.records == spool.bodies
        spool.append(2)
        spool.start().close()
        assert spool.central.records == spool.bodies

    def test_closing_does_not_wait_for_a_server_that_is_gone(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporters, "RETRY_S", TIMEOUT_S)
        spool.central.fail(FailedCall(grpc.StatusCode.UNAVAILABLE))
        spool.append(3)
        reporter = spool.start()
        wait_until(lambda: reporter.problem, "the server is gone")
        reporter.close()
        assert not reporter._thread.is_alive()
        assert spool.central.failures >= 2  # one more attempt


DENIED: Final = FailedCall(grpc.StatusCode.PERMISSION_DENIED)


def tenant_of(text: str) -> str:
    tenant_id: str = json.loads(text)["tenant_id"]
    return tenant_id


class TestDeniedTenants:
    """The credential may lose a tenant. Its records wait; those of the other tenants go on."""

    def deny(self, spool: Spool, *tenants: str) -> None:
        spool.central.failure = lambda bodies: DENIED if tenant_of(bodies[0]) in tenants else None

    def test_the_records_of_other_tenants_are_reported(self, spool: Spool) -> None:
        self.deny(spool, "rival")
        waiting = spool.append(2, "rival")
        first = spool.append(3)
        waiting += spool.append(1, "rival")
        reporter = spool.start()
        spool.wait(3)
        first += spool.append(2)
        spool.wait(5)
        problem = "the server takes no records of rival"
        wait_until(lambda: reporter.problem == problem, "one tenant is denied")
        wait_until(lambda: reporter.unsent == 3, "three records wait")
        assert spool.central.records == first
        spool.central.work()
        spool.wait(8)
        assert spool.central.records == [*first, *waiting]
        wait_until(lambda: not reporter.unsent and not reporter.problem, "nothing waits")
        assert (reporter.reported, reporter.refused) == (8, 0)

    def test_records_that_wait_count_for_the_bound(self, spool: Spool) -> None:
        self.deny(spool, "rival")
        spool.append(4, "rival")
        spool.append(3)
        reporter = spool.start(max_unsent=4)
        spool.wait(3)
        wait_until(lambda: reporter.unsent == 4, "four records wait")
        assert reporter.is_full
        spool.central.work()
        wait_until(lambda: not reporter.is_full, "the records are reported")

    def test_a_new_process_reports_what_waits(self, spool: Spool) -> None:
        self.deny(spool, "rival", "other")
        rival = spool.append(2, "rival")
        own = spool.append(2)
        other = spool.append(1, "other")
        first = spool.start()
        spool.wait(2)
        wait_until(lambda: first.unsent == 3, "three records wait")
        first.close()
        rival += spool.append(1, "rival")
        second = spool.start()
        wait_until(lambda: second.problem, "the records still wait")
        assert second.unsent == 4
        self.deny(spool, "other")
        spool.wait(5)
        problem = "the server takes no records of other"
        wait_until(lambda: second.problem == problem, "one tenant is denied")
        assert second.unsent == 1
        second.close()
        spool.central.work()
        spool.start()
        spool.wait(6)
        assert spool.central.records == [*own, *rival, *other]

    def test_what_waits_is_reported_page_by_page(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporters, "MAX_RECORDS", 2)
        self.deny(spool, "rival")
        waiting = []
        for _ in range(5):
            waiting += spool.append(1, "rival")
            spool.append(2)
        reporter = spool.start()
        spool.wait(10)
        wait_until(lambda: reporter.unsent == 5, "five records wait")
        spool.central.work()
        spool.wait(15)
        pages = [bodies for tenant_id, bodies in spool.central.reports if tenant_id == "rival"]
        assert [each for page in pages for each in page] == waiting
        assert max(map(len, pages)) == 2
        wait_until(lambda: not reporter.unsent, "nothing waits")

    @pytest.mark.parametrize("seed", range(5))
    def test_no_record_is_lost_while_tenants_come_and_go(self, spool: Spool, seed: int) -> None:
        """The records of each tenant come in their order; some may come twice."""
        chance = Random(seed)  # noqa: S311 - test data
        tenants = ("acme", "rival", "other")
        reporter = spool.start()
        for _ in range(30):
            self.deny(spool, *chance.sample(tenants, chance.randrange(4)))
            spool.append(chance.randrange(1, 4), chance.choice(tenants))
            if chance.random() < 0.1:
                reporter.close()
                reporter = spool.start()
        spool.central.work()
        wait_until(lambda: {*spool.bodies} == {*spool.central.records}, "all are reported")
        wait_until(lambda: not reporter.unsent, "nothing waits")
        once = list(dict.fromkeys(spool.central.records))
        for tenant_id in tenants:
            expected = [each for each in spool.bodies if tenant_of(each) == tenant_id]
            assert [each for each in once if tenant_of(each) == tenant_id] == expected


class TestRetention:
    def test_records_stay_in_the_log_until_they_are_reported(self, spool: Spool) -> None:
        retention = SpoolRetention()
        assert retention() == Retention(None, None)
        spool.central.fail(FailedCall(grpc.StatusCode.UNAVAILABLE))
        spool.append(2)
        retention.reporter = reporter = spool.start()
        assert retention() == Retention(None, None)
        spool.central.work()
        wait_until(lambda: not reporter.unsent, "nothing waits")
        assert retention() == Retention(reporters.KEEP_S, None)
        reporter.close()
        reporter.consume([RECORDED])
        assert retention() == Retention(None, None)

    def test_records_of_a_denied_tenant_stay_in_the_log(self, spool: Spool) -> None:
        spool.central.fail(DENIED)
        spool.append(2)
        retention = SpoolRetention()
        retention.reporter = reporter = spool.start()
        wait_until(lambda: reporter.problem, "the records wait")
        assert retention() == Retention(None, None)


class TestBound:
    def test_it_is_full_while_too_many_records_wait(self, spool: Spool) -> None:
        spool.central.fail(FailedCall(grpc.StatusCode.UNAVAILABLE))
        reporter = spool.start(max_unsent=3)
        assert not reporter.is_full
        spool.append(2)
        wait_until(lambda: reporter.unsent == 2, "two records wait")
        assert not reporter.is_full
        spool.append()
        wait_until(lambda: reporter.unsent == 3, "three records wait")
        assert reporter.is_full
        spool.central.work()
        wait_until(lambda: not reporter.is_full, "the records are reported")
        spool.wait(3)

    def test_it_counts_what_an_earlier_process_has_not_reported(self, spool: Spool) -> None:
        spool.append(5)
        spool.central.fail(FailedCall(grpc.StatusCode.UNAVAILABLE))
        reporter = spool.start(max_unsent=5)
        wait_until(lambda: reporter.is_full, "five records wait")

    def test_it_becomes_full_while_the_server_does_not_answer(self, spool: Spool) -> None:
        """A report may take long; records that are written meanwhile count as well."""
        asked, end = threading.Event(), threading.Event()

        def hang(_: Sequence[str]) -> None:
            asked.set()
            end.wait(TIMEOUT_S)

        spool.central.failure = hang
        spool.append()
        reporter = spool.start(max_unsent=3)
        try:
            assert asked.wait(TIMEOUT_S)
            reporter.consume([RECORDED] * 5)
            assert reporter.is_full
        finally:
            end.set()
