"""The log of decision records: what is appended is found again, and what is tampered with shows."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.audit.bodies import body_of
from pdp.audit.tickets import ThreadTickets
from pdp.domain.decision import Match, Outcome, Risk
from pdp.domain.decision_record import DecisionRecord, RecordedSubject
from pdp.errors import ConfigError, StoreUnavailable
from pdp.record_keeping import RecordKeeping, RecordOptions
from pdp.store.audit_chain import Batch, digest
from pdp.store.audit_port import Filter, Retention
from pdp.store.audit_sqlite import SqliteAuditLog
from pdp.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY: Final = b"a key of at least thirty-two bytes, for tests"
EVERYTHING: Final = Filter("acme")


def record(number: int, **fields: Any) -> DecisionRecord:
    values: dict[str, Any] = {
        "decision_id": f"d{number}",
        "request_id": f"r{number}",
        "time": float(number),
        "tenant_id": "acme",
        "outcome": Outcome.ALLOW,
        "risk": Risk(0, "none"),
        **fields,
    }
    return DecisionRecord(**values)


def body(number: int, **fields: Any) -> str:
    return body_of(record(number, **fields))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def log(file: Path) -> Iterator[SqliteAuditLog]:
    with closing(SqliteAuditLog.open(f"sqlite:///{file}")) as opened:
        yield opened


def filled(log: SqliteAuditLog, batches: int = 4, size: int = 3) -> None:
    for batch in range(batches):
        log.append([body(batch * size + n) for n in range(size)])


def ids(log: SqliteAuditLog, **wanted: Any) -> list[str]:
    found = log.select(Filter("acme", **wanted), before=None, limit=1000)
    return [json.loads(each.body)["decision_id"] for each in found]


def run(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


class TestReading:
    def test_what_is_appended_is_there_byte_for_byte_newest_first(
        self, log: SqliteAuditLog
    ) -> None:
        bodies = [body(1, message='"\\ \u00e9 \u2028 \U0001f512'), body(2), body(3)]
        log.append(bodies[:2])
        log.append(bodies[2:])
        assert [each.body for each in log.select(EVERYTHING, before=None, limit=9)] == bodies[::-1]
        assert [each.sequence for each in log.follow(EVERYTHING, after=1, limit=9)] == [2, 3]
        assert log.last() == 3

    def test_a_record_comes_back_as_it_was(self, log: SqliteAuditLog) -> None:
        whole = record(
            1,
            subject=RecordedSubject("u", ("g", "h"), "a", 0.5),
            matches=(Match("static", "p", "n", "block", "high", "found"),),
            redacted_arguments={"a": [1, None, {"b": "c"}]},
        )
        log.append([body_of(whole)])
        found = log.get("acme", "d1")
        assert found is not None
        assert DecisionRecord.from_json(json.loads(found.body)) == whole

    def test_what_json_cannot_say_is_kept_in_words(self, log: SqliteAuditLog) -> None:
        """A caller may send it, and it would keep the log from taking what others have sent."""
        arguments = {"a": [float("nan"), {"b": float("-inf"), "c": 1.5}], "lone": "\ud800"}
        log.append([body(1, redacted_arguments=arguments), body(2)])
        found = log.get("acme", "d1")
        assert found is not None
        assert json.loads(found.body)["redacted_arguments"] == {
            "a": ["nan", {"b": "-inf", "c": 1.5}],
            "lone": "\ud800",
        }
        assert ids(log) == ["d2", "d1"]

    def test_pages_follow_each_other(self, log: SqliteAuditLog) -> None:
        filled(log)
        seen: list[int] = []
        before: int | None = None
        while page := log.select(EVERYTHING, before=before, limit=5):
            seen += [each.sequence for each in page]
            before = page[-1].sequence
        assert seen == list(range(12, 0, -1))

    def test_a_tenant_sees_its_own_alone(self, log: SqliteAuditLog) -> None:
        log.append([body(1), body(2, tenant_id="other")])
        assert ids(log) == ["d1"]
        assert log.get("acme", "d2") is None
        assert log.get("other", "d2") is not None

    @pytest.mark.parametrize(
        ("fields", "wanted"),
        [
            ({"outcome": Outcome.BLOCK}, {"outcomes": ("BLOCK", "CANCEL")}),
            ({"risk": Risk(70, "high")}, {"risk_levels": ("high",)}),
            ({"subject": RecordedSubject("u1")}, {"user_id": "u1"}),
            ({"subject": RecordedSubject(agent_id="a1")}, {"agent_id": "a1"}),
            ({"customer_id": "c1"}, {"customer_id": "c1"}),
            ({"provider": "openai", "model": "gpt-4o"}, {"model": "gpt-4o"}),
            ({"provider": "openai", "model": "gpt-4o"}, {"model": "openai/gpt-4o"}),
            ({"provider": "openai", "model": "gpt-4o"}, {"provider": "openai"}),
            ({"action": "a:b:c"}, {"action": "a:b:c"}),
            ({"reason_code": "X"}, {"reason_code": "X"}),
            ({"request_id": "mine"}, {"request_id": "mine"}),
            ({"pii_detected": True}, {"pii_detected": True}),
            ({"time": 50.0}, {"since": 50.0, "until": 50.5}),
            (
                {"matches": (Match("dlp", "p0", "", "", "", ""), Match("dlp", "p", *[""] * 4))},
                {"policy_id": "p"},
            ),
        ],
    )
    def test_filters(
        self, log: SqliteAuditLog, fields: dict[str, Any], wanted: dict[str, Any]
    ) -> None:
        log.append([body(1), body(2, **fields), body(3)])
        assert ids(log, **wanted) == ["d2"]

    def test_filters_are_values_and_no_sql(self, log: SqliteAuditLog) -> None:
        log.append([body(1)])
        assert ids(log, user_id="' OR 1=1 --", policy_id="'", model="%") == []


TAMPERING: Final = {
    "an altered record": (
        """UPDATE records SET body = replace(body, '"d4"', '"d9"') WHERE sequence = 5""",
        "batch 2 (records 4 to 6) is not what was written",
    ),
    "a removed record": (
        "DELETE FROM records WHERE sequence = 5",
        "batch 2 lacks 1 of its 3 records",
    ),
    "records that changed places": (
        """UPDATE records SET body = (SELECT body FROM records r
           WHERE r.sequence = 11 - records.sequence) WHERE sequence IN (5, 6)""",
        "batch 2 (records 4 to 6) is not what was written",
    ),
    "an added record": (
        "INSERT INTO records (sequence, body) VALUES (99, '{}')",
        "1 records at the end belong to no batch",
    ),
    "a removed batch": (
        "DELETE FROM batches WHERE sequence = 2",
        "batches 2 to 2 are missing",
    ),
    "a batch with another time": (
        "UPDATE batches SET at = at + 1 WHERE sequence = 3",
        "batch 3 (records 7 to 9) is not what was written",
    ),
    "a beginning that is cut off": (
        "DELETE FROM batches WHERE sequence = 1",
        "batches 1 to 1 are missing, and no note says that the retention removed them",
    ),
    "an end that is cut off": (
        "DELETE FROM batches WHERE sequence = 4",
        "the end is missing: batches 4 to 4",
    ),
    "a text that is no UTF-8": (
        """UPDATE records SET body = CAST(X'7b2261223a22ff227d' AS TEXT) WHERE sequence = 5""",
        "batch 2 (records 4 to 6) is not what was written",
    ),
    "a note that is no UTF-8": (
        "UPDATE batches SET note = CAST(X'ff' AS TEXT) WHERE sequence = 2",
        "the note of batch 2 cannot be read",
    ),
    "a note of more than there is": (
        """UPDATE batches SET note = '{"removed_through": 1e999, "hash": 1}' WHERE sequence = 2""",
        "the note of batch 2 cannot be read",
    ),
    "a note that is nested deep": (
        """UPDATE batches SET note = replace(hex(zeroblob(50000)), '0', '[')
           WHERE sequence = 2""",
        "the note of batch 2 cannot be read",
    ),
    "a batch of more records than there can be": (
        "UPDATE batches SET records = 9223372036854775807 WHERE sequence = 2",
        "batch 3 does not follow from batch 2",
    ),
    "a batch of less than no records": (
        "UPDATE batches SET records = -5 WHERE sequence = 2",
        "3 records before batch 3 belong to no batch",
    ),
}


class TestVerification:
    def test_an_empty_log_is_intact(self, log: SqliteAuditLog) -> None:
        found = log.verify()
        assert (found.intact, found.batches, found.last_batch) == (True, 0, 0)

    def test_an_untouched_log_is_intact(self, log: SqliteAuditLog) -> None:
        filled(log)
        found = log.verify()
        assert (found.problems, found.batches, found.records) == ((), 4, 12)

    @pytest.mark.parametrize("name", TAMPERING)
    def test_tampering_is_found(self, log: SqliteAuditLog, file: Path, name: str) -> None:
        statement, problem = TAMPERING[name]
        filled(log)
        run(file, statement)
        assert problem in log.verify().problems

    @pytest.mark.parametrize(
        ("left", "cut"),
        [
            (
                2,
                (
                    "DELETE FROM batches WHERE sequence > 2",
                    "DELETE FROM records WHERE sequence > 6",
                ),
            ),
            (0, ("DELETE FROM batches", "DELETE FROM records")),
        ],
    )
    def test_an_end_that_is_cut_off_shows_however_the_log_goes_on(
        self, log: SqliteAuditLog, file: Path, left: int, cut: tuple[str, ...]
    ) -> None:
        """What comes then must not take the places of what has gone."""
        filled(log)
        run(file, *cut)
        with closing(SqliteAuditLog.open(f"sqlite:///{file}")) as reopened:
            for number in range(6):
                reopened.append([body(number)])
            [problem] = reopened.verify().problems
            assert f"batches {left + 1} to 4 are missing" in problem

    def test_an_end_that_is_cut_off_shows_after_a_removal_too(
        self, log: SqliteAuditLog, file: Path
    ) -> None:
        filled(log)
        run(
            file,
            "DELETE FROM batches WHERE sequence = 4",
            "DELETE FROM records WHERE sequence > 9",
        )
        assert log.retain(Retention(max_age_s=0), now=2e9) == 6
        assert log.verify().problems == ("batches 4 to 4 are missing",)

    def test_a_record_in_the_way_is_told_of_at_once(self, log: SqliteAuditLog, file: Path) -> None:
        """It is no other writer, and waiting would not help."""
        filled(log)
        run(file, "INSERT INTO records (sequence, body) VALUES (13, '{}')")
        with pytest.raises(StoreUnavailable, match="pdp audit verify"):
            log.append([body(1)])

    def test_a_rewritten_end_is_found_by_an_anchor(self, log: SqliteAuditLog, file: Path) -> None:
        """Whoever knows SQLite well can cut the end off unseen, and no further than the anchor."""
        filled(log)
        anchor = log.verify().head
        run(
            file,
            "DELETE FROM batches WHERE sequence = 4",
            "DELETE FROM records WHERE sequence > 9",
            "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'batches'",
        )
        with closing(SqliteAuditLog.open(f"sqlite:///{file}")) as reopened:
            assert reopened.verify().intact
            assert not reopened.verify(anchor).intact
            reopened.append([body(9)])
            [problem] = reopened.verify(anchor).problems
            assert "was cut or rewritten" in problem

    def test_a_batch_that_was_forged_with_its_own_hash_does_not_fit(
        self, log: SqliteAuditLog, file: Path
    ) -> None:
        """Whoever makes its hash anew has to make all that follow anew, too."""
        filled(log, size=1)
        with closing(sqlite3.connect(file, isolation_level=None)) as forger:
            row = forger.execute(
                "SELECT sequence, first_record, records, at, note, previous, hash FROM batches"
                " WHERE sequence = 2"
            ).fetchone()
            forged = digest(Batch(*row), [b"{}"], b"")
            forger.execute("UPDATE records SET body = '{}' WHERE sequence = 2")
            forger.execute("UPDATE batches SET hash = ? WHERE sequence = 2", (forged,))
        assert log.verify().problems == ("batch 3 does not follow from batch 2",)

    def test_an_anchor_holds_as_the_log_grows(self, log: SqliteAuditLog) -> None:
        filled(log)
        anchor = log.verify().head
        filled(log)
        assert log.verify(anchor).intact

    def test_with_a_key_nobody_else_can_write_a_chain_that_holds(self, file: Path) -> None:
        url = f"sqlite:///{file}"
        with closing(SqliteAuditLog.open(url, key=KEY)) as log:
            log.append([body(1)])
        run(file, "UPDATE chain SET key_id = ''")
        with closing(SqliteAuditLog.open(url)) as forger:
            forger.append([body(2)])
        run(file, "DELETE FROM chain")
        with closing(SqliteAuditLog.open(url, key=KEY)) as log:
            assert log.verify().problems == ("batch 2 (records 2 to 2) is not what was written",)

    @pytest.mark.parametrize(("first", "then"), [(b"", KEY), (KEY, b""), (KEY, KEY[::-1])])
    def test_another_key_is_refused(self, file: Path, first: bytes, then: bytes) -> None:
        SqliteAuditLog.open(f"sqlite:///{file}", key=first).close()
        with pytest.raises(ConfigError, match="key"):
            SqliteAuditLog.open(f"sqlite:///{file}", key=then)


class TestRetention:
    def test_the_oldest_go_by_age_and_what_is_left_can_be_verified(
        self, log: SqliteAuditLog, file: Path
    ) -> None:
        filled(log)
        run(file, "UPDATE batches SET at = 0 WHERE sequence < 1")  # touches none
        assert log.retain(Retention(max_age_s=0), now=2e9) == 9  # the newest batch stays
        found = log.verify()
        assert (found.problems, found.first_batch, found.removed_batches) == ((), 4, 3)
        assert ids(log) == ["d11", "d10", "d9"]
        log.append([body(12)])
        assert log.verify().intact

    def test_what_is_young_stays(self, log: SqliteAuditLog) -> None:
        filled(log)
        assert log.retain(Retention(max_age_s=3600), now=0) == 0
        assert log.verify().batches == 4

    def test_the_oldest_go_by_size_and_the_file_shrinks(
        self, log: SqliteAuditLog, file: Path
    ) -> None:
        for batch in range(60):
            log.append([body(batch * 20 + n, redacted_text="x" * 2000) for n in range(20)])
        before = log.size()
        bound = before // 3
        while log.retain(Retention(max_bytes=bound), now=2e9):
            pass
        assert log.size() <= bound
        found = log.verify()
        assert (found.problems, found.removed_batches > 20) == ((), True)
        log.close()
        assert file.stat().st_size < before * 0.6

    def test_a_removal_that_no_note_tells_of_is_found(
        self, log: SqliteAuditLog, file: Path
    ) -> None:
        filled(log)
        log.retain(Retention(max_age_s=0), now=2e9)
        filled(log)
        run(file, "DELETE FROM batches WHERE sequence = 4", "DELETE FROM records WHERE sequence=12")
        assert not log.verify().intact

    def test_an_anchor_that_is_gone_is_told_apart(self, log: SqliteAuditLog) -> None:
        filled(log)
        anchor = log.verify().head
        filled(log)
        filled(log)
        log.retain(Retention(max_age_s=0), now=2e9)
        [problem] = log.verify(anchor).problems
        assert "older than what is kept" in problem


class TestSharing:
    def test_processes_append_to_one_chain(self, file: Path, log: SqliteAuditLog) -> None:
        with closing(SqliteAuditLog.open(f"sqlite:///{file}")) as other:
            for number in range(20):
                (log if number % 2 else other).append([body(number)])
            assert other.last() == log.last() == 20
        assert log.verify().problems == ()

    def test_many_at_once(self, file: Path, log: SqliteAuditLog) -> None:
        def work(worker: int) -> None:
            with closing(SqliteAuditLog.open(f"sqlite:///{file}")) as mine:
                for number in range(30):
                    mine.append([body(worker * 1000 + number)])

        threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = log.verify()
        assert (found.problems, found.records) == ((), 120)

    def test_a_busy_log_is_waited_for_and_then_given_up(self, file: Path) -> None:
        with closing(SqliteAuditLog.open(f"sqlite:///{file}", busy_timeout_s=0.05)) as log:
            with closing(sqlite3.connect(file, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable):
                    log.append([body(1)])
                holder.execute("ROLLBACK")
            log.append([body(1)])
            assert log.verify().records == 1


def test_a_record_in_a_file_that_is_gone_is_none(log: SqliteAuditLog, file: Path) -> None:
    """It lives on for who has it open, and is lost when that ends."""
    filled(log, 1)
    file.unlink()
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        log.append([body(9)])


class TestOpening:
    def test_a_store_of_policies_is_refused(self, tmp_path: Path) -> None:
        SqliteStore.open(f"sqlite:///{tmp_path}/pdp.db").close()
        with pytest.raises(ConfigError):
            SqliteAuditLog.open(f"sqlite:///{tmp_path}/pdp.db")

    def test_what_was_appended_survives(self, file: Path) -> None:
        with closing(SqliteAuditLog.open(f"sqlite:///{file}")) as log:
            filled(log)
        with closing(SqliteAuditLog.open(f"sqlite:///{file}")) as log:
            log.append([body(12)])
            assert (log.last(), log.verify().problems) == (13, ())

    def test_a_closed_log_says_so(self, file: Path) -> None:
        log = SqliteAuditLog.open(f"sqlite:///{file}")
        log.close()
        log.close()
        with pytest.raises(StoreUnavailable):
            log.append([body(1)])
        with pytest.raises(StoreUnavailable):
            log.last()

    @pytest.mark.parametrize(
        "content",
        [b"text" * 1000, b"SQLite format 3\0" + b"\xff" * 8000],
        ids=["text", "damaged"],
    )
    def test_an_error_says_which_file_it_is_about(self, file: Path, content: bytes) -> None:
        """Whoever restores the policies for it has changed nothing."""
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"The log of decisions, {file}: "):
            RecordKeeping(RecordOptions(f"sqlite:///{file}"), ThreadTickets())
