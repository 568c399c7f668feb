"""A restore does not revive revoked keys, reuse revisions or lose the old database file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cli.exit_codes import Exit
from tests.support.faults import Tenant, tenant_of
from tests.support.servers import json_output, non_empty_lines, run_pdp, start

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

KEY: Final = "a key of at least thirty-two bytes, for tests"


class Database:
    """A database for commands to work on."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "data" / "pdp.db"
        self.backup_file = folder / "pdp.backup"
        self.key_file: Path | None = None

    def run(self, *arguments: str, code: Exit = Exit.OK) -> subprocess.CompletedProcess[str]:
        """Runs a command on the database, and checks its exit code."""
        key = {"PDP_AUDIT_KEY_FILE": str(self.key_file)} if self.key_file else {}
        settings = {"PDP_DATABASE_URL": f"sqlite:///{self.file}", **key}
        done = run_pdp(*arguments, stdin="", cwd=None, **settings)
        assert done.returncode == code, done.stderr
        return done

    def make_key(self, name: str) -> tuple[str, str]:
        """Creates a key; returns its id and the key."""
        key = json_output(
            self.run("keys", "create", "--role", "pep", "--tenant", "t", "--name", name, "--json")
        )
        return key["api_key"]["id"], key["key"]

    def keys(self) -> dict[str, list[str]]:
        """Returns the prefixes of the existing keys, by key id."""
        listed = json_output(self.run("keys", "list", "--json"))
        return {key["id"]: [each["prefix"] for each in key["secrets"]] for key in listed}

    def backup(self) -> Any:
        """Makes a backup; returns the report of the command."""
        return json_output(self.run("backup", str(self.backup_file), "--force", "--json"))

    def restore(self, *flags: str) -> Any:
        """Restores the backup; returns the report of the command."""
        flags = (*flags, "--force", "--json")
        return json_output(self.run("restore", str(self.backup_file), *flags))

    def select(self, sql: str) -> Any:
        """Returns the first row of the result."""
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(sql).fetchone()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A database without tenant policies."""
    return Database(tmp_path)


def test_a_restore_keeps_revocations_and_rotations(database: Database) -> None:
    """A restore does not make a revoked or rotated key valid again."""
    old_key, _ = database.make_key("kept")
    revoked, _ = database.make_key("revoked")
    rotated, _ = database.make_key("rotated")
    before = database.keys()
    database.backup()
    database.run("keys", "revoke", revoked)
    new = json_output(database.run("keys", "rotate", rotated, "--overlap-s", "0", "--json"))["key"]
    new_key, _ = database.make_key("made since")
    done = database.restore()
    assert done["keys"] == {"revoked": [revoked], "rotated": [rotated], "gone": [new_key]}
    after = database.keys()
    assert after.keys() == {old_key, rotated}
    assert after[old_key] == before[old_key]
    assert [new.startswith(prefix) for prefix in after[rotated]] == [True]
    actor, summary = database.select(
        f"SELECT actor, summary FROM changes WHERE entity_id = '{revoked}' ORDER BY revision DESC"  # noqa: S608 - our own id
    )
    assert actor.startswith("cli:")
    assert summary == "Revoked after the backup that was restored"


def test_keys_can_be_revived(database: Database) -> None:
    """The option `--revive-keys` restores revoked keys."""
    revoked, _ = database.make_key("revoked")
    database.backup()
    database.run("keys", "revoke", revoked)
    assert database.restore("--revive-keys")["keys"] is None
    assert list(database.keys()) == [revoked]


def test_a_restore_over_a_damaged_database_does_not_revoke_keys(database: Database) -> None:
    """If the old database cannot be read, keys are restored as they were at the backup.

    The message then asks the operator to revoke keys again.
    """
    revoked, _ = database.make_key("revoked")
    database.backup()
    database.run("keys", "revoke", revoked)
    database.file.write_bytes(b"\xff" * 100_000)
    output = database.run("restore", str(database.backup_file), "--force").stdout
    assert "revoke what was revoked since" in output
    assert list(database.keys()) == [revoked]


def test_revisions_are_not_reused_after_a_restore(database: Database) -> None:
    """New changes get new revisions, so that a revision in a record or a SIEM is unambiguous."""
    database.make_key("first")
    backup = database.backup()
    for number in range(3):
        database.make_key(f"gone {number}")
    database.restore()
    last = "SELECT max(revision) FROM changes"
    assert database.select(last) == (backup["revision"] + 4,), "the new key for approvals"
    database.make_key("next")
    assert database.select(last) == (backup["revision"] + 5,)


def test_a_restore_keeps_every_old_database(database: Database) -> None:
    """A restore keeps the previous database file."""
    first, _ = database.make_key("first")
    database.backup()
    second, _ = database.make_key("second")
    copies = [database.restore()["kept"] for _ in range(3)]
    assert copies == [f"{database.file}.before-restore{end}" for end in ("", ".1", ".2")]
    with closing(sqlite3.connect(copies[0])) as connection:
        rows = connection.execute("SELECT id FROM records WHERE kind = 'api_key'").fetchall()
    assert {each for (each,) in rows} == {first, second}


def test_a_restore_keeps_the_write_ahead_log_of_a_damaged_database(database: Database) -> None:
    """The write-ahead log is kept too, as it may hold the last writes."""
    database.make_key("first")
    database.backup()
    log = database.file.with_name("pdp.db-wal")
    database.file.write_bytes(b"\xff" * 100_000)
    log.write_bytes(b"what was written last")
    copy = database.restore()["kept"]
    assert database.file.with_name("pdp.db.before-restore-wal").read_bytes() == (
        b"what was written last"
    )
    assert copy == f"{database.file}.before-restore"
    assert not log.exists()


@pytest.fixture
def tenant_with_record(database: Database, tmp_path: Path, tenant: str) -> Tenant:
    """A tenant with a recorded decision, whose server has stopped."""
    database.key_file = tmp_path / "audit.key"
    database.key_file.write_text(KEY)
    with start(database.file.parent, PDP_AUDIT_KEY_FILE=str(database.key_file)) as server:
        return tenant_of(server, tenant)


def recorded_outcomes(database: Database, tenant: Tenant) -> list[str]:
    """Returns the outcomes of the tenant's recorded decisions."""
    search = database.run("audit", "search", "--embedded", "--tenant", tenant.name, "--json")
    return [each["outcome"] for each in json_output(search)["records"]]


