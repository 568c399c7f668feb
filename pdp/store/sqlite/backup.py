"""Copies of a database's file: taken while others write, checked, and put in its place."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.sqlite import audit_log, schema
from pdp.store.sqlite.audit_verification import verify
from pdp.store.sqlite.errors import converted_at_opening

if TYPE_CHECKING:
    from pdp.domain.audit_log import Verification

_IN_USE: Final = (
    "Another process has the database open, a server for instance; end it, then restore again."
)


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """A kind of database that is backed up.

    Attributes:
        form: what marks its file.
        last: SQL for the number of what was written last.
    """

    form: schema.Form
    last: str


POLICIES: Final = DatabaseKind(schema.POLICIES, "SELECT coalesce(max(revision), 0) FROM changes")
RECORDS: Final = DatabaseKind(
    audit_log.FORM, "SELECT coalesce(max(first_record + records - 1), 0) FROM batches"
)


def copy(path: Path, target: Path, kind: DatabaseKind = POLICIES) -> None:
    """Copies the database as it is now, with all that was committed, while others may write.

    Raises:
        ConfigError: it is not there, or is no store.
        StoreUnavailable: it cannot be read now.
    """
    if not path.is_file():
        raise ConfigError(f"there is no database at {path}")
    with converted_at_opening(), closing(open_as_it_is(path)) as source:
        schema.version_of(source, kind.form)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(target, isolation_level=None)) as copied:
            source.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself


def check(path: Path, kind: DatabaseKind = POLICIES) -> tuple[int, int]:
    """Returns the schema's version and the number of what was last written to a whole copy.

    Raises:
        ConfigError: it is no store, was made by a newer version, or is damaged.
    """
    with converted_at_opening(), closing(open_as_it_is(path)) as connection:
        version = schema.version_of(connection, kind.form)
        found = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if version == 0 or found != [("ok",)]:
            raise ConfigError("the database is damaged, or has nothing in it")
        [(last,)] = connection.execute(kind.last).fetchall()
    return version, int(last)


def verified(path: Path, key: bytes) -> Verification:
    """Looks at the chain of a copy of records.

    Args:
        path: of the copy.
        key: of the chain; empty for none.

    Raises:
        ConfigError: the records are chained with another key, or cannot be read.
    """
    with converted_at_opening(), closing(open_as_it_is(path)) as connection:
        audit_log.check_key(connection, key)
        return verify(connection, key, "")


def count_on(path: Path, revision: int) -> None:
    """Has the revisions of a copy go on behind `revision`, so that none is given twice."""
    with converted_at_opening(), closing(_open(path, "rw")) as connection:
        connection.execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'changes'", (revision,)
        )


def replace(path: Path, copied: Path) -> Path | None:
    """Puts a copy in the place of the database; returns where the old one is kept.

    At any moment there is one or the other, whatever happens to the process or the machine.

    Raises:
        StoreUnavailable: another process has the database open.
        ConfigError: the files cannot be moved.
    """
    kept: Path | None = None
    try:
        sync(copied)
        if path.exists():
            kept = _free_name(path)
            _keep(path, kept)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").unlink()
        copied.replace(path)
        sync(path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be replaced: {error.strerror}") from None
    return kept


def sync(path: Path) -> None:
    """Waits until a file, or the names in a directory, are on disk.

    Raises:
        OSError: they cannot be.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_as_it_is(path: Path) -> sqlite3.Connection:
    """Opens a database to read it, whatever its version.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    return _open(path, "ro")


def _free_name(path: Path) -> Path:
    """Returns a name for the old database under which none is kept yet."""
    first = path.with_name(f"{path.name}.before-restore")
    numbered = (first.with_name(f"{first.name}.{number}") for number in count(1))
    return first if not first.exists() else next(each for each in numbered if not each.exists())


def _keep(path: Path, kept: Path) -> None:
    """Gives the old database, which nobody may have open, a second name.

    Raises:
        StoreUnavailable: another process has it open.
        OSError: it cannot have that name.
    """
    # Of one that is damaged, what was written last may be in its log alone: SQLite would remove it.
    log = Path(f"{kept}-wal")
    with suppress(OSError):
        os.link(f"{path}-wal", log)
    whole = False
    try:
        whole = _is_whole(path)
        try:
            os.link(path, kept)
        except OSError:  # a file system without such names
            shutil.copy2(path, kept)
    finally:
        if whole or not kept.exists():
            log.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """Brings all of a database into its one file; returns whether that could be done.

    Raises:
        StoreUnavailable: another process has it open.
    """
    # SQLite leaves WAL mode only while nobody else has the file open.
    try:
        with closing(_open(path, "rw")) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreUnavailable(_IN_USE) from None
        # What cannot be read cannot be in use by a server that works; it is kept all the same.
        return False
    return True


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)
