"""`pdp backup` and `pdp restore`: backups while a server writes, verification and restore."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from pdp.cli.exit_codes import Exit
from tests.support.faults import Load, Tenant, load_of, still_blocks, tenant_of
from tests.support.servers import json_output, run_pdp, start

if TYPE_CHECKING:
    from pathlib import Path

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    """The path of a file with a passphrase."""
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    return file


def url_of(file: Path) -> str:
    """Returns the URL of a database file."""
    return f"sqlite:///{file}"


@pytest.fixture
def database(tmp_path: Path, tenant: str) -> Path:
    """A database with a policy, which no server has open."""
    with start(tmp_path / "data") as server:
        tenant_of(server, tenant)
    return tmp_path / "data" / "pdp.db"


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_restored_database_is_the_same(
    tmp_path: Path, tenant: str, passphrase: Path, database: Path, encrypted: bool
) -> None:
    """The restored database is the same, and only its owner can read the files."""
    flags = ("--passphrase-file", str(passphrase)) if encrypted else ()
    file = tmp_path / "pdp.backup"
    backup = json_output(
        run_pdp("backup", str(file), "--database-url", url_of(database), "--json", *flags)
    )
    assert backup["encryption"] == ("scrypt" if encrypted else None)
    assert (file.read_bytes().count(b"No rivals") == 0) is encrypted
    restored = tmp_path / "restored" / "pdp.db"
    there = json_output(
        run_pdp("restore", str(file), "--database-url", url_of(restored), "--json", *flags)
    )
    assert (there["revision"], there["sha256"]) == (backup["revision"], backup["sha256"])
    assert {each.stat().st_mode & 0o777 for each in (file, restored)} == {0o600}
    with start(restored.parent) as server:
        # The restore has replaced the key for approvals, and changed nothing else.
        assert server.announcement["revision"] == backup["revision"] + 1
        assert still_blocks(Tenant(server.http_url, tenant))


def test_a_backup_is_consistent_while_a_server_writes(tmp_path: Path, tenant: str) -> None:
    """Each backup is consistent: it has all changes up to its revision, and none after it."""
    with start(tmp_path / "data") as server:
        acting = tenant_of(server, tenant)

        def write(load: Load) -> None:
            while not load.stop.is_set():
                number = load.answers.total()
                answer = acting.create(f"p{number}", f"word{number}")
                load.answers[str(answer.status_code)] += 1

        with load_of(write) as load:
            for round_ in range(3):
                load.wait_for(3)
                file = tmp_path / f"{round_}.backup"
                backup = json_output(
                    run_pdp("backup", str(file), "--database-url", server.database_url, "--json")
                )
                _check_state(tmp_path / f"{round_}.db", file, backup)
        assert set(load.answers) == {"201"}


def _check_state(database: Path, file: Path, backup: dict[str, Any]) -> None:
    assert run_pdp("restore", str(file), "--database-url", url_of(database)).returncode == Exit.OK
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute(
            "SELECT count(*), (SELECT count(DISTINCT entity_id) FROM changes WHERE kind ="
            " 'static_policy' AND tenant_id <> ''), (SELECT max(revision) FROM changes)"
            " FROM records WHERE kind = 'static_policy' AND tenant_id <> ''"
        ).fetchone()
    assert names[0] == names[1] > 0
    # The restore adds one change: the new key for approvals.
    assert names[2] == backup["revision"] + 1


def test_files_are_replaced_only_with_force(tmp_path: Path, database: Path) -> None:
    """Files are replaced only with --force; a restore then keeps the old database."""
    file = tmp_path / "pdp.backup"
    backup = ("backup", str(file), "--database-url", url_of(database))
    restore = ("restore", str(file), "--database-url", url_of(database))
    assert run_pdp(*backup).returncode == Exit.OK
    assert run_pdp(*backup).returncode == Exit.USAGE
    assert run_pdp(*backup, "--force").returncode == Exit.OK
    before = database.read_bytes()
    assert run_pdp(*restore).returncode == Exit.USAGE
    assert database.read_bytes() == before
    assert run_pdp(*restore, "--force").returncode == Exit.OK
    assert database.with_name("pdp.db.before-restore").exists()


def test_a_backup_replaces_only_regular_files(tmp_path: Path, database: Path) -> None:
    """A backup never replaces a device or a pipe; it replaces the target of a link."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "pdp.backup"
    os.mkfifo(pipe)
    link.symlink_to(file)
    backup = ("--database-url", url_of(database), "--force")
    refusal = run_pdp("backup", str(pipe), *backup)
    assert refusal.returncode == Exit.CONFIG
    assert "not a regular file" in refusal.stderr
    assert pipe.is_fifo()
    assert run_pdp("backup", str(link), *backup).returncode == Exit.OK
    assert link.is_symlink()
    assert run_pdp("restore", str(file), "--check").returncode == Exit.OK