def test_records_can_be_backed_up_and_restored(
    database: Database, tenant_with_record: Tenant, tmp_path: Path
) -> None:
    """The log of decisions has a separate backup, which contains the head of the log."""
    assert recorded_outcomes(database, tenant_with_record) == ["BLOCK"]
    file = str(tmp_path / "records.backup")
    backup = json_output(database.run("backup", file, "--records", "--json"))
    assert (backup["holds"], backup["revision"], backup["problems"]) == ("records", 1, [])
    policies = database.file.read_bytes()
    audit = database.file.with_name("audit.db")
    audit.unlink()
    done = json_output(database.run("restore", file, "--json"))
    assert (done["database"], done["head"]) == (str(audit), backup["head"])
    assert database.file.read_bytes() == policies
    assert recorded_outcomes(database, tenant_with_record) == ["BLOCK"]
    verified = database.run("audit", "verify", "--embedded", "--anchor", backup["head"], "--json")
    assert json_output(verified)["intact"]
    refusal = database.run("restore", file, code=Exit.USAGE)
    assert "audit.db already exists" in refusal.stderr


def test_records_of_a_running_server_are_not_replaced(tmp_path: Path, tenant: str) -> None:
    """A running server can be backed up; a restore under it is refused."""
    database = Database(tmp_path)
    file = str(tmp_path / "records.backup")
    with start(database.file.parent) as server:
        acting = tenant_of(server, tenant)
        assert json_output(database.run("backup", file, "--records", "--json"))["revision"] == 1
        refusal = database.run("restore", file, "--force", code=Exit.UNAVAILABLE)
        assert "has the database open" in refusal.stderr
        assert acting.decide()["reason_code"] == "STATIC_POLICY_BLOCK"
        again = json_output(database.run("backup", file, "--records", "--force", "--json"))
        assert again["revision"] == 2


def test_a_backup_of_tampered_records_reports_the_problems(
    database: Database, tenant_with_record: Tenant, tmp_path: Path
) -> None:
    """A log that was modified is backed up as evidence; the exit code reports the problem."""
    audit = database.file.with_name("audit.db")
    with closing(sqlite3.connect(audit, isolation_level=None)) as connection:
        connection.execute("UPDATE records SET body = replace(body, 'BLOCK', 'ALLOW')")
    file = str(tmp_path / "records.backup")
    backup = json_output(database.run("backup", file, "--records", "--json", code=Exit.NO))
    assert backup["problems"] == ["batch 1 (records 1 to 1) is not what was written"]
    shown = database.run("restore", file, "--check", code=Exit.NO).stdout
    assert "TAMPERED" in non_empty_lines(shown)[0]
    database.key_file = tmp_path / "other.key"
    database.key_file.write_text(KEY[::-1])
    refusal = database.run("backup", file, "--records", "--force", code=Exit.CONFIG)
    assert "started with another key" in refusal.stderr


def test_a_backup_of_another_kind_is_refused(database: Database, tmp_path: Path) -> None:
    """A restore refuses a backup whose header names another content."""
    database.make_key("first")
    database.backup()
    magic, line, raw = database.backup_file.read_bytes().split(b"\n", 2)
    for holds, code in (("records", Exit.CONFIG), ("recipes", Exit.INVALID)):
        forged = {**json.loads(line), "holds": holds}
        file = tmp_path / f"{holds}.backup"
        file.write_bytes(b"\n".join((magic, json.dumps(forged).encode(), raw)))
        database.run("restore", str(file), "--force", code=code)
        assert len(database.keys()) == 1
