"""Dead letters: grouped, sent again and discarded, in short steps."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from pdp.errors import StoreUnavailable
from pdp.export import dead_letters
from pdp.export.dead_letters import DeadLetters
from pdp.export.exporter import SPOOL_NAME
from pdp.export.spool import Spool
from pdp.export.spooled import AlertDelivery, DeadLetterFilter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = DeadLetterFilter()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """The spool of a server, with dead letters of two connectors and of an alert rule."""
    spool = Spool(tmp_path / SPOOL_NAME, 1_000_000)
    spool.attach(["splunk", "file"])
    spool.append([(str(number), 1.0, b"x" * 10) for number in range(4)])
    batch = spool.batch("splunk", 4, 1_000_000)
    refused = [(batch[0], "too large"), (batch[1], "no good"), (batch[2], "no good")]
    spool.acknowledge("splunk", batch, refused)
    batch = spool.batch("file", 4, 1_000_000)
    spool.acknowledge("file", batch, [(batch[3], "no good")])
    bury(spool, "acme/High", "12 attempts: no answer in time")
    yield spool
    spool.close()


@pytest.fixture
def letters(spool: Spool, tmp_path: Path) -> DeadLetters:
    """The dead letters of the server."""
    return DeadLetters(tmp_path)


def queue(spool: Spool, destination: str) -> None:
    spool.add_alert(destination, "https://hooks.example/secret", "d1", b"{}")


def bury(spool: Spool, destination: str, reason: str) -> None:
    queue(spool, destination)
    spool.bury_alert(spool.due_alerts(1)[0], reason)


async def counts(letters: DeadLetters) -> dict[tuple[str, str, str], int]:
    """Returns how many letters each group has."""
    groups = await letters.groups()
    return {(each.kind, each.destination, each.reason): each.letters for each in groups}


async def test_groups_say_what_letters_have_in_common(letters: DeadLetters) -> None:
    first, *_ = await letters.groups()
    assert (first.kind, first.destination, first.reason) == ("siem", "splunk", "no good")
    assert (first.letters, first.size) == (2, 20)
    assert 0 < first.first_at <= first.last_at
    assert await counts(letters) == {
        ("siem", "splunk", "no good"): 2,
        ("siem", "splunk", "too large"): 1,
        ("siem", "file", "no good"): 1,
        ("alert", "acme/High", "12 attempts: no answer in time"): 1,
    }


@pytest.mark.parametrize(
    ("selection", "number"),
    [
        (ALL, 5),
        (DeadLetterFilter(kind="siem"), 4),
        (DeadLetterFilter(kind="alert"), 1),
        (DeadLetterFilter(destination="splunk"), 3),
        (DeadLetterFilter(reason="no good"), 3),
        (DeadLetterFilter("siem", "splunk", "no good"), 2),
        (DeadLetterFilter("alert", "splunk"), 0),
    ],
)
async def test_what_is_selected_is_discarded(
    letters: DeadLetters, spool: Spool, selection: DeadLetterFilter, number: int
) -> None:
    assert await letters.discard(selection, "ann") == number
    assert spool.count_dead_letters() == 5 - number
    assert spool.batch("splunk", 9, 1_000_000) == []


async def test_what_is_sent_again_waits_for_its_destination(
    letters: DeadLetters, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_STEP", 2)
    assert await letters.retry(ALL, "ann") == 5
    assert spool.count_dead_letters() == 0
    assert [each.uid for each in spool.batch("splunk", 9, 1_000_000)] == ["0", "1", "2"]
    assert [each.uid for each in spool.batch("file", 9, 1_000_000)] == ["3"]
    assert [each.destination for each in spool.due_alerts(9)] == ["acme/High"]


async def test_letters_that_come_meanwhile_are_left(
    letters: DeadLetters, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a destination that refuses at once would never let it end."""
    monkeypatch.setattr(dead_letters, "_STEP", 1)
    resend = Spool.resend

    def resend_and_fail(self: Spool, ids: list[int]) -> int:
        count = resend(self, ids)
        bury(self, "acme/Other", "refused")
        return count

    monkeypatch.setattr(Spool, "resend", resend_and_fail)
    assert await letters.retry(DeadLetterFilter(kind="siem"), "ann") == 4
    assert (await counts(letters))["alert", "acme/Other", "refused"] == 4


async def test_deliveries_of_alerts_are_by_rule(letters: DeadLetters, spool: Spool) -> None:
    queue(spool, "acme/Low")
    queue(spool, "acme/Low")
    spool.postpone_alert(spool.due_alerts(1)[0], 60)
    queue(spool, "acme2/High")
    low, high, other = await letters.alert_deliveries("acme", ["Low", "High", "Other"])
    assert (low.queued, low.attempts, low.dead) == (2, 1, 0)
    assert low.queued_since is not None
    assert (high.queued, high.dead) == (0, 1)
    assert high.last_error == "12 attempts: no answer in time"
    assert other == AlertDelivery()


async def test_the_last_error_is_that_of_the_newest_letter(
    letters: DeadLetters, spool: Spool
) -> None:
    bury(spool, "acme/High", "HTTP 410")
    [high] = await letters.alert_deliveries("acme", ["High"])
    assert (high.dead, high.last_error) == (2, "HTTP 410")


@pytest.mark.parametrize("exists", [True, False])
async def test_without_a_spool_there_are_none(tmp_path: Path, exists: bool) -> None:
    """No file is made."""
    letters = DeadLetters(tmp_path if exists else None)
    assert await letters.groups() == []
    assert await letters.retry(ALL, "ann") == 0
    assert await letters.discard(ALL, "ann") == 0
    assert await letters.alert_deliveries("acme", ["High"]) == [AlertDelivery()]
    assert SPOOL_NAME not in os.listdir(tmp_path)


async def test_a_spool_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    (tmp_path / SPOOL_NAME).write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        await DeadLetters(tmp_path).groups()


async def test_nothing_here_runs_on_the_event_loop(
    letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    groups = Spool.dead_letter_groups

    def noted(self: Spool, limit: int) -> object:
        threads.append(threading.get_ident())
        return groups(self, limit)

    monkeypatch.setattr(Spool, "dead_letter_groups", noted)
    await letters.groups()
    [thread] = threads
    assert thread != threading.get_ident()
