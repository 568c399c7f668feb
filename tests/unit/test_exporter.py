"""From recorded decisions to a SIEM: each once, in order, also if the SIEM fails."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.domain.org_policy import OrgPolicy
from pdp.domain.stored_entity import Change
from pdp.export.deliveries import ExportSettings
from pdp.export.delivery_worker import DeliveryTiming
from pdp.export.exporter import SPOOL_NAME, Exporter
from pdp.export.siem.registry import load_connectors
from pdp.export.sources import Sources
from pdp.export.spool import Spool
from pdp.store import open_audit_log
from tests.support.records import record, recorded
from tests.support.siem_product import PlannedResponse, Product, ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.domain.decision_record import DecisionRecord

FAST = DeliveryTiming(
    linger_s=0.05, poll_s=0.02, min_backoff_s=0.01, max_backoff_s=0.05, grace_s=0.05
)
MANY = 10_000 if os.environ.get("PDP_SOAK") else 1_000
OK = PlannedResponse(200, {"text": "Success", "code": 0})


class ExportingServer:
    """An audit log and its exporter, as in a server."""

    def __init__(
        self, directory: Path, exporter: Exporter, changes: FakeChangeLog | None = None
    ) -> None:
        self.log = open_audit_log(f"sqlite:///{directory / 'audit.db'}")
        self.exporter = exporter
        exporter.start(Sources(self.log, changes or FakeChangeLog(0)))

    def add(self, *records: DecisionRecord) -> None:
        """Records decisions like the recorder."""
        self.log.append([json.dumps(each.to_json()) for each in records])
        self.exporter.consume(recorded(*records))

    def close(self) -> None:
        """Closes both in the order of a server."""
        self.exporter.close()
        self.log.close()


@pytest.fixture
def splunk() -> Iterator[Product]:
    with Product(lambda _: OK) as product:
        yield product


def started(
    directory: Path, product: Product, changes: FakeChangeLog | None = None, **settings: Any
) -> ExportingServer:
    """Returns a server whose exporter has started."""
    return ExportingServer(directory, exporter(directory, product, **settings), changes)


def exporter(directory: Path, product: Product, **settings: Any) -> Exporter:
    environ = {"SPLUNK_HEC_URL": product.url, "SPLUNK_HEC_TOKEN": "s3cret"}
    connector = load_connectors(environ)["splunk"].connector
    assert connector is not None
    export_settings = ExportSettings(**{"directory": directory, "timing": FAST, **settings})
    return Exporter(export_settings, {"splunk": connector})


def decisions(requests: Sequence[ReceivedRequest]) -> list[str]:
    """Returns the decisions in the requests, in order."""
    return [
        each["event"]["metadata"]["uid"]
        for request in requests
        if request.path.endswith("/event")
        for each in request.lines
        if each["event"]["class_uid"] == 6003
    ]


def expected(count: int) -> list[str]:
    return [f"decision-{number}" for number in range(count)]


@pytest.mark.soak
def test_all_events_arrive_once_and_in_order_at_a_siem_that_fails(
    tmp_path: Path, splunk: Product
) -> None:
    down = [
        PlannedResponse(reset=True),
        PlannedResponse(503, {"text": "Server is busy", "code": 9}),
        PlannedResponse(429),
    ]
    splunk.responses.extend(
        [
            *down,
            *down,
            PlannedResponse(raw=b"garbage\r\n\r\n"),
            PlannedResponse(200, b"<html>"),
            *down,
        ]
    )
    slow = threading.Event()
    refusals = len(splunk.responses)
    splunk.responses.extend([PlannedResponse(200, {"text": "Success", "code": 0}, wait=slow)])
    exports = started(tmp_path, splunk)
    third = MANY // 3
    for begin, end in ((0, third), (third, 2 * third), (2 * third, MANY)):
        for first in range(begin, end, 50):
            numbers = range(first, min(first + 50, end))
            exports.add(*(record(number, matches=()) for number in numbers))
        if begin == third:
            splunk.until(lambda: len(splunk.requests) > refusals)
            slow.set()
    splunk.until(lambda: len(decisions(splunk.requests[refusals:])) >= MANY)
    exports.close()
    assert decisions(splunk.requests[refusals:]) == expected(MANY)
    assert all(len(each.lines) <= 100 for each in splunk.requests)


def test_the_next_process_delivers_the_waiting_events(tmp_path: Path, splunk: Product) -> None:
    splunk.responses.extend([PlannedResponse(503, headers={"retry-after": "3600"})] * 2)
    first = started(tmp_path, splunk)
    first.add(*(record(number, matches=()) for number in range(150)))
    splunk.until(lambda: len(splunk.requests) == 1)
    first.close()
    splunk.responses.clear()
    second = started(tmp_path, splunk)
    splunk.until(lambda: len(decisions(splunk.requests[1:])) >= 150)
    second.close()
    assert decisions(splunk.requests[1:]) == expected(150)


def test_two_processes_deliver_once(tmp_path: Path, splunk: Product) -> None:
    """Both record decisions. One process delivers, and the other takes over when it ends."""
    first, second = started(tmp_path, splunk), started(tmp_path, splunk)
    first.add(*(record(number, matches=()) for number in range(50)))
    splunk.until(lambda: len(decisions(splunk.requests)) == 50)
    second.add(*(record(number, matches=()) for number in range(50, 100)))
    splunk.until(lambda: len(decisions(splunk.requests)) == 100)
    first.close()
    second.add(*(record(number, matches=()) for number in range(100, 150)))
    splunk.until(lambda: len(decisions(splunk.requests)) == 150)
    second.close()
    assert decisions(splunk.requests) == expected(150)


def change(revision: int) -> Change:
    body = {"name": "No rivals"}
    return Change(
        revision, "acme", "static_policy", "p", "create", None, body, "alice", 1.0, "Created"
    )


class FakeChangeLog:
    """A change log.

    `unknown` revisions are in the store but not yet known to the process. Those up to `removed` may
    be missing.
    """

    def __init__(self, revision: int, unknown: int = 0, removed: int = 0) -> None:
        self.revision = revision
        self.removed = removed
        self._unknown = unknown

    async def removed_through(self) -> int:
        return self.removed

    async def newest(self) -> int:
        return self.revision + self._unknown

    async def changes(self, since: int, limit: int) -> Sequence[Change]:
        return [change(number) for number in range(since + 1, self.revision + 1)][:limit]


def revisions(requests: Sequence[ReceivedRequest]) -> list[int]:
    return [
        each["event"]["unmapped"]["revision"]
        for request in requests
        if request.path.endswith("/event")
        for each in request.lines
        if each["event"]["class_uid"] == 3004
    ]


def test_admin_changes_are_exported_once_by_the_process_that_delivers(
    tmp_path: Path, splunk: Product
) -> None:
    log = FakeChangeLog(10)
    first = started(tmp_path, splunk, log)
    first.add(record(0))
    splunk.until(lambda: len(decisions(splunk.requests)) == 1)
    second = started(tmp_path, splunk, log)
    log.revision = 300
    splunk.until(lambda: len(revisions(splunk.requests)) == 290)
    first.close()
    log.revision = 310
    splunk.until(lambda: len(revisions(splunk.requests)) == 300)
    second.close()
    assert revisions(splunk.requests) == list(range(11, 311)), (
        "changes before the first start are not exported"
    )


def test_a_new_audit_log_is_exported(tmp_path: Path, splunk: Product) -> None:
    """After a change of the key or a restore, its numbers are lower than the exported ones."""
    first = started(tmp_path, splunk)
    first.add(*(record(number, matches=()) for number in range(5)))
    splunk.until(lambda: len(decisions(splunk.requests)) == 5)
    first.close()
    for file in tmp_path.glob("audit.db*"):
        file.unlink()
    second = started(tmp_path, splunk)
    second.add(*(record(number, matches=()) for number in range(5, 8)))
    splunk.until(lambda: len(decisions(splunk.requests)) == 8)
    second.close()
    assert decisions(splunk.requests) == expected(8)


def test_a_restored_change_log_is_exported(tmp_path: Path, splunk: Product) -> None:
    """The changes of the backup are not exported again; later changes with old numbers are."""
    log = FakeChangeLog(10)
    first = started(tmp_path, splunk, log)
    log.revision = 15
    splunk.until(lambda: len(revisions(splunk.requests)) == 5)
    first.close()
    restored = FakeChangeLog(12)
    second = started(tmp_path, splunk, restored)
    restored.revision = 14
    splunk.until(lambda: len(revisions(splunk.requests)) == 7)
    second.close()
    assert revisions(splunk.requests) == [11, 12, 13, 14, 15, 13, 14]


def test_a_process_that_is_behind_exports_nothing_twice(tmp_path: Path, splunk: Product) -> None:
    """A process that starts while another one writes is behind for a short time."""
    log = FakeChangeLog(10)
    first = started(tmp_path, splunk, log)
    log.revision = 15
    splunk.until(lambda: len(revisions(splunk.requests)) == 5)
    first.close()
    behind = FakeChangeLog(12, unknown=3)
    second = started(tmp_path, splunk, behind)
    second.add(record(0, matches=()))
    splunk.until(lambda: len(decisions(splunk.requests)) == 1)
    behind.revision, behind._unknown = 16, 0
    splunk.until(lambda: len(revisions(splunk.requests)) == 6)
    second.close()
    assert revisions(splunk.requests) == [11, 12, 13, 14, 15, 16]


def test_an_invalid_event_is_a_dead_letter_and_the_others_arrive(tmp_path: Path) -> None:
    def refuse_13(request: ReceivedRequest) -> PlannedResponse:
        if any(each["event"]["metadata"]["uid"] == "decision-13" for each in request.lines):
            return PlannedResponse(400, {"text": "Invalid data format", "code": 6})
        return OK

    with Product(refuse_13) as splunk:
        exports = started(tmp_path, splunk)
        exports.add(*(record(number, matches=()) for number in range(40)))
        splunk.until(
            lambda: (
                len(
                    [
                        each
                        for request in splunk.requests
                        if refuse_13(request) is OK
                        for each in request.lines
                    ]
                )
                == 39
            )
        )
        exports.close()
        accepted = [each for each in splunk.requests if refuse_13(each) is OK]
        assert decisions(accepted) == [each for each in expected(40) if each != "decision-13"]
        spool = Spool(tmp_path / SPOOL_NAME, 1_000_000)
        [letter] = spool.dead_letters()
        assert (letter.kind, letter.destination, letter.uid) == ("siem", "splunk", "decision-13")
        assert "Invalid data format" in letter.reason
        status = spool.statuses()["splunk"]
        assert (status.delivered, status.dead, status.waiting) == (39, 1, 0)
        spool.close()


def test_without_connectors_and_rules_there_is_no_spool(tmp_path: Path) -> None:
    exports = ExportingServer(tmp_path, Exporter(ExportSettings(tmp_path, timing=FAST), {}))
    exports.add(*(record(number) for number in range(100)))
    exports.close()
    assert not (tmp_path / SPOOL_NAME).exists()


def test_records_that_were_not_exported_before_a_crash_are_exported(
    tmp_path: Path, splunk: Product
) -> None:
    """The process may be killed between a record and its export."""
    first = started(tmp_path, splunk)
    first.add(record(0, matches=()))
    splunk.until(lambda: len(decisions(splunk.requests)) == 1)
    first.exporter.close()
    first.log.append([json.dumps(record(n, matches=()).to_json()) for n in range(1, 300)])
    first.log.append(['{"of": "another release"}'])
    first.log.close()
    second = started(tmp_path, splunk)
    splunk.until(lambda: len(decisions(splunk.requests)) == 300)
    second.close()
    assert decisions(splunk.requests) == expected(300)


def test_records_without_a_configured_connector_are_never_exported(
    tmp_path: Path, splunk: Product
) -> None:
    started(tmp_path, splunk).close()
    unconfigured = ExportingServer(tmp_path, Exporter(ExportSettings(tmp_path, timing=FAST), {}))
    unconfigured.add(record(0))
    unconfigured.close()
    again = started(tmp_path, splunk)
    again.add(record(1, matches=()))
    splunk.until(lambda: bool(decisions(splunk.requests)))
    again.close()
    assert decisions(splunk.requests) == ["decision-1"]


def test_a_spool_that_cannot_be_written_is_reported_and_loses_nothing(
    tmp_path: Path, splunk: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = started(tmp_path, splunk)
    full = threading.Event()
    append = Spool.append

    def failing(self: Spool, *args: Any, **kwargs: Any) -> None:
        if not full.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        append(self, *args, **kwargs)

    monkeypatch.setattr(Spool, "append", failing)
    monkeypatch.setattr("pdp.export.deliveries.RETRY_S", 0.01)
    exports.add(*(record(number, matches=()) for number in range(30)))
    while not exports.exporter.status.faulty:
        full.wait(0.001)
    full.set()
    splunk.until(lambda: len(decisions(splunk.requests)) == 30)
    exports.close()
    assert decisions(splunk.requests) == expected(30)


def test_a_delivery_that_cannot_be_acknowledged_is_not_repeated(
    tmp_path: Path, splunk: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = started(tmp_path, splunk)
    failures = iter(range(3))
    acknowledge = Spool.acknowledge

    def failing(self: Spool, *args: Any) -> None:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("database or disk is full")
        acknowledge(self, *args)

    monkeypatch.setattr(Spool, "acknowledge", failing)
    exports.add(record(0, matches=()))
    splunk.until(lambda: len(decisions(splunk.requests)) == 1)
    exports.add(record(1, matches=()))
    splunk.until(lambda: len(decisions(splunk.requests)) == 2)
    exports.close()
    assert decisions(splunk.requests) == expected(2)


def test_records_beyond_the_queue_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.export.exporter.MAX_QUEUED", 10)
    rule = {"name": "All", "notify": {"slack_webhook_url": "https://127.0.0.1:1/"}}
    policy = OrgPolicy(alert_rules=[rule])
    exports = Exporter(ExportSettings(tmp_path, timing=FAST), {})
    exports.consume(recorded(*(record(number) for number in range(10)), policy=policy))
    exports.consume(recorded(*(record(number) for number in range(7)), policy=policy))
    exports.start()
    while exports.status.alerts_dropped != 7:
        threading.Event().wait(0.001)
    exports.close()


def test_a_siem_that_is_down_does_not_delay_the_end(tmp_path: Path, splunk: Product) -> None:
    splunk.responses.extend([PlannedResponse(503)] * 100)
    long_grace = DeliveryTiming(
        linger_s=0.05, poll_s=0.02, min_backoff_s=0.01, max_backoff_s=0.05, grace_s=3600.0
    )
    exports = started(tmp_path, splunk, timing=long_grace)
    exports.add(record(0))
    splunk.until(lambda: len(splunk.requests) > 1)
    exports.close()
    assert "exports" not in {each.name for each in threading.enumerate()}, "the thread still runs"
