"""The audit log in a SQLite file: retention, and use by several processes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pdp.audit.acknowledgements import ThreadAcknowledgements
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.domain.audit_log import Retention
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store import open_audit_log, open_store
from tests.support.audit_logs import body, file, fill, ids, log, run

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.domain.audit_log import AuditLog

__all__ = ["file", "log"]


class TestRetention:
    def test_old_batches_are_removed_and_the_rest_can_be_verified(
        self, log: AuditLog, file: Path
    ) -> None:
        fill(log)
        run(file, "UPDATE batches SET at = 0 WHERE sequence < 1")  # changes nothing
        assert log.retain(Retention(max_age_s=0), now=2e9) == (9, 0)  # the newest batch stays
        verification = log.verify()
        assert (verification.problems, verification.first_batch, verification.removed_batches) == (
            (),
            4,
            3,
        )
        assert ids(log) == ["d11", "d10", "d9"]
        log.append([body(12)])
        assert log.verify().intact

    def test_young_batches_stay(self, log: AuditLog) -> None:
        fill(log)
        assert log.retain(Retention(max_age_s=3600), now=0) == (0, 0)
        assert log.verify().batches == 4

    def test_the_oldest_batches_are_removed_by_size_and_the_file_shrinks(
        self, log: AuditLog, file: Path
    ) -> None:
        for batch in range(60):
            log.append([body(batch * 20 + n, redacted_text="x" * 2000) for n in range(20)])
        before = log.size()
        bound = before // 3
        retention = Retention(max_age_s=3e9, max_bytes=bound)
        while (removal := log.retain(retention, now=2e9)).records:
            assert removal.early == removal.records, "they are younger than the retention says"
        assert log.size() <= bound
        verification = log.verify()
        assert (verification.problems, verification.removed_batches > 20) == ((), True)
        log.close()
        assert file.stat().st_size < before * 0.6

    def test_a_removal_without_a_note_is_detected(self, log: AuditLog, file: Path) -> None:
        fill(log)
        log.retain(Retention(max_age_s=0), now=2e9)
        fill(log)
        run(file, "DELETE FROM batches WHERE sequence = 4", "DELETE FROM records WHERE sequence=12")
        assert not log.verify().intact

    def test_a_removed_anchor_is_reported_as_too_old(self, log: AuditLog) -> None:
        fill(log)
        anchor = log.verify().head
        fill(log)
        fill(log)
        log.retain(Retention(max_age_s=0), now=2e9)
        [problem] = log.verify(anchor).problems
        assert "older than the oldest batch" in problem


class TestSharing:
    def test_an_append_waits_for_a_busy_log_until_the_time_out(self, file: Path) -> None:
        with closing(open_audit_log(f"sqlite:///{file}", busy_timeout_s=0.05)) as log:
            with closing(sqlite3.connect(file, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable):
                    log.append([body(1)])
                holder.execute("ROLLBACK")
            log.append([body(1)])
            assert log.verify().records == 1


def test_an_append_to_a_deleted_file_fails(log: AuditLog, file: Path) -> None:
    """The process still has the file open, but its contents are lost when the process ends."""
    fill(log, 1)
    file.unlink()
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        log.append([body(9)])


class TestOpening:
    def test_a_store_of_policies_is_refused(self, tmp_path: Path) -> None:
        open_store(f"sqlite:///{tmp_path}/pdp.db").close()
        with pytest.raises(ConfigError):
            open_audit_log(f"sqlite:///{tmp_path}/pdp.db")

    @pytest.mark.parametrize(
        "content",
        [b"text" * 1000, b"SQLite format 3\0" + b"\xff" * 8000],
        ids=["text", "damaged"],
    )
    def test_an_error_names_the_file_of_the_log(self, file: Path, content: bytes) -> None:
        """Otherwise an operator might restore the database of policies, which would not help."""
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"The log of decisions, {file}: "):
            Recording(RecordingOptions(f"sqlite:///{file}"), ThreadAcknowledgements())
