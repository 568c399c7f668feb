"""Copies a database file while others write, checks copies, and restores them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.files import is_busy, sync
from pdp.store.sqlite import audit_log, schema
from pdp.store.sqlite.audit_verification import verify
from pdp.store.sqlite.errors import convert_opening_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.audit_log import Verification

_IN_USE: Final = (
    "Another process, for instance a server, has the database open. Stop it, then restore again."
)
_LAST_REVISION: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'changes'"
# SQLite takes the other columns from the row that has the maximum.
_LATEST_CHANGES: Final = """
    SELECT entity_id, after, max(revision) FROM changes
    WHERE tenant_id = ? AND kind = ? AND revision > ? GROUP BY entity_id
"""


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """A kind of database that can be backed up.

    Attributes:
        schema: the schema of its file.
        last: SQL for the number of the last entry.
    """

    schema: schema.Schema
    last: str


POLICIES: Final = DatabaseKind(schema.POLICIES, "SELECT coalesce(max(revision), 0) FROM changes")
RECORDS: Final = DatabaseKind(
    audit_log.SCHEMA, "SELECT coalesce(max(first_record + records - 1), 0) FROM batches"
)


@dataclass(frozen=True, slots=True)
class LatestChanges:
    """The changes of entities after a revision.

    Attributes:
        revision: the last revision of the database.
        bodies: the current bodies of the changed entities by id; None for a deleted entity.
    """

    revision: int
    bodies: Mapping[str, Any]


def copy(path: Path, target: Path, kind: DatabaseKind = POLICIES) -> None:
    """Copies all committed data of a database to a new file. Others may write meanwhile.

    Raises:
        ConfigError: the database does not exist, or is not of this kind.
        StoreUnavailable: the database cannot be read now.
    """
    if not path.is_file():
        raise ConfigError(f"there is no database at {path}")
    with convert_opening_errors(), closing(_open(path, "ro")) as source:
        schema.version_of(source, kind.schema)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(target, isolation_level=None)) as target_connection:
            source.backup(target_connection)
            target_connection.execute("PRAGMA journal_mode = DELETE")  # leaves a single file


def check(path: Path, kind: DatabaseKind = POLICIES) -> tuple[int, int]:
    """Checks a copy, and returns its schema version and the number of its last entry.

    Raises:
        ConfigError: the copy is not of this kind, is of a newer version, or is damaged.
    """
    with convert_opening_errors(), closing(_open(path, "ro")) as connection:
        version = schema.version_of(connection, kind.schema)
        result = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if version == 0 or result != [("ok",)]:
            raise ConfigError("the database is damaged or empty")
        [(last,)] = connection.execute(kind.last).fetchall()
    return version, int(last)


def verify_copy(path: Path, key: bytes) -> Verification:
    """Verifies the hash chain of a copy of an audit log.

    Args:
        path: the file of the copy.
        key: the key of the chain; empty for none.

    Raises:
        ConfigError: the chain has another key, or the copy cannot be read.
    """
    with convert_opening_errors(), closing(_open(path, "ro")) as connection:
        audit_log.check_key(connection, key)
        return verify(connection, key, "")


def latest_changes(path: Path, kind: str, tenant_id: str, revision: int) -> LatestChanges | None:
    """Returns the changes of entities of a kind after `revision`.

    Args:
        path: a database of policies of any version.
        kind: the kind of the entities.
        tenant_id: their tenant.
        revision: the changes after it are returned.

    Returns:
        None if the file does not exist or cannot be read.
    """
    try:
        with closing(_open(path, "ro")) as connection:
            (last,) = connection.execute(_LAST_REVISION).fetchone() or (0,)
            rows = connection.execute(_LATEST_CHANGES, (tenant_id, kind, revision)).fetchall()
        bodies = {
            entity_id: None if after is None else json.loads(after) for entity_id, after, _ in rows
        }
    except (sqlite3.Error, ValueError):  # damaged or of another program
        return None
    return LatestChanges(last, bodies)


def advance_revision(path: Path, revision: int) -> None:
    """Makes the next revision of a copy follow `revision`, so that no revision is used twice."""
    with convert_opening_errors(), closing(_open(path, "rw")) as connection:
        connection.execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'changes'", (revision,)
        )


def replace(path: Path, replacement: Path) -> Path | None:
    """Replaces a database by a copy, and returns the path that the old database was moved to.

    The replacement is atomic: if the process or the machine stops, `path` is either the old or the
    new database.

    Raises:
        StoreUnavailable: another process has the database open.
        ConfigError: the files cannot be moved.
    """
    saved: Path | None = None
    try:
        sync(replacement)
        if path.exists():
            saved = _free_name(path)
            _save(path, saved)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").unlink()
        replacement.replace(path)
        sync(path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be replaced: {error.strerror}") from None
    return saved


def _free_name(path: Path) -> Path:
    """Returns an unused name for the old database."""
    first = path.with_name(f"{path.name}.before-restore")
    numbered = (first.with_name(f"{first.name}.{number}") for number in count(1))
    return first if not first.exists() else next(each for each in numbered if not each.exists())


def _save(path: Path, saved: Path) -> None:
    """Gives the old database a second name.

    Raises:
        StoreUnavailable: another process has the database open.
        OSError: it cannot get that name.
    """
    # The latest data of a damaged database may be in its write-ahead log only, and SQLite would
    # remove the log.
    log = Path(f"{saved}-wal")
    with suppress(OSError):
        os.link(f"{path}-wal", log)
    complete = False
    try:
        complete = _merge_wal(path)
        try:
            os.link(path, saved)
        except OSError:  # the file system does not support hard links
            shutil.copy2(path, saved)
    finally:
        if complete or not saved.exists():
            log.unlink(missing_ok=True)


def _merge_wal(path: Path) -> bool:
    """Merges the write-ahead log into the file. Returns False if the file cannot be read.

    Raises:
        StoreUnavailable: another process has the database open.
    """
    # SQLite leaves WAL mode only if no other process has the file open.
    try:
        with closing(_open(path, "rw")) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            raise StoreUnavailable(_IN_USE) from None
        # No working server has an unreadable file open.
        return False
    return True


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)
