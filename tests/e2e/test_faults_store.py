"""The store of a running server fails: decisions continue, and no acknowledged write is lost."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pdp.cli.exit_codes import Exit
from tests.support.faults import ROUNDS, Tenant, files_of, still_blocks, tenant_of, unavailable
from tests.support.servers import SERVE, TIMEOUT_S, Server, environment, launch, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak

CAP_DAC_OVERRIDE = 1
PR_CAPBSET_DROP = 24


def test_a_deleted_database_gets_no_acknowledged_writes(tmp_path: Path, tenant: str) -> None:
    """A write to a deleted file is not acknowledged."""
    for round_ in range(ROUNDS):
        folder = tmp_path / str(round_)
        with start(folder) as server:
            acting = tenant_of(server, tenant)
            for file in files_of(folder):
                file.unlink()
            assert unavailable(acting.create("Lost"))
            assert still_blocks(acting)
            server.wait_for_event("cannot read policy changes from the store")
        assert not (folder / "pdp.db").exists()


def test_a_deleted_log_blocks_decisions_with_a_record(tmp_path: Path, tenant: str) -> None:
    """A decision is blocked if its record would be written to a deleted file."""
    with start(tmp_path) as server:
        acting = tenant_of(server, tenant)
        with acting.client() as http:
            assert http.put("/v1/org/policy", json={"logging_level": "full"}).status_code == 200
        assert acting.decide("hello")["outcome"] == "ALLOW"
        for file in tmp_path.glob("audit.db*"):
            file.unlink()
        for _ in range(2):
            decision = acting.decide("hello")
            assert (decision["outcome"], decision["reason_code"]) == ("BLOCK", "ENGINE_ERROR")
            assert decision["incomplete"]
        assert server.metric("pdp_audit_unrecorded_total") == 2
    assert not (tmp_path / "audit.db").exists()


def test_a_replaced_database_gets_no_writes(tmp_path: Path, tenant: str) -> None:
    """The server writes nothing to another file in its place, and does not use its policies."""
    with start(tmp_path) as server:
        acting = tenant_of(server, tenant)
        copy = tmp_path / "copy.db"
        with (
            closing(sqlite3.connect(tmp_path / "pdp.db")) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        copy.replace(tmp_path / "pdp.db")
        assert unavailable(acting.create("Lost"))
        assert still_blocks(acting)
    for file in files_of(tmp_path)[1:]:
        file.unlink(missing_ok=True)
    with start(tmp_path) as server:
        acting.url = server.http_url
        assert acting.names() == ["No rivals"]
        assert still_blocks(acting)


def test_writes_are_refused_while_the_disk_is_full(tmp_path: Path, tenant: str) -> None:
    """Writes are refused completely while the disk is full, and accepted again later."""
    with start(tmp_path) as server:
        acting = tenant_of(server, tenant)
        for round_ in range(ROUNDS):
            limit = _limit_files(server, 4096)
            refusal = acting.create(f"Full {round_}")
            assert unavailable(refusal), refusal.text
            assert still_blocks(acting)
            _limit_files(server, limit)
            assert acting.create(f"Room {round_}").status_code == 201
        assert acting.lost() == set()
        assert not [name for name in acting.names() if name.startswith("Full")]
        server.process.kill()
        server.wait()
    with start(tmp_path) as server:
        acting.url = server.http_url
        assert acting.lost() == set()
        assert still_blocks(acting)


def _limit_files(server: Server, size: int) -> int:
    """Limits the size of the server's files, like a full disk; returns the old limit."""
    soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, hard))
    return soft


def test_a_start_on_a_full_disk_can_be_repeated(tmp_path: Path) -> None:
    """A full disk prevents the first start; a later start works with the files of the first."""
    process = _serve_after(
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))", tmp_path
    )
    assert process.returncode == Exit.CONFIG, process.stderr
    assert "Traceback" not in process.stderr
    with start(tmp_path) as server:
        assert still_blocks(tenant_of(server, "t"))


def test_a_read_only_database_refuses_the_start(tmp_path: Path) -> None:
    """A read-only file prevents the start, and does not change."""
    with start(tmp_path):
        pass
    file = tmp_path / "pdp.db"
    before = file.read_bytes()
    file.chmod(0o400)
    tmp_path.chmod(0o500)
    process = _serve_after(
        # From the next program on, file permissions apply to root too.
        f"import ctypes; ctypes.CDLL(None).prctl({PR_CAPBSET_DROP}, {CAP_DAC_OVERRIDE}, 0, 0, 0)",
        tmp_path,
    )
    tmp_path.chmod(0o700)
    assert process.returncode == Exit.CONFIG, process.stderr
    assert "Give this process write access" in process.stderr
    assert file.read_bytes() == before


