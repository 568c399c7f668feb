"""What `pdp backup` and `pdp restore` do."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from pdp.backup.archive import (
    OWNER_ONLY,
    POLICIES,
    RECORDS,
    Manifest,
    digest,
    pack,
    read_manifest,
    unpack,
)
from pdp.backup.encryption import read_passphrase, unusable
from pdp.backup.key_changes import preserve_keys
from pdp.bootstrap.recording import RecordingOptions
from pdp.cli.asking import Misused, actor_here, ending
from pdp.cli.exit_codes import Exit
from pdp.config import load
from pdp.domain.api_key import KIND
from pdp.domain.tenant import PLATFORM
from pdp.errors import ConfigError
from pdp.store import maintenance, open_store
from pdp.store.opening import AUDIT_SETTING, DATABASE_SETTING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.config import Settings

_KINDS: Final = {POLICIES: maintenance.POLICIES, RECORDS: maintenance.RECORDS}
_AS_THEN: Final = "count as they did then; see pdp keys list, and revoke what was revoked since"


def backup(
    file: Path,
    url: str | None,
    passphrase_file: Path | None,
    *,
    records: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Makes a backup, says what is in it, and exits with the codes that --help lists."""
    holds = RECORDS if records else POLICIES
    with ending(as_json=as_json):
        if file.exists() and not force:
            raise Misused(f"{file} is there already; replace it with --force")
        settings = load({"database_url": url})
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with _scratch(file.absolute().parent) as scratch:
            copied = Path(scratch) / "copy.db"
            maintenance.copy(_file(settings, holds), copied, _KINDS[holds])
            schema, last = maintenance.check(copied, _KINDS[holds])
            head, problems = _chain(settings, holds, copied)
            manifest = Manifest(
                created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                revision=last,
                schema=schema,
                size=copied.stat().st_size,
                sha256=digest(copied),
                holds=holds,
                head=head,
            )
            packed = pack(copied, manifest, file, passphrase)
    _finish({"file": str(file), **_shown(packed)}, problems, as_json=as_json)


def restore(
    file: Path,
    url: str | None,
    passphrase_file: Path | None,
    *,
    force: bool,
    check: bool,
    revive_keys: bool,
    as_json: bool,
) -> None:
    """Restores a backup, says what was in it, and exits with the codes that --help lists."""
    with ending(as_json=as_json):
        settings = load({"database_url": url})
        holds = read_manifest(file).holds
        database = _file(settings, holds)
        maintenance.prepare_directory(database)
        if database.exists() and not (force or check):
            raise Misused(f"{database} is there already; replace it with --force")
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with _scratch(database.parent) as scratch:
            copied = Path(scratch) / database.name
            with os.fdopen(os.open(copied, os.O_WRONLY | os.O_CREAT, OWNER_ONLY), "wb") as target:
                manifest = unpack(file, target, passphrase)
            found = maintenance.check(copied, _KINDS[holds])
            if found != (manifest.schema, manifest.revision):
                raise unusable("its manifest describes another database")
            _, problems = _chain(settings, holds, copied)
            facts = {"file": str(file), **_shown(manifest)}
            if not check:
                if holds == POLICIES:
                    facts["keys"] = _go_on(database, copied, manifest, revive_keys=revive_keys)
                kept = maintenance.replace(database, copied)
                facts |= {"database": str(database), "kept": kept and str(kept)}
    _finish(facts, problems, as_json=as_json)


def _file(settings: Settings, holds: str) -> Path:
    """Returns the file of the database of policies, or of the audit log."""
    if holds == POLICIES:
        return maintenance.database_file(settings.store_url, DATABASE_SETTING)
    return maintenance.database_file(RecordingOptions.of(settings).url, AUDIT_SETTING)


def _chain(settings: Settings, holds: str, copied: Path) -> tuple[str, Sequence[str]]:
    """Returns the head of a chain of records, and what is wrong with the log."""
    if holds == POLICIES:
        return "", ()
    found = maintenance.verify_copy(copied, RecordingOptions.of(settings).key)
    return found.head, found.problems


def _go_on(
    database: Path, copied: Path, manifest: Manifest, *, revive_keys: bool
) -> dict[str, Any] | None:
    """Has what is restored go on where the database ends whose place it takes.

    Returns:
        What became of the keys; None where they count as they did then.
    """
    changes = maintenance.latest_changes(database, KIND, PLATFORM, manifest.revision)
    if changes is None:
        return None
    maintenance.advance_revision(copied, changes.revision)
    if revive_keys:
        return None
    with closing(open_store(f"sqlite:///{copied}")) as store:
        return asdict(preserve_keys(store, changes.bodies, actor_here()))


def _scratch(folder: Path) -> TemporaryDirectory[str]:
    """Returns a directory on the same disk, which only its owner can look into."""
    try:
        return TemporaryDirectory(prefix=".pdp-backup-", dir=folder)
    except OSError as error:
        raise ConfigError(f"nothing can be written in {folder}: {error.strerror}") from None


def _shown(manifest: Manifest) -> dict[str, Any]:
    return {**asdict(manifest), "encryption": manifest.encryption and manifest.encryption["kdf"]}


def _finish(facts: Mapping[str, Any], problems: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        found = {"problems": problems} if facts["holds"] == RECORDS else {}
        print(json.dumps({**facts, **found}, ensure_ascii=False, indent=2))
    else:
        _show(facts, problems)
    sys.exit(Exit.NO if problems else Exit.OK)


def _show(facts: Mapping[str, Any], problems: Sequence[str]) -> None:
    from pdp.cli.report import Report, Table, show  # noqa: PLC0415 - for people only

    told = {name: value for name, value in facts.items() if name != "keys"}
    if "keys" in facts:
        became = facts["keys"] or {}
        told["keys"] = None if facts["keys"] else _AS_THEN
        told |= {f"keys {name} since": ", ".join(ids) for name, ids in became.items()}
    lines = [(name, str(value)) for name, value in told.items() if value not in (None, "")]
    if problems:
        table = Table("Problems", ("what is wrong",), [[each] for each in problems])
        show(Report("done, but THE LOG WAS TAMPERED WITH", "bold red", lines, tables=[table]))
    else:
        show(Report("verified", "bold green", lines))
