"""Searches of the audit log read a bounded number of records, indexed or not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pdp.domain.audit_log import RecordFilter, Retention
from pdp.domain.decision import Match, Outcome
from pdp.domain.decision_record import RecordedSubject
from pdp.store import open_audit_log
from pdp.store.sqlite import audit_log, audit_lookups, audit_search
from tests.support.audit_logs import body, file, fill, ids, log, run

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

__all__ = ["file", "log"]


def policy(policy_id: str) -> tuple[Match, ...]:
    return tuple(Match("dlp", each, "", "", "", "") for each in ("other", policy_id))


def append(log: AuditLog, first: int, last: int) -> None:
    """Every fifth record has the request id `r-x` and matches the policy `p`."""
    log.append(
        [
            body(n) if n % 5 else body(n, request_id="r-x", matches=policy("p"))
            for n in range(first, last)
        ]
    )


def pages(log: AuditLog, limit: int, *, newest_first: bool, **conditions: Any) -> list[list[int]]:
    """Reads pages until the last one."""
    record_filter = RecordFilter("acme", **conditions)
    result: list[list[int]] = []
    cursor: int | None = None if newest_first else 0
    while True:
        page = (
            log.select(record_filter, before=cursor, limit=limit)
            if newest_first
            else log.follow(record_filter, after=cursor or 0, limit=limit)
        )
        result.append([each.sequence for each in page.records])
        cursor = page.more
        if cursor is None:
            return result
        assert len(result) < 200, "the pages do not end"


EVERY: dict[str, dict[str, Any]] = {
    "request": {"request_id": "r-x"},
    "policy": {"policy_id": "p"},
    "both": {"request_id": "r-x", "policy_id": "p"},
    "with another condition": {"policy_id": "p", "outcomes": ("ALLOW",)},
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("indexed", ["none", "middle", "all but the newest", "all"])
def test_a_search_reads_what_is_indexed_and_what_is_not(
    log: AuditLog,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    indexed: str,
    name: str,
) -> None:
    monkeypatch.setattr(audit_lookups, "STEP", 10)
    append(log, 1, 21)
    if indexed == "middle":
        run(file, "UPDATE progress SET value = 21 WHERE name LIKE 'indexed%'")
    append(log, 21, 41)
    if indexed != "none":
        monkeypatch.setattr(audit_log, "MAX_INDEX_STEPS", 2 if indexed == "middle" else 4)
        log.checkpoint()
    if indexed == "all but the newest":
        append(log, 41, 61)
    for newest_first in (True, False):
        result = pages(log, 3, newest_first=newest_first, **EVERY[name])
        places = [place for page in result for place in page]
        assert places == sorted(range(5, log.last() + 1, 5), reverse=newest_first)


def test_older_records_are_indexed_after_the_newer_ones(
    log: AuditLog, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_lookups, "STEP", 10)
    monkeypatch.setattr(audit_log, "MAX_INDEX_STEPS", 3)
    append(log, 1, 41)
    run(file, "UPDATE progress SET value = 31 WHERE name LIKE 'indexed%'")
    log.checkpoint()
    with closing(sqlite3.connect(file)) as connection:
        assert audit_lookups.read_indexed(connection) == (11, 41)
    log.checkpoint()
    with closing(sqlite3.connect(file)) as connection:
        assert audit_lookups.read_indexed(connection) == (1, 41)
        [(count,)] = connection.execute("SELECT count(*) FROM lookups").fetchall()
        assert count == 40 + 8 * 2


def test_the_index_forgets_removed_records(log: AuditLog, file: Path) -> None:
    fill(log)
    log.checkpoint()
    log.retain(Retention(max_age_s=0), now=2e9)
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT sequence FROM lookups ORDER BY sequence").fetchall()
    assert rows == [(10,), (11,), (12,)]


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_page_reads_a_bounded_number_of_records(
    log: AuditLog,
    monkeypatch: pytest.MonkeyPatch,
    newest_first: bool,
) -> None:
    """A filter that matches rarely has short pages instead of slow ones."""
    monkeypatch.setattr(audit_search, "WINDOW", 5)
    monkeypatch.setattr(audit_search, "MAX_WINDOWS", 2)
    log.append([body(n, subject=RecordedSubject(agent_id="a" if n == 17 else "b"))
                for n in range(1, 31)])  # fmt: skip
    result = pages(log, 3, newest_first=newest_first, agent_id="a")
    assert [page for page in result if page] == [[17]]
    assert len(result) > 1
    assert pages(log, 10, newest_first=newest_first)[0] == (
        list(range(30, 20, -1)) if newest_first else list(range(1, 11))
    )


def test_windows_count_the_records_of_the_index(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search for a user or an outcome skips the records of others."""
    monkeypatch.setattr(audit_search, "WINDOW", 5)
    monkeypatch.setattr(audit_search, "MAX_WINDOWS", 1)
    log.append([body(1, subject=RecordedSubject("u"), outcome=Outcome.BLOCK)])
    log.append([body(n) for n in range(2, 40)])
    assert pages(log, 3, newest_first=True, user_id="u") == [[1]]
    assert pages(log, 3, newest_first=True, outcomes=("BLOCK",)) == [[1]]
    assert pages(log, 3, newest_first=True, outcomes=("BLOCK", "CANCEL"))[-1] == [1]


