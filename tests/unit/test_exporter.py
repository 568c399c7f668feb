"""From recorded decisions to a SIEM: all of them, once, in order, whatever the SIEM does."""

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
from tests.support.siem_product import Asked, Product, Say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.domain.decision_record import DecisionRecord

FAST = DeliveryTiming(
    linger_s=0.05, poll_s=0.02, min_backoff_s=0.01, max_backoff_s=0.05, grace_s=0.05
)
MANY = 10_000 if os.environ.get("PDP_SOAK") else 1_000
OK = Say(200, {"text": "Success", "code": 0})


class Recording:
    """A server's log of records, and an exporter of what is in it."""

    def __init__(self, directory: Path, made: Exporter, changes: Log | None = None) -> None:
        self.log = open_audit_log(f"sqlite:///{directory / 'audit.db'}")
        self.exporter = made
        made.start(Sources(self.log, changes or Log(0)))

    def add(self, *records: DecisionRecord) -> None:
        """Records decisions, as the recorder does."""
        self.log.append([json.dumps(each.to_json()) for each in records])
        self.exporter.consume(recorded(*records))

    def close(self) -> None:
        """Ends as a server does."""
        self.exporter.close()
        self.log.close()


@pytest.fixture
def splunk() -> Iterator[Product]:
    with Product(lambda _: OK) as product:
        yield product


def started(
    directory: Path, product: Product, changes: Log | None = None, **settings: Any
) -> Recording:
    """Starts a server's exports."""
    return Recording(directory, exporter(directory, product, **settings), changes)


def exporter(directory: Path, product: Product, **settings: Any) -> Exporter:
    environ = {"SPLUNK_HEC_URL": product.url, "SPLUNK_HEC_TOKEN": "s3cret"}
    connector = load_connectors(environ)["splunk"].connector
    assert connector is not None
    whole = ExportSettings(**{"directory": directory, "timing": FAST, **settings})
    return Exporter(whole, {"splunk": connector})


def decisions(asked: Sequence[Asked]) -> list[str]:
    """Returns the decisions that came, in their order."""
    return [
        each["event"]["metadata"]["uid"]
        for one in asked
        if one.path.endswith("/event")
        for each in one.lines
        if each["event"]["class_uid"] == 6003
    ]


def expected(count: int) -> list[str]:
    return [f"decision-{number}" for number in range(count)]


@pytest.mark.soak
def test_down_then_slow_then_up_all_arrive_once_and_in_order(
    tmp_path: Path, splunk: Product
) -> None:
    down = [Say(reset=True), Say(503, {"text": "Server is busy", "code": 9}), Say(429)]
    splunk.said.extend([*down, *down, Say(raw=b"garbage\r\n\r\n"), Say(200, b"<html>"), *down])
    slow = threading.Event()
    refused = len(splunk.said)
    splunk.said.extend([Say(200, {"text": "Success", "code": 0}, wait=slow)])
    exports = started(tmp_path, splunk)
    third = MANY // 3
    for begin, end in ((0, third), (third, 2 * third), (2 * third, MANY)):
        for first in range(begin, end, 50):
            numbers = range(first, min(first + 50, end))
            exports.add(*(record(number, matches=()) for number in numbers))
        if begin == third:
            splunk.until(lambda: len(splunk.asked) > refused)
            slow.set()
    splunk.until(lambda: len(decisions(splunk.asked[refused:])) >= MANY)
    exports.close()
    assert decisions(splunk.asked[refused:]) == expected(MANY)
    assert all(len(each.lines) <= 100 for each in splunk.asked)


def test_what_was_not_delivered_is_when_the_next_process_starts(
    tmp_path: Path, splunk: Product
) -> None:
    splunk.said.extend([Say(503, headers={"retry-after": "3600"})] * 2)
    first = started(tmp_path, splunk)
    first.add(*(record(number, matches=()) for number in range(150)))
    splunk.until(lambda: len(splunk.asked) == 1)
    first.close()
    splunk.said.clear()
    second = started(tmp_path, splunk)
    splunk.until(lambda: len(decisions(splunk.asked[1:])) >= 150)
    second.close()
    assert decisions(splunk.asked[1:]) == expected(150)


