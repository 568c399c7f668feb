"""The verification of records in PostgreSQL detects what someone who can write the tables does."""

# ruff: noqa: S608 - the statements have no input

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from pdp.domain.audit_log import RemovedRecords, Retention
from pdp.domain.decision import Match
from pdp.store.hash_chain import record_hash
from pdp.store.postgres.records import writer
from pdp.store.postgres.records.chains import ChainHead
from pdp.store.postgres.records.signing import HeadSigner
from tests.support.audit_logs import KEY, body, ids
from tests.support.postgres_records import begin_next_day, opener, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.domain.audit_log import AuditLog

FAR: Final = 1e11
"""A time when all records are too old."""

POLICY: Final = (Match("dlp", "p", "", "", "", ""),)


@pytest.fixture
def open_log(postgres_url: str) -> Iterator[Callable[..., AuditLog]]:
    """Opens the log as another replica would."""
    yield from opener(postgres_url)


@pytest.fixture
def log(postgres_url: str, open_log: Callable[..., AuditLog]) -> AuditLog:
    """A log of two replicas and two days.

    Records d0 to d5 are of the first replica and d10 to d15 of the second one; on the next day they
    continue with d6 and d16. A batch has two records.
    """
    first, second = open_log(), open_log()
    for number in range(0, 6, 2):
        first.append([body(number, matches=POLICY), body(number + 1)])
        second.append([body(10 + number), body(11 + number)])
    begin_next_day(postgres_url)
    first.append([body(6)])
    second.append([body(16)])
    assert first.verify().problems == ()
    return first


_OF_D2: Final = "(SELECT sequence >> 10 FROM records WHERE decision_id = 'd2')"
_CHAIN: Final = f"(SELECT chain FROM batches WHERE position = {_OF_D2})"
_LAST: Final = "(SELECT sequence >> 10 FROM records WHERE decision_id = 'd4')"
_FIRST_DAY: Final = "(SELECT min(chain) >> 33 FROM chains)"