def test_ids_are_not_mistaken_for_one_another(log: AuditLog) -> None:
    log.append([body(1, request_id="p", matches=policy("r")), body(2, request_id="r")])
    log.checkpoint()
    assert ids(log, request_id="p") == ["d1"]
    assert ids(log, request_id="r") == ["d2"]
    assert ids(log, policy_id="r") == ["d1"]
    assert ids(log, policy_id="p") == []
    log.append([body(3, tenant_id="other", request_id="p")])
    log.checkpoint()
    assert ids(log, request_id="p") == ["d1"]
    [row] = log.follow(RecordFilter("other", request_id="p"), after=0, limit=9).records
    assert json.loads(row.body)["decision_id"] == "d3"


def test_an_older_log_is_indexed_after_the_update(
    log: AuditLog, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update itself indexes nothing, so it takes no time."""
    append(log, 1, 21)
    log.close()
    run(
        file,
        "DROP TABLE progress",
        "DROP TABLE lookups",
        "DROP TRIGGER forget",
        "DELETE FROM _sqlite_migrations WHERE name = 'lookups'",
        "PRAGMA user_version = 2",
    )
    with closing(open_audit_log(f"sqlite:///{file}")) as updated:
        with closing(sqlite3.connect(file)) as connection:
            assert audit_lookups.read_indexed(connection) == (21, 21)
        append(updated, 21, 41)
        for steps in (0, 1, 9):
            monkeypatch.setattr(audit_log, "MAX_INDEX_STEPS", steps)
            updated.checkpoint()
            assert len(ids(updated, policy_id="p")) == 8
            assert len(ids(updated, request_id="r-x")) == 8
        with closing(sqlite3.connect(file)) as connection:
            assert audit_lookups.read_indexed(connection) == (1, 41)
        assert updated.verify().problems == ()


def test_a_damaged_body_does_not_keep_others_from_the_index() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE records (sequence INTEGER PRIMARY KEY, tenant_id, body)")
        connection.execute("CREATE TABLE lookups (tenant_id, value, sequence)")
        connection.execute("CREATE TABLE progress (name, value)")
        connection.execute("INSERT INTO progress VALUES ('indexed_from', 1), ('indexed_to', 1)")
        connection.execute("INSERT INTO records VALUES (1, 'acme', '{'), (2, 'acme', ?)", [body(1)])
        assert audit_lookups.index_step(connection)
        assert not audit_lookups.index_step(connection)
        rows = connection.execute("SELECT value, sequence FROM lookups WHERE value IS NOT NULL")
        assert rows.fetchall() == [("rr1", 2)]