def test_two_processes_deliver_once(tmp_path: Path, splunk: Product) -> None:
    """Both put what they recorded into the spool; one delivers, the other when that is gone."""
    first, second = started(tmp_path, splunk), started(tmp_path, splunk)
    first.add(*(record(number, matches=()) for number in range(50)))
    splunk.until(lambda: len(decisions(splunk.asked)) == 50)
    second.add(*(record(number, matches=()) for number in range(50, 100)))
    splunk.until(lambda: len(decisions(splunk.asked)) == 100)
    first.close()
    second.add(*(record(number, matches=()) for number in range(100, 150)))
    splunk.until(lambda: len(decisions(splunk.asked)) == 150)
    second.close()
    assert decisions(splunk.asked) == expected(150)


def change(revision: int) -> Change:
    body = {"name": "No rivals"}
    return Change(
        revision, "acme", "static_policy", "p", "create", None, body, "alice", 1.0, "Created"
    )


class Log:
    """A change log that grows to a revision, of which a process may not know yet."""

    def __init__(self, revision: int, unknown: int = 0) -> None:
        self.revision = revision
        self._unknown = unknown

    async def newest(self) -> int:
        return self.revision + self._unknown

    async def changes(self, since: int, limit: int) -> Sequence[Change]:
        return [change(number) for number in range(since + 1, self.revision + 1)][:limit]


def revisions(asked: Sequence[Asked]) -> list[int]:
    return [
        each["event"]["unmapped"]["revision"]
        for one in asked
        if one.path.endswith("/event")
        for each in one.lines
        if each["event"]["class_uid"] == 3004
    ]


def test_admin_changes_are_exported_once_by_whoever_delivers(
    tmp_path: Path, splunk: Product
) -> None:
    log = Log(10)
    first = started(tmp_path, splunk, log)
    first.add(record(0))
    splunk.until(lambda: len(decisions(splunk.asked)) == 1)
    second = started(tmp_path, splunk, log)
    log.revision = 300
    splunk.until(lambda: len(revisions(splunk.asked)) == 290)
    first.close()
    log.revision = 310
    splunk.until(lambda: len(revisions(splunk.asked)) == 300)
    second.close()
    assert revisions(splunk.asked) == list(range(11, 311)), "what was before is no news"


def test_a_log_that_was_begun_anew_is_exported(tmp_path: Path, splunk: Product) -> None:
    """As after a change of its key, or a backup: its numbers are lower than those exported."""
    first = started(tmp_path, splunk)
    first.add(*(record(number, matches=()) for number in range(5)))
    splunk.until(lambda: len(decisions(splunk.asked)) == 5)
    first.close()
    for file in tmp_path.glob("audit.db*"):
        file.unlink()
    second = started(tmp_path, splunk)
    second.add(*(record(number, matches=()) for number in range(5, 8)))
    splunk.until(lambda: len(decisions(splunk.asked)) == 8)
    second.close()
    assert decisions(splunk.asked) == expected(8)


def test_a_change_log_that_was_restored_is_exported(tmp_path: Path, splunk: Product) -> None:
    """What the backup had is no news; what has the numbers of what is gone is."""
    log = Log(10)
    first = started(tmp_path, splunk, log)
    log.revision = 15
    splunk.until(lambda: len(revisions(splunk.asked)) == 5)
    first.close()
    restored = Log(12)
    second = started(tmp_path, splunk, restored)
    restored.revision = 14
    splunk.until(lambda: len(revisions(splunk.asked)) == 7)
    second.close()
    assert revisions(splunk.asked) == [11, 12, 13, 14, 15, 13, 14]


def test_who_knows_less_than_was_exported_exports_nothing_twice(
    tmp_path: Path, splunk: Product
) -> None:
    """A process that starts while another one writes is behind for a moment."""
    log = Log(10)
    first = started(tmp_path, splunk, log)
    log.revision = 15
    splunk.until(lambda: len(revisions(splunk.asked)) == 5)
    first.close()
    behind = Log(12, unknown=3)
    second = started(tmp_path, splunk, behind)
    second.add(record(0, matches=()))
    splunk.until(lambda: len(decisions(splunk.asked)) == 1)
    behind.revision, behind._unknown = 16, 0
    splunk.until(lambda: len(revisions(splunk.asked)) == 6)
    second.close()
    assert revisions(splunk.asked) == [11, 12, 13, 14, 15, 16]