def _serve_after(statement: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    """Runs a server that is expected not to start, in a process that ran `statement` before.

    The statement runs in a program of its own. A function between fork and exec (`preexec_fn`)
    would be a fork of this process, which gRPC does not survive.
    """
    replace = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", f"{statement}; {replace}", *SERVE],
        env=environment(PDP_AUTH="dev", PDP_DATA_DIR=str(data_dir)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_decisions_do_not_wait_for_another_writer(tmp_path: Path, tenant: str) -> None:
    """Writes wait and are then refused; decisions do not wait."""
    with start(tmp_path) as server:
        acting = tenant_of(server, tenant)
        with closing(sqlite3.connect(tmp_path / "pdp.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert unavailable(acting.create("Locked"))
            assert still_blocks(acting)
            other.execute("ROLLBACK")
        assert acting.create("Unlocked").status_code == 201
        assert acting.lost() == set()
        assert "Locked" not in acting.names()


@pytest.mark.parametrize("table", ["records", "changes"])
def test_a_damaged_database_refuses_the_start(tmp_path: Path, tenant: str, table: str) -> None:
    """A damaged file prevents the start: it must not be read as a file without policies."""
    with start(tmp_path) as server:
        tenant_of(server, tenant)
    _damage(tmp_path / "pdp.db", table)
    with launch(tmp_path) as server:
        assert server.wait() == Exit.CONFIG, server.lines
    (line,) = server.lines
    assert "damaged" in line


def test_a_database_damaged_at_run_time_blocks_unloaded_tenants(
    tmp_path: Path, tenant: str
) -> None:
    """Requests of a tenant that is not in memory are blocked; loaded tenants are not affected."""
    with start(tmp_path) as server:
        tenant_of(server, tenant)
    with start(tmp_path) as server:
        loaded = tenant_of(server, "loaded")
        _damage(tmp_path / "pdp.db", "records", checkpoint=True)
        assert still_blocks(loaded)
        unread = Tenant(server.http_url, tenant).decide("hello")
        assert (unread["outcome"], unread["allowed"]) == ("BLOCK", False)
        assert (unread["reason_code"], unread["incomplete"]) == ("ENGINE_ERROR", True)


def _damage(file: Path, table: str, *, checkpoint: bool = False) -> None:
    """Overwrites the root page of a table."""
    with closing(sqlite3.connect(file)) as connection:
        if checkpoint:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page_size,)] = connection.execute("PRAGMA page_size").fetchall()
        [(root,)] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchall()
    with file.open("r+b") as raw:
        raw.seek((root - 1) * page_size)
        raw.write(b"\xff" * page_size)


def test_only_the_owner_can_read_the_database(tmp_path: Path) -> None:
    """Other users of the host cannot read the policies, whatever the umask is."""
    with start(tmp_path, command=SERVE):
        rights = {file.name: file.stat().st_mode & 0o777 for file in files_of(tmp_path)}
    assert rights == {"pdp.db": 0o600, "pdp.db-wal": 0o600, "pdp.db-shm": 0o600}


def test_a_backup_can_replace_a_damaged_database(tmp_path: Path, tenant: str) -> None:
    """The advice of the error message works."""
    with start(tmp_path) as server:
        tenant_of(server, tenant)
    shutil.copy(tmp_path / "pdp.db", tmp_path / "backup.db")
    _damage(tmp_path / "pdp.db", "records")
    shutil.copy(tmp_path / "backup.db", tmp_path / "pdp.db")
    with start(tmp_path) as server:
        assert still_blocks(Tenant(server.http_url, tenant))


@pytest.mark.parametrize(
    ("mode", "warns"),
    [(None, False), (0o700, False), (0o701, True), (0o710, True), (0o750, True), (0o755, True)],
)
def test_a_data_directory_that_others_may_read_is_reported(
    tmp_path: Path, mode: int | None, warns: bool
) -> None:
    """The server warns once and goes on; a directory that it creates is its owner's alone."""
    directory = tmp_path / "data"
    if mode is not None:
        directory.mkdir()
        directory.chmod(mode)
    with start(directory, command=SERVE if mode is None else None) as server:
        assert server.request("GET", "/healthz").status_code == 200
        warnings = [line for line in server.lines if "may read the data directory" in line]
    assert [f"chmod 700 {directory}" in line for line in warnings] == [True] * warns
    assert directory.stat().st_mode & 0o777 == (0o700 if mode is None else mode)
