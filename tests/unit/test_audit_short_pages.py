"""What reads the audit log page by page continues after short pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bench.engine import catalog_platform
from pdp.audit.reader import RecordReader
from pdp.decisions.replay_summary import Paging, replay_page
from pdp.domain.decision_record import RecordedSubject
from pdp.domain.policy_set import PolicySet
from pdp.engine.compiler import compile_tenant
from pdp.store.sqlite import audit_search
from tests.support.audit_logs import body, file, log

if TYPE_CHECKING:
    from pdp.domain.audit_log import AuditLog

__all__ = ["file", "log"]

MATCHES = (7, 33)
"""The records of the agent `a`."""


@pytest.fixture(autouse=True)
def records(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes 40 records, and lets a page read few of them."""
    monkeypatch.setattr(audit_search, "WINDOW", 3)
    monkeypatch.setattr(audit_search, "MAX_WINDOWS", 1)
    agents = {number: RecordedSubject(agent_id="a") for number in MATCHES}
    log.append([body(n, subject=agents.get(n, RecordedSubject())) for n in range(1, 41)])


async def test_list(log: AuditLog) -> None:
    reader = RecordReader(log)
    places: list[int] = []
    pages = 0
    cursor: int | None = None
    while pages == 0 or cursor is not None:
        page = await reader.list("acme", cursor, 10, agent_id="a")
        places += [each.cursor for each in page.entries]
        cursor = page.more
        pages += 1
    assert (places, pages > 2) == ([33, 7], True)


async def test_export(log: AuditLog) -> None:
    pages = [page async for page in RecordReader(log).export("acme", agent_id="a")]
    assert [each.cursor for page in pages for each in page] == list(MATCHES)


async def test_tail(log: AuditLog) -> None:
    reader = RecordReader(log)
    places: list[int] = []
    async with asyncio.timeout(30):
        async for page in reader.tail("acme", 0, agent_id="a"):
            places += [each.cursor for each in page]
            if len(places) == len(MATCHES):
                reader.end_tails()
    assert places == list(MATCHES)


def test_replay(log: AuditLog) -> None:
    snapshot = compile_tenant(catalog_platform(), "acme", PolicySet({}), 1)
    cursor, pages, replayed = "", 0, 0
    while pages == 0 or cursor:
        paging = Paging(cursor, 5, 1)
        page = replay_page(log, snapshot, snapshot, {"agent_id": "a"}, paging)
        tally = page.tally
        replayed += tally.replayed + tally.not_replayed.total()
        cursor = page.next_cursor
        pages += 1
        assert pages < 40, "the pages do not end"
    assert (replayed, pages > 2) == (len(MATCHES), True)