def test_a_database_in_use_is_not_replaced(tmp_path: Path, tenant: str) -> None:
    """Otherwise the server would continue to write into a deleted file."""
    file = tmp_path / "pdp.backup"
    with start(tmp_path / "data") as server:
        acting = tenant_of(server, tenant)
        assert run_pdp("backup", str(file), "--database-url", server.database_url).returncode == 0
        refusal = run_pdp("restore", str(file), "--database-url", server.database_url, "--force")
        assert refusal.returncode == Exit.UNAVAILABLE
        assert "has the database open" in refusal.stderr
        assert acting.create("Goes on", "other").status_code == httpx2.codes.CREATED


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("fault", ["cut", "changed", "manifest", "foreign", "swapped"])
def test_a_changed_backup_is_refused(
    tmp_path: Path, passphrase: Path, database: Path, encrypted: bool, fault: str
) -> None:
    """Restore refuses it before it replaces anything."""
    file = tmp_path / "pdp.backup"
    flags = ("--passphrase-file", str(passphrase)) if encrypted else ()
    assert run_pdp("backup", str(file), "--database-url", url_of(database), *flags).returncode == 0
    file.write_bytes(_changed(file.read_bytes(), fault))
    before = database.read_bytes()
    refusal = run_pdp("restore", str(file), "--database-url", url_of(database), "--force", *flags)
    assert refusal.returncode == Exit.INVALID, refusal.stderr
    assert "the backup cannot be used" in refusal.stderr
    assert run_pdp("restore", str(file), "--check", *flags).returncode == Exit.INVALID
    assert database.read_bytes() == before


def _changed(raw: bytes, fault: str) -> bytes:
    magic, line, database = raw.split(b"\n", 2)
    if fault == "cut":
        return raw[:-1]
    if fault == "changed":
        middle = len(raw) // 2
        return raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :]
    if fault == "foreign":
        return b"SQLite format 3\0" + raw
    manifest = json.loads(line)
    manifest |= {"revision": manifest["revision"] + 1} if fault == "manifest" else {"size": 1}
    return b"\n".join((magic, json.dumps(manifest).encode(), database))


def test_invalid_passphrases_are_refused(tmp_path: Path, passphrase: Path, database: Path) -> None:
    """A missing, wrong or short passphrase is an error, and no file is written."""
    file, target = tmp_path / "pdp.backup", url_of(tmp_path / "target.db")
    url = url_of(database)
    short = tmp_path / "short"
    short.write_text("hunter2")
    tiny = run_pdp("backup", str(file), "--database-url", url, "--passphrase-file", str(short))
    assert tiny.returncode == Exit.CONFIG
    assert not file.exists()
    run_pdp("backup", str(file), "--database-url", url, "--passphrase-file", str(passphrase))
    missing = run_pdp("restore", str(file), "--database-url", target)
    assert missing.returncode == Exit.INVALID
    assert "--passphrase-file" in missing.stderr
    passphrase.write_text("another horse battery staple")
    wrong = run_pdp(
        "restore", str(file), "--database-url", target, "--passphrase-file", str(passphrase)
    )
    assert wrong.returncode == Exit.INVALID
    assert not (tmp_path / "target.db").exists()
    assert not list(tmp_path.glob(".pdp-backup-*"))


def test_a_missing_database_is_refused(tmp_path: Path) -> None:
    """Backup of a missing database is an error, and creates no file."""
    missing = url_of(tmp_path / "missing.db")
    assert (
        run_pdp("backup", str(tmp_path / "x"), "--database-url", missing).returncode == Exit.CONFIG
    )
    assert list(tmp_path.iterdir()) == []
