"""Runs `pdp restore`."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.approvals.invalidation import invalidate_approvals
from pdp.backup.archive import OWNER_ONLY, POLICIES, Manifest, read_manifest, unpack
from pdp.backup.encryption import read_passphrase, unusable
from pdp.backup.key_changes import preserve_keys
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.local_database import local_actor
from pdp.cli.run.backup import (
    KINDS,
    database_file,
    finish,
    manifest_facts,
    private_directory,
    verify_log,
)
from pdp.config import load
from pdp.domain.api_key import KIND
from pdp.domain.tenant import PLATFORM
from pdp.store import maintenance, open_store

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
        holds = read_manifest(file).holds
        database = database_file(settings, holds)
        maintenance.prepare_directory(database)
        if database.exists() and not (force or check):
            raise UsageError(f"{database} already exists; replace it with --force")
        passphrase = None if passphrase_file is None else read_passphrase(passphrase_file)
        with private_directory(database.parent) as directory:
            copy = Path(directory) / database.name
            with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT, OWNER_ONLY), "wb") as target:
                manifest = unpack(file, target, passphrase)
            if maintenance.check(copy, KINDS[holds]) != (manifest.schema, manifest.revision):
                raise unusable("its manifest describes another database")
            _, problems = verify_log(settings, holds, copy)
            facts = {"file": str(file), **manifest_facts(manifest)}
            key_facts = None
            if not check:
                if holds == POLICIES:
                    facts["keys"] = _carry_over(database, copy, manifest, revive_keys=revive_keys)
                    facts["approvals_cancelled"] = _invalidate_approvals(copy)
                    key_facts = _key_facts(facts["keys"])
                previous = maintenance.replace(database, copy)
                facts |= {"database": str(database), "kept": previous and str(previous)}
    finish(facts, problems, key_facts, as_json=as_json)


def _carry_over(
    database: Path, copy: Path, manifest: Manifest, *, revive_keys: bool
) -> dict[str, Any] | None:
    """Carries the revision, and the changes of API keys, over from the database to be replaced.

    Returns:
        What was carried over of the keys; None if they are valid as in the backup.
    """
    changes = maintenance.latest_changes(database, KIND, PLATFORM, manifest.revision)
    if changes is None:
        return None
    maintenance.advance_revision(copy, changes.revision)
    if revive_keys:
        return None
    with closing(open_store(f"sqlite:///{copy}")) as store:
        return asdict(preserve_keys(store, changes.bodies, local_actor()))


def _invalidate_approvals(copy: Path) -> int:
    """Makes the approvals of the backup worthless; returns how many were open."""
    with closing(open_store(f"sqlite:///{copy}")) as store:
        return invalidate_approvals(store, local_actor())


def _key_facts(keys: Mapping[str, Any] | None) -> dict[str, str]:
    if not keys:
        return {"keys": _REVIVED}
    return {f"keys {name} since": ", ".join(ids) for name, ids in keys.items()}