TAMPERING: Final = {
    "an altered record": (
        ("UPDATE records SET body = replace(body, '\"d2\"', '\"d9\"') WHERE decision_id = 'd2'",),
        "is not what was written",
    ),
    "an altered column": (
        ("UPDATE records SET user_id = 'x' WHERE decision_id = 'd2'",),
        "contradict its body",
    ),
    "an altered index of policies": (
        ("DELETE FROM matches WHERE sequence = (SELECT min(sequence) FROM matches)",),
        "the index of policies",
    ),
    "a removed record": (
        ("DELETE FROM records WHERE decision_id = 'd2'",),
        "lacks 1 of its 2 records",
    ),
    "a record with only its hash left": (
        (
            "INSERT INTO nodes SELECT sequence, 0, sha256(body::bytea) FROM records"
            " WHERE decision_id = 'd2'",
            "DELETE FROM records WHERE decision_id = 'd2'",
            "DELETE FROM matches",
        ),
        "the notes do not say that exactly these were removed",
    ),
    "a record moved to another place": (
        ("UPDATE records SET sequence = sequence + 5 WHERE decision_id = 'd2'",),
        "belong to no batch",
    ),
    "a record moved to another day": (
        ("UPDATE records SET sequence = sequence + (1::bigint << 43) WHERE decision_id = 'd2'",),
        "lacks 1 of its 2 records",
    ),
    "records swapped between replicas": (
        (
            "UPDATE records SET body = (SELECT body FROM records r WHERE r.decision_id ="
            " translate(records.decision_id, 'd12', 'd21')) WHERE decision_id IN ('d1', 'd2')",
        ),
        "is not what was written",
    ),
    "an added record": (
        ("INSERT INTO records (sequence, body) SELECT max(sequence) + 1, '{}' FROM records",),
        "belong to no batch",
    ),
    "a removed batch": (
        (
            f"DELETE FROM batches WHERE position = {_OF_D2}",
            "DELETE FROM records WHERE decision_id IN ('d2', 'd3')",
        ),
        "does not follow from the batch before it",
    ),
    "a batch in another place of the log": (
        (
            f"UPDATE batches SET position = position + 3000 WHERE position = {_LAST}",
            "UPDATE records SET sequence = sequence + (3000 << 10)"
            " WHERE decision_id IN ('d4', 'd5')",
        ),
        "is not what was written",
    ),
    "a batch with another time": (
        (f"UPDATE batches SET at = at + 1 WHERE position = {_OF_D2}",),
        "is not what was written",
    ),
    "a batch of another chain": (
        (
            f"UPDATE batches SET chain = (SELECT chain FROM chains WHERE chain <> {_CHAIN} LIMIT 1)"
            f" WHERE position = {_LAST}",
        ),
        "does not follow from the batch before it",
    ),
    "a batch with too many records": (
        (f"UPDATE batches SET records = 9223372036854775807 WHERE position = {_OF_D2}",),
        "claims 9223372036854775807 records",
    ),
    "a batch with a negative number of records": (
        (f"UPDATE batches SET records = -5 WHERE position = {_OF_D2}",),
        "claims -5 records",
    ),
    "an added note": (
        (f"UPDATE batches SET note = '[' WHERE position = {_OF_D2}",),
        "cannot be read",
    ),
    "a deeply nested note": (
        (f"UPDATE batches SET note = repeat('[', 50000) WHERE position = {_OF_D2}",),
        "cannot be read",
    ),
    "a cut end of a chain": (
        (
            f"DELETE FROM batches WHERE position = {_LAST}",
            "DELETE FROM records WHERE decision_id IN ('d4', 'd5')",
        ),
        "is missing: its batches 4 to 4",
    ),
    "a cut end of a chain and a head that fits": (
        (
            f"UPDATE chains SET batches = 3, records = 4, hash = (SELECT previous FROM batches"
            f" WHERE position = {_LAST}) WHERE chain = {_CHAIN}",
            f"DELETE FROM batches WHERE position = {_LAST}",
            "DELETE FROM records WHERE decision_id IN ('d4', 'd5')",
        ),
        "the signature of the head",
    ),
    "a removed chain": (
        (
            "DELETE FROM records WHERE decision_id IN ('d0', 'd1', 'd2', 'd3', 'd4', 'd5')",
            "DELETE FROM matches",
            "WITH one AS (SELECT min(chain) AS chain FROM chains), gone AS (DELETE FROM batches"
            " USING one WHERE batches.chain = one.chain)"
            " DELETE FROM chains USING one WHERE chains.chain = one.chain",
        ),
        "is missing, which another chain has noted",
    ),
    "a removed day": (
        (
            f"DELETE FROM records WHERE sequence >> 43 = {_FIRST_DAY}",
            f"DELETE FROM batches WHERE position >> 33 = {_FIRST_DAY}",
            "DELETE FROM matches",
            f"DELETE FROM chains WHERE chain >> 33 = {_FIRST_DAY}",
        ),
        "is missing, which another chain has noted",
    ),
    "a removed head": (
        (f"DELETE FROM chains WHERE chain = {_CHAIN}",),
        "the head of chain",
    ),
    "swapped heads": (
        (
            "WITH pair AS (SELECT min(chain) AS a, max(chain) AS b FROM chains) UPDATE chains SET"
            " (batches, records, hash, signature, public_key) = (SELECT batches, records, hash,"
            " signature, public_key FROM chains c, pair WHERE c.chain = a + b - chains.chain)"
            " FROM pair WHERE chains.chain IN (a, b)",
        ),
        "is signed with another key",
    ),
    "a replaced signature": (
        (f"UPDATE chains SET signature = sha512('x'::bytea) WHERE chain = {_CHAIN}",),
        "is not valid",
    ),
    "a signature that is not one": (
        (f"UPDATE chains SET signature = 'x' WHERE chain = {_CHAIN}",),
        "is not valid",
    ),
    "a head with another number of records": (
        (f"UPDATE chains SET records = records + 1 WHERE chain = {_CHAIN}",),
        "is not its last batch",
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_detected(log: AuditLog, postgres_url: str, name: str) -> None:
    statements, problem = TAMPERING[name]
    run(postgres_url, *statements)
    problems = log.verify().problems
    assert any(problem in each for each in problems), problems


def test_another_key_does_not_sign_a_chain_that_names_its_own(
    log: AuditLog, postgres_url: str
) -> None:
    """The first batch of a chain names the key, and the chains of others have noted it."""
    forger = HeadSigner(b"")
    sql = "SELECT chain, batches, records, hash FROM chains LIMIT 1"
    [(chain, batches, records, hash_)] = run(postgres_url, sql)
    head = ChainHead(chain, batches, records, bytes(hash_))
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "UPDATE pdp_audit.chains SET public_key = %s, signature = %s WHERE chain = %s",
            (forger.public_key, forger.sign(head), chain),
        )
    [problem] = log.verify().problems
    assert problem.endswith("is signed with another key")


def test_a_saved_head_does_not_hide_a_cut_that_another_chain_has_seen(
    open_log: Callable[..., AuditLog], postgres_url: str
) -> None:
    """Its signature is valid. Only what others have noted shows that there was more."""
    first = open_log()
    first.append([body(1)])
    run(postgres_url, "CREATE TABLE saved AS SELECT * FROM chains")
    first.append([body(2)])
    open_log().append([body(3)])
    run(
        postgres_url,
        "DELETE FROM batches USING saved WHERE batches.chain = saved.chain"
        " AND number > saved.batches",
        "DELETE FROM records WHERE decision_id = 'd2'",
        "UPDATE chains SET batches = s.batches, records = s.records, hash = s.hash,"
        " signature = s.signature FROM saved s WHERE chains.chain = s.chain",
    )
    [problem] = first.verify().problems
    assert "is missing, which another chain has noted" in problem


def test_a_running_chain_notes_the_others_from_time_to_time(
    open_log: Callable[..., AuditLog], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WITNESS_S", 0.0)
    first, second = open_log(), open_log()
    first.append([body(1)])
    second.append([body(2)])
    first.append([body(3)])  # the second one has not seen it
    second.retain(Retention(), 0.0)
    [(notes,)] = run(postgres_url, "SELECT count(*) FROM batches WHERE note LIKE '{\"seen\"%'")
    second.retain(Retention(), 0.0)  # nothing is new
    assert notes == 1
    run(
        postgres_url,
        "DELETE FROM batches WHERE chain = (SELECT min(chain) FROM chains)",
        "DELETE FROM records WHERE decision_id IN ('d1', 'd3')",
        "DELETE FROM chains WHERE chain = (SELECT min(chain) FROM chains)",
    )
    assert any("batch 3 of chain" in each for each in first.verify().problems)


def test_an_anchor_detects_the_cut_of_the_newest_batches(
    open_log: Callable[..., AuditLog], postgres_url: str
) -> None:
    """No other chain has seen them, and the attacker has a head from before."""
    log = open_log()
    log.append([body(1)])
    run(postgres_url, "CREATE TABLE saved AS SELECT * FROM chains")
    log.append([body(2)])
    anchor = log.verify().head
    run(
        postgres_url,
        "DELETE FROM batches WHERE number = 3",
        "DELETE FROM records WHERE decision_id = 'd2'",
        "DELETE FROM chains",
        "INSERT INTO chains SELECT * FROM saved",
    )
    assert log.verify().problems == ()
    [problem] = log.verify(anchor).problems
    assert "was cut or rewritten" in problem


class TestKeys:
    def test_a_chain_of_a_program_without_the_key_is_detected(
        self, open_log: Callable[..., AuditLog], postgres_url: str
    ) -> None:
        log = open_log(KEY)
        log.append([body(1)])
        run(postgres_url, "UPDATE log SET key_id = ''")
        open_log().append([body(2)])
        problems = log.verify().problems
        assert any("is signed with another key" in each for each in problems)
        assert any("is not what was written" in each for each in problems)

    def test_all_replicas_with_the_key_sign_with_the_same_one(
        self, open_log: Callable[..., AuditLog], postgres_url: str
    ) -> None:
        for number in range(3):
            open_log(KEY).append([body(number)])
        assert run(postgres_url, "SELECT count(DISTINCT public_key) FROM chains") == [(1,)]
        run(postgres_url, "UPDATE records SET body = '{}' WHERE decision_id = 'd1'")
        assert not open_log(KEY).verify().intact

    def test_without_a_key_each_process_has_its_own(
        self, open_log: Callable[..., AuditLog], postgres_url: str
    ) -> None:
        for number in range(3):
            open_log().append([body(number)])
        assert run(postgres_url, "SELECT count(DISTINCT public_key) FROM chains") == [(3,)]

    def test_the_hash_of_a_removed_record_cannot_be_compared_with_a_guess(
        self, open_log: Callable[..., AuditLog], postgres_url: str
    ) -> None:
        log = open_log(KEY)
        log.append([body(n, redacted_text="x" * 2000) for n in range(20)])
        log.retain(Retention(max_bytes=log.size() // 2), 0.0)
        hashes = [bytes(each) for (each,) in run(postgres_url, "SELECT hash FROM nodes")]
        guess = record_hash(body(0, redacted_text="x" * 2000).encode(), b"")
        assert hashes
        assert guess not in hashes


class TestRemovedDays:
    def test_a_day_is_removed_when_all_of_it_is_too_old(
        self, log: AuditLog, postgres_url: str
    ) -> None:
        [(day,)] = run(postgres_url, f"SELECT {_FIRST_DAY}")
        age = 10 * 86_400.0
        end = (day + 1) * 86_400 + age
        assert log.retain(Retention(age), end - 1) == (0, 0)
        assert log.retain(Retention(age), end) == (12, 0)
        assert log.retain(Retention(age), FAR) == (0, 0), "the newest day stays"
        assert ids(log) == ["d16", "d6"]
        verification = log.verify()
        assert verification.problems == ()
        assert verification.removed == (RemovedRecords("acme", "age", 12),)
        assert verification.removed_batches == 8
        assert verification.records == 2

    def test_an_anchor_of_a_removed_day_cannot_be_checked(
        self, open_log: Callable[..., AuditLog], postgres_url: str
    ) -> None:
        log = open_log()
        log.append([body(1)])
        anchor = log.verify().head
        begin_next_day(postgres_url)
        log.append([body(2)])
        assert log.verify(anchor).intact
        log.retain(Retention(0.0), FAR)
        [problem] = log.verify(anchor).problems
        assert "is of a removed day" in problem

    def test_what_the_notes_of_removed_days_say_is_not_forgotten(
        self, open_log: Callable[..., AuditLog], postgres_url: str
    ) -> None:
        log, appended = open_log(), 0
        for _ in range(4):
            log.append([body(n, redacted_text="x" * 1000) for n in range(30)])
            appended += 30
            log.retain(Retention(None, int(log.size() * 0.7)), 0.0)
            assert log.verify().problems == ()
            begin_next_day(postgres_url)
        log.append([body(0)])
        for _ in range(6):
            log.retain(Retention(0.0), FAR)
            verification = log.verify()
            assert verification.problems == ()
            removed = sum(each.records for each in verification.removed)
            assert verification.records + removed == appended + 1
        assert {each.reason for each in verification.removed} == {"age", "size"}
        assert verification.records == 1

    def test_evidence_stays_when_the_day_is_removed(self, log: AuditLog, postgres_url: str) -> None:
        """A record that was deleted by hand, with its hash left, was never noted."""
        run(postgres_url, *TAMPERING["a record with only its hash left"][0])
        assert not log.verify().intact
        log.retain(Retention(0.0), FAR)
        begin_next_day(postgres_url)
        log.append([body(20)])
        log.retain(Retention(0.0), FAR)
        [problem] = log.verify().problems
        assert "but the notes say that" in problem

    def test_a_day_that_was_emptied_by_hand_needs_a_note(
        self, log: AuditLog, postgres_url: str
    ) -> None:
        log.retain(Retention(0.0), FAR)
        begin_next_day(postgres_url)
        log.append([body(20)])
        run(
            postgres_url,
            "DELETE FROM records WHERE decision_id IN ('d6', 'd16')",
            "DELETE FROM batches WHERE chain < (SELECT max(chain) FROM chains)",
            "DELETE FROM chains WHERE chain < (SELECT max(chain) FROM chains)",
        )
        problems = log.verify().problems
        assert any("is missing, which another chain has noted" in each for each in problems)

    def test_records_in_a_removed_day_are_reported(self, log: AuditLog, postgres_url: str) -> None:
        run(postgres_url, "CREATE TABLE saved AS SELECT * FROM batches")
        log.retain(Retention(0.0), FAR)
        run(
            postgres_url,
            "INSERT INTO batches SELECT * FROM saved ORDER BY position LIMIT 1",
        )
        problems = log.verify().problems
        assert any("although a note says that it is removed" in each for each in problems)

    def test_the_partitions_of_a_removed_day_are_dropped_later(
        self, log: AuditLog, postgres_url: str
    ) -> None:
        sql = "SELECT min(inhrelid::regclass::text) FROM pg_inherits"
        oldest = f"{sql} WHERE inhparent = 'records'::regclass"
        before = run(postgres_url, oldest)
        log.retain(Retention(0.0), FAR)
        assert run(postgres_url, oldest) == before
        begin_next_day(postgres_url)
        log.append([body(20)])
        log.checkpoint()
        assert run(postgres_url, oldest) > before
        assert log.verify().problems == ()

    def test_a_reader_does_not_stop_the_retention_for_long(
        self, log: AuditLog, postgres_url: str
    ) -> None:
        """It tries again later; appends do not wait, and the chain goes on."""
        with closing(psycopg.connect(postgres_url)) as reader:
            reader.execute("SELECT count(*) FROM pdp_audit.records").fetchall()
            assert log.retain(Retention(0.0), FAR) == (0, 0)
            log.append([body(7)])
            reader.rollback()
        [(chains,)] = run(postgres_url, "SELECT count(*) FROM chains")
        assert chains == 4
        assert log.retain(Retention(0.0), FAR) == (12, 0)
        assert log.verify().problems == ()
