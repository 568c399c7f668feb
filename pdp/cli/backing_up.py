"""What `pdp backup` and `pdp restore` do."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pdp.backup.archive import OWNER_ONLY, Manifest, digest, pack, unpack
from pdp.backup.sealed import damaged, read_passphrase
from pdp.cli.asking import Misused, ending
from pdp.cli.exits import Exit
from pdp.config import load
from pdp.errors import ConfigError
from pdp.store import sqlite_backup
from pdp.store.sqlite import path_of, place_for

if TYPE_CHECKING:
    from collections.abc import Mapping


def backup(
    file: Path, url: str | None, passphrase_file: Path | None, *, force: bool, as_json: bool
) -> None:
    """Makes a backup, says what is in it, and exits with the codes that --help lists."""
    with ending(as_json=as_json):
        if file.exists() and not force:
            raise Misused(f"{file} is there already; replace it with --force")
        database = path_of(load({"database_url": url}).store_url)
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with _scratch(file.absolute().parent) as scratch:
            copied = Path(scratch) / "pdp.db"
            sqlite_backup.copy(database, copied)
            schema, revision = sqlite_backup.check(copied)
            manifest = Manifest(
                created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                revision=revision,
                schema=schema,
                size=copied.stat().st_size,
                sha256=digest(copied),
            )
            packed = pack(copied, manifest, file, passphrase)
    _finish({"file": str(file), **_shown(packed)}, as_json=as_json)


def restore(
    file: Path,
    url: str | None,
    passphrase_file: Path | None,
    *,
    force: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Restores a backup, says what was in it, and exits with the codes that --help lists."""
    with ending(as_json=as_json):
        database = place_for(load({"database_url": url}).store_url)
        if database.exists() and not (force or check):
            raise Misused(f"{database} is there already; replace it with --force")
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with _scratch(database.parent) as scratch:
            copied = Path(scratch) / database.name
            with os.fdopen(os.open(copied, os.O_WRONLY | os.O_CREAT, OWNER_ONLY), "wb") as target:
                manifest = unpack(file, target, passphrase)
            if sqlite_backup.check(copied) != (manifest.schema, manifest.revision):
                raise damaged("its manifest speaks of another database")
            kept = None if check else sqlite_backup.replace(database, copied)
    facts = {"file": str(file), **_shown(manifest)}
    if not check:
        facts["database"] = str(database)
        facts["kept"] = None if kept is None else str(kept)
    _finish(facts, as_json=as_json)


def _scratch(folder: Path) -> TemporaryDirectory[str]:
    """Returns a directory on the same disk, which only its owner can look into."""
    try:
        return TemporaryDirectory(prefix=".pdp-backup-", dir=folder)
    except OSError as error:
        raise ConfigError(f"nothing can be written in {folder}: {error.strerror}") from None


def _shown(manifest: Manifest) -> dict[str, Any]:
    return {**asdict(manifest), "encryption": manifest.encryption and manifest.encryption["kdf"]}


def _finish(facts: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        from pdp.cli.report import Report, show  # noqa: PLC0415 - for people only

        lines = [(name, str(value)) for name, value in facts.items() if value is not None]
        show(Report("verified", "bold green", lines))
    sys.exit(Exit.OK)
