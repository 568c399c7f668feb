"""From recorded decisions to a SIEM: all of them, once, in order, whatever the SIEM does."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pdp.audit.courier import Pace
from pdp.audit.deliveries import ExportSettings
from pdp.audit.exporter import Exporter
from pdp.audit.siem.registry import registered
from tests.products import Asked, Product, Say
from tests.unit.records import record, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pdp.domain.record import Change

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


class Log:
    """A change log in memory."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self.revision = 0

    async def changes(self, since: int, limit: int) -> Sequence[Change]:
        found = [each for each in self._changes if since < each.revision <= self.revision]
        return found[:limit]
