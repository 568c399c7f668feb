"""From recorded decisions to a SIEM: all of them, once, in order, whatever the SIEM does."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.audit.courier import Pace
from pdp.audit.dead_letters import dead_letters
from pdp.audit.deliveries import ExportSettings
from pdp.audit.exporter import SPOOL_NAME, Exporter
from pdp.audit.siem.registry import registered
from pdp.audit.spool import Spool
from pdp.domain.record import Change
from tests.products import Asked, Product, Say
from tests.unit.records import record, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FAST = Pace(linger_s=0.05, poll_s=0.02, first_s=0.01, most_s=0.05, grace_s=0.05)
MANY = 10_000 if os.environ.get("PDP_SOAK") else 1_000
OK = Say(200, {"text": "Success", "code": 0})


@pytest.fixture
def splunk() -> Iterator[Product]:
    with Product(lambda _: OK) as product:
        yield product


def exporter(directory: Path, product: Product, **settings: Any) -> Exporter:
    environ = {"SPLUNK_HEC_URL": product.url, "SPLUNK_HEC_TOKEN": "s3cret"}
    connector = registered(environ)["splunk"].connector
    assert connector is not None
    whole = ExportSettings(**{"directory": directory, "pace": FAST, **settings})
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
    exports = exporter(tmp_path, splunk)
    exports.start()
    third = MANY // 3
    for begin, end in ((0, third), (third, 2 * third), (2 * third, MANY)):
        for first in range(begin, end, 50):
            numbers = range(first, min(first + 50, end))
            exports.consume(recorded(*(record(number, matches=()) for number in numbers)))
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
    first = exporter(tmp_path, splunk)
    first.start()
    first.consume(recorded(*(record(number, matches=()) for number in range(150))))
    splunk.until(lambda: len(splunk.asked) == 1)
    first.close()
    splunk.said.clear()
    second = exporter(tmp_path, splunk)
    second.start()
    splunk.until(lambda: len(decisions(splunk.asked[1:])) >= 150)
    second.close()
    assert decisions(splunk.asked[1:]) == expected(150)


def test_two_processes_deliver_once(tmp_path: Path, splunk: Product) -> None:
    """Both put what they recorded into the spool; one delivers, the other when that is gone."""
    first, second = exporter(tmp_path, splunk), exporter(tmp_path, splunk)
    first.start()
    second.start()
    first.consume(recorded(*(record(number, matches=()) for number in range(50))))
    splunk.until(lambda: len(decisions(splunk.asked)) == 50)
    second.consume(recorded(*(record(number, matches=()) for number in range(50, 100))))
    splunk.until(lambda: len(decisions(splunk.asked)) == 100)
    first.close()
    second.consume(recorded(*(record(number, matches=()) for number in range(100, 150))))
    splunk.until(lambda: len(decisions(splunk.asked)) == 150)
    second.close()
    assert decisions(splunk.asked) == expected(150)


def change(revision: int) -> Change:
    body = {"name": "No rivals"}
    return Change(
        revision, "acme", "static_policy", "p", "create", None, body, "alice", 1.0, "Created"
    )


class Log:
    """A change log that grows to a revision."""

    def __init__(self, revision: int) -> None:
        self.revision = revision

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
    first, second = exporter(tmp_path, splunk), exporter(tmp_path, splunk)
    first.start(log)
    first.consume(recorded(record(0)))
    splunk.until(lambda: len(decisions(splunk.asked)) == 1)
    second.start(log)
    log.revision = 300
    splunk.until(lambda: len(revisions(splunk.asked)) == 290)
    first.close()
    log.revision = 310
    splunk.until(lambda: len(revisions(splunk.asked)) == 300)
    second.close()
    assert revisions(splunk.asked) == list(range(11, 311)), "what was before is no news"


def test_a_poisoned_event_is_a_dead_letter_and_the_others_arrive(tmp_path: Path) -> None:
    def choosy(asked: Asked) -> Say:
        if any(each["event"]["metadata"]["uid"] == "decision-13" for each in asked.lines):
            return Say(400, {"text": "Invalid data format", "code": 6})
        return OK

    with Product(choosy) as splunk:
        exports = exporter(tmp_path, splunk)
        exports.start()
        exports.consume(recorded(*(record(number, matches=()) for number in range(40))))
        splunk.until(
            lambda: (
                len([each for one in splunk.asked if choosy(one) is OK for each in one.lines]) == 39
            )
        )
        exports.close()
        taken = [each for each in splunk.asked if choosy(each) is OK]
        assert decisions(taken) == [each for each in expected(40) if each != "decision-13"]
        spool = Spool(tmp_path / SPOOL_NAME, 1_000_000)
        [letter] = dead_letters(spool)
        assert (letter.kind, letter.destination, letter.uid) == ("siem", "splunk", "decision-13")
        assert "Invalid data format" in letter.reason
        standing = spool.standings()["splunk"]
        assert (standing.delivered, standing.dead, standing.waiting) == (39, 1, 0)
        spool.close()


def test_without_connectors_and_rules_nothing_is_kept(tmp_path: Path) -> None:
    exports = Exporter(ExportSettings(tmp_path, pace=FAST), {})
    exports.start()
    exports.consume(recorded(*(record(number) for number in range(100))))
    exports.close()
    assert not (tmp_path / SPOOL_NAME).exists()


def test_a_spool_that_cannot_be_written_loses_nothing_but_says_so(
    tmp_path: Path, splunk: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = exporter(tmp_path, splunk)
    exports.start()
    full = threading.Event()
    append = Spool.append

    def failing(self: Spool, *args: Any, **kwargs: Any) -> None:
        if not full.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        append(self, *args, **kwargs)

    monkeypatch.setattr(Spool, "append", failing)
    monkeypatch.setattr("pdp.audit.exporter.RETRY_S", 0.01)
    exports.consume(recorded(*(record(number, matches=()) for number in range(30))))
    while not exports.exports.faulty:
        full.wait(0.001)
    full.set()
    splunk.until(lambda: len(decisions(splunk.asked)) == 30)
    exports.close()
    assert decisions(splunk.asked) == expected(30)


def test_what_is_too_much_to_hand_over_is_counted(
    tmp_path: Path, splunk: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdp.audit.exporter.MAX_HANDED", 10)
    exports = exporter(tmp_path, splunk)
    exports.consume(recorded(*(record(number) for number in range(10))))
    exports.consume(recorded(*(record(number) for number in range(7))))
    exports.start()
    splunk.until(lambda: len(decisions(splunk.asked)) == 10)
    while exports.exports.unspooled != 7:
        threading.Event().wait(0.001)
    exports.close()
