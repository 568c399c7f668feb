"""Runs `pdp backup`, and has the steps that `pdp restore` shares with it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from pdp.backup.archive import POLICIES, RECORDS, Manifest, digest, pack
from pdp.backup.encryption import read_passphrase
from pdp.bootstrap.recording import RecordingOptions
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.output.report import Report, Table, print_json, show
from pdp.config import load
from pdp.errors import ConfigError
from pdp.store import maintenance
from pdp.store.setting_names import AUDIT_SETTING, DATABASE_SETTING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.config import Settings

KINDS: Final = {POLICIES: maintenance.POLICIES, RECORDS: maintenance.RECORDS}
"""The kind of database, by what a backup holds."""


def backup(
    file: Path,
    url: str | None,
    passphrase_file: Path | None,
    *,
    records: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Writes a backup, prints its manifest, and exits."""
    holds = RECORDS if records else POLICIES
    with exit_on_failure(as_json=as_json):
        if file.exists() and not force:
            raise UsageError(f"{file} already exists; replace it with --force")
        settings = load({"database_url": url})
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with private_directory(file.absolute().parent) as directory:
            copy = Path(directory) / "copy.db"
            maintenance.copy(database_file(settings, holds), copy, KINDS[holds])
            schema, last = maintenance.check(copy, KINDS[holds])
            head, problems = verify_log(settings, holds, copy)
            manifest = Manifest(
                created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                revision=last,
                schema=schema,
                size=copy.stat().st_size,
                sha256=digest(copy),
                holds=holds,
                head=head,
            )
            manifest = pack(copy, manifest, file, passphrase)
    finish({"file": str(file), **manifest_facts(manifest)}, problems, as_json=as_json)


def database_file(settings: Settings, holds: str) -> Path:
    """Returns the file of the database of policies, or of the log of decision records."""
    if holds == POLICIES:
        return maintenance.database_file(settings.store_url, DATABASE_SETTING)
    return maintenance.database_file(RecordingOptions.of(settings).url, AUDIT_SETTING)


def verify_log(settings: Settings, holds: str, copy: Path) -> tuple[str, Sequence[str]]:
    """Returns the head of a log of decision records, and the problems that verifying it found.

    A copy of the database of policies has no head and no problems.
    """
    if holds == POLICIES:
        return "", ()
    verification = maintenance.verify_copy(copy, RecordingOptions.of(settings).key)
    return verification.head, verification.problems


def private_directory(parent: Path) -> TemporaryDirectory[str]:
    """Returns a temporary directory in `parent` that only its owner can read.

    Raises:
        ConfigError: `parent` cannot be written.
    """
    try:
        return TemporaryDirectory(prefix=".pdp-backup-", dir=parent)
    except OSError as error:
        raise ConfigError(f"the directory {parent} cannot be written: {error.strerror}") from None


def manifest_facts(manifest: Manifest) -> dict[str, Any]:
    """Returns the manifest for output, without the parameters of its encryption."""
    return {**asdict(manifest), "encryption": manifest.encryption and manifest.encryption["kdf"]}


def finish(
    facts: Mapping[str, Any],
    problems: Sequence[str],
    key_facts: Mapping[str, str] | None = None,
    *,
    as_json: bool,
) -> None:
    """Prints what was backed up or restored, and exits with 1 if the log has problems.

    Args:
        facts: the facts, by the names that JSON has.
        problems: what verifying the log found.
        key_facts: what a report says about API keys instead of the fact `keys`.
        as_json: print JSON.
    """
    if as_json:
        log = {"problems": problems} if facts["holds"] == RECORDS else {}
        print_json({**facts, **log})
    else:
        shown = {name: value for name, value in facts.items() if name != "keys"}
        shown |= key_facts or {}
        lines = [(name, str(value)) for name, value in shown.items() if value not in (None, "")]
        if problems:
            table = Table("Problems", ("problem",), [[each] for each in problems])
            show(Report("done, but THE LOG WAS TAMPERED WITH", "bold red", lines, tables=[table]))
        else:
            show(Report("verified", "bold green", lines))
    sys.exit(Exit.NO if problems else Exit.OK)