def test_a_poisoned_event_is_a_dead_letter_and_the_others_arrive(tmp_path: Path) -> None:
    def choosy(asked: Asked) -> Say:
        if any(each["event"]["metadata"]["uid"] == "decision-13" for each in asked.lines):
            return Say(400, {"text": "Invalid data format", "code": 6})
        return OK

    with Product(choosy) as splunk:
        exports = started(tmp_path, splunk)
        exports.add(*(record(number, matches=()) for number in range(40)))
        splunk.until(
            lambda: (
                len([each for one in splunk.asked if choosy(one) is OK for each in one.lines]) == 39
            )
        )
        exports.close()
        taken = [each for each in splunk.asked if choosy(each) is OK]
        assert decisions(taken) == [each for each in expected(40) if each != "decision-13"]
        spool = Spool(tmp_path / SPOOL_NAME, 1_000_000)
        [letter] = spool.dead_letters()
        assert (letter.kind, letter.destination, letter.uid) == ("siem", "splunk", "decision-13")
        assert "Invalid data format" in letter.reason
        standing = spool.statuses()["splunk"]
        assert (standing.delivered, standing.dead, standing.waiting) == (39, 1, 0)
        spool.close()


def test_without_connectors_and_rules_nothing_is_kept(tmp_path: Path) -> None:
    exports = Recording(tmp_path, Exporter(ExportSettings(tmp_path, timing=FAST), {}))
    exports.add(*(record(number) for number in range(100)))
    exports.close()
    assert not (tmp_path / SPOOL_NAME).exists()


def test_what_was_recorded_while_nobody_exported_is_exported(
    tmp_path: Path, splunk: Product
) -> None:
    """As after a kill -9 between a record and its export."""
    first = started(tmp_path, splunk)
    first.add(record(0, matches=()))
    splunk.until(lambda: len(decisions(splunk.asked)) == 1)
    first.exporter.close()
    first.log.append([json.dumps(record(n, matches=()).to_json()) for n in range(1, 300)])
    first.log.append(['{"of": "another release"}'])
    first.log.close()
    second = started(tmp_path, splunk)
    splunk.until(lambda: len(decisions(splunk.asked)) == 300)
    second.close()
    assert decisions(splunk.asked) == expected(300)


def test_what_was_recorded_while_nobody_was_to_be_told_is_no_news(
    tmp_path: Path, splunk: Product
) -> None:
    started(tmp_path, splunk).close()
    nobody = Recording(tmp_path, Exporter(ExportSettings(tmp_path, timing=FAST), {}))
    nobody.add(record(0))
    nobody.close()
    again = started(tmp_path, splunk)
    again.add(record(1, matches=()))
    splunk.until(lambda: bool(decisions(splunk.asked)))
    again.close()
    assert decisions(splunk.asked) == ["decision-1"]


def test_a_spool_that_cannot_be_written_loses_nothing_but_says_so(
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
    splunk.until(lambda: len(decisions(splunk.asked)) == 30)
    exports.close()
    assert decisions(splunk.asked) == expected(30)


def test_a_delivery_that_cannot_be_noted_is_not_repeated(
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
    splunk.until(lambda: len(decisions(splunk.asked)) == 1)
    exports.add(record(1, matches=()))
    splunk.until(lambda: len(decisions(splunk.asked)) == 2)
    exports.close()
    assert decisions(splunk.asked) == expected(2)


def test_what_is_too_much_to_hand_over_is_counted(
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


def test_a_siem_that_is_down_does_not_hold_up_the_end(tmp_path: Path, splunk: Product) -> None:
    splunk.said.extend([Say(503)] * 100)
    patient = DeliveryTiming(
        linger_s=0.05, poll_s=0.02, min_backoff_s=0.01, max_backoff_s=0.05, grace_s=3600.0
    )
    exports = started(tmp_path, splunk, timing=patient)
    exports.add(record(0))
    splunk.until(lambda: len(splunk.asked) > 1)
    exports.close()
    assert "exports" not in {each.name for each in threading.enumerate()}, "it still waits"
