"""The verification of the audit log detects tampering."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from pdp.domain.audit_log import Retention
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store import open_audit_log
from pdp.store.hash_chain import Batch, digest
from tests.support.audit_logs import KEY, body, file, fill, log, run

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

__all__ = ["file", "log"]


TAMPERING: Final = {
    "an altered record": (
        """UPDATE records SET body = replace(body, '"d4"', '"d9"') WHERE sequence = 5""",
        "batch 2 (records 4 to 6) is not what was written",
    ),
    "a removed record": (
        "DELETE FROM records WHERE sequence = 5",
        "batch 2 lacks 1 of its 3 records",
    ),
    "swapped records": (
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
    "a cut beginning": (
        "DELETE FROM batches WHERE sequence = 1",
        "batches 1 to 1 are missing, and no note says that the retention removed them",
    ),
    "a cut end": (
        "DELETE FROM batches WHERE sequence = 4",
        "the end is missing: batches 4 to 4",
    ),
    "a text that is not UTF-8": (
        """UPDATE records SET body = CAST(X'7b2261223a22ff227d' AS TEXT) WHERE sequence = 5""",
        "batch 2 (records 4 to 6) is not what was written",
    ),
    "a note that is not UTF-8": (
        "UPDATE batches SET note = CAST(X'ff' AS TEXT) WHERE sequence = 2",
        "the note of batch 2 cannot be read",
    ),
    "a note with an infinite number": (
        """UPDATE batches SET note = '{"removed_through": 1e999, "hash": 1}' WHERE sequence = 2""",
        "the note of batch 2 cannot be read",
    ),
    "a deeply nested note": (
        """UPDATE batches SET note = replace(hex(zeroblob(50000)), '0', '[')
           WHERE sequence = 2""",
        "the note of batch 2 cannot be read",
    ),
    "a batch with too many records": (
        "UPDATE batches SET records = 9223372036854775807 WHERE sequence = 2",
        "batch 3 does not follow from batch 2",
    ),
    "a batch with a negative number of records": (
        "UPDATE batches SET records = -5 WHERE sequence = 2",
        "3 records before batch 3 belong to no batch",
    ),
}


class TestVerification:
    def test_an_empty_log_is_intact(self, log: AuditLog) -> None:
        verification = log.verify()
        assert (verification.intact, verification.batches, verification.last_batch) == (True, 0, 0)

    def test_an_untouched_log_is_intact(self, log: AuditLog) -> None:
        fill(log)
        verification = log.verify()
        assert (verification.problems, verification.batches, verification.records) == ((), 4, 12)

    @pytest.mark.parametrize("name", TAMPERING)
    def test_tampering_is_detected(self, log: AuditLog, file: Path, name: str) -> None:
        statement, problem = TAMPERING[name]
        fill(log)
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
    def test_a_cut_end_is_detected_after_further_appends(
        self, log: AuditLog, file: Path, left: int, cut: tuple[str, ...]
    ) -> None:
        """New batches must not get the numbers of the removed ones."""
        fill(log)
        run(file, *cut)
        with closing(open_audit_log(f"sqlite:///{file}")) as reopened:
            for number in range(6):
                reopened.append([body(number)])
            [problem] = reopened.verify().problems
            assert f"batches {left + 1} to 4 are missing" in problem

    def test_a_cut_end_is_detected_after_a_removal_by_the_retention(
        self, log: AuditLog, file: Path
    ) -> None:
        fill(log)
        run(
            file,
            "DELETE FROM batches WHERE sequence = 4",
            "DELETE FROM records WHERE sequence > 9",
        )
        assert log.retain(Retention(max_age_s=0), now=2e9) == (6, 0)
        assert log.verify().problems == ("batches 4 to 4 are missing",)

    def test_a_conflicting_record_fails_the_append_at_once(self, log: AuditLog, file: Path) -> None:
        """No other writer caused the conflict, so a retry would not help."""
        fill(log)
        run(file, "INSERT INTO records (sequence, body) VALUES (13, '{}')")
        with pytest.raises(StoreUnavailable, match="pdp audit verify"):
            log.append([body(1)])

    def test_an_anchor_detects_a_rewritten_end(self, log: AuditLog, file: Path) -> None:
        """An attacker who also resets the counter can cut the end, but only behind the anchor."""
        fill(log)
        anchor = log.verify().head
        run(
            file,
            "DELETE FROM batches WHERE sequence = 4",
            "DELETE FROM records WHERE sequence > 9",
            "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'batches'",
        )
        with closing(open_audit_log(f"sqlite:///{file}")) as reopened:
            assert reopened.verify().intact
            assert not reopened.verify(anchor).intact
            reopened.append([body(9)])
            [problem] = reopened.verify(anchor).problems
            assert "was cut or rewritten" in problem

    def test_a_forged_batch_breaks_the_chain(self, log: AuditLog, file: Path) -> None:
        """An attacker who replaces one hash must also replace the hashes of all later batches."""
        fill(log, size=1)
        with closing(sqlite3.connect(file, isolation_level=None)) as forger:
            row = forger.execute(
                "SELECT sequence, first_record, records, at, note, previous, hash FROM batches"
                " WHERE sequence = 2"
            ).fetchone()
            forged = digest(Batch(*row), [b"{}"], b"")
            forger.execute("UPDATE records SET body = '{}' WHERE sequence = 2")
            forger.execute("UPDATE batches SET hash = ? WHERE sequence = 2", (forged,))
        assert log.verify().problems == ("batch 3 does not follow from batch 2",)

    def test_an_anchor_stays_valid_as_the_log_grows(self, log: AuditLog) -> None:
        fill(log)
        anchor = log.verify().head
        fill(log)
        assert log.verify(anchor).intact

    def test_a_chain_with_a_key_cannot_be_forged_without_the_key(self, file: Path) -> None:
        url = f"sqlite:///{file}"
        with closing(open_audit_log(url, key=KEY)) as log:
            log.append([body(1)])
        run(file, "UPDATE chain SET key_id = ''")
        with closing(open_audit_log(url)) as forger:
            forger.append([body(2)])
        run(file, "DELETE FROM chain")
        with closing(open_audit_log(url, key=KEY)) as log:
            assert log.verify().problems == ("batch 2 (records 2 to 2) is not what was written",)

    @pytest.mark.parametrize(("first", "then"), [(b"", KEY), (KEY, b""), (KEY, KEY[::-1])])
    def test_another_key_is_refused(self, file: Path, first: bytes, then: bytes) -> None:
        open_audit_log(f"sqlite:///{file}", key=first).close()
        with pytest.raises(ConfigError, match="key"):
            open_audit_log(f"sqlite:///{file}", key=then)
