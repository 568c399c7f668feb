"""Runs `pdp restore`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.backup import key_changes
from pdp.backup.archive import OWNER_ONLY, POLICIES, Manifest, described, unpack
from pdp.backup.encryption import damaged, read_passphrase
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.local_database import local_actor
from pdp.cli.run.backup import (
    KINDS,
    finish,
    manifest_facts,
    private_directory,
    source_url,
    verify_log,
)
from pdp.config import load
from pdp.store.sqlite import backup as database_files
from pdp.store.sqlite.store import place_for

if TYPE_CHECKING:
    from collections.abc import Mapping

_REVIVED: Final = "valid as in the backup; check pdp keys list, and revoke what was revoked since"


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
    """Restores a backup, prints its manifest, and exits."""
    with exit_on_failure(as_json=as_json):
        settings = load({"database_url": url})
        holds = described(file).holds
        database = place_for(source_url(settings, holds))
        if database.exists() and not (force or check):
            raise UsageError(f"{database} already exists; replace it with --force")
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with private_directory(database.parent) as directory:
            copy = Path(directory) / database.name
            with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT, OWNER_ONLY), "wb") as target:
                manifest = unpack(file, target, passphrase)
            if database_files.check(copy, KINDS[holds]) != (manifest.schema, manifest.revision):
                raise damaged("its manifest describes another database")
            _, problems = verify_log(settings, holds, copy)
            facts = {"file": str(file), **manifest_facts(manifest)}
            key_facts = None
            if not check:
                if holds == POLICIES:
                    facts["keys"] = _carry_over(database, copy, manifest, revive_keys=revive_keys)
                    key_facts = _key_facts(facts["keys"])
                previous = database_files.replace(database, copy)
                facts |= {"database": str(database), "kept": previous and str(previous)}
    finish(facts, problems, key_facts, as_json=as_json)


def _carry_over(
    database: Path, copy: Path, manifest: Manifest, *, revive_keys: bool
) -> dict[str, Any] | None:
    """Carries the revision, and the changes of API keys, over from the database to be replaced.

    Returns:
        What was carried over of the keys; None if they are valid as in the backup.
    """
    changes = key_changes.since(database, manifest.revision)
    if changes is None:
        return None
    database_files.count_on(copy, changes.revision)
    return None if revive_keys else asdict(key_changes.keep(copy, changes, local_actor()))


def _key_facts(keys: Mapping[str, Any] | None) -> dict[str, str]:
    if not keys:
        return {"keys": _REVIVED}
    return {f"keys {name} since": ", ".join(ids) for name, ids in keys.items()}
