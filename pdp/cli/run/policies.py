"""What `pdp policies` does."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from difflib import unified_diff
from typing import TYPE_CHECKING

from pdp.backup.archive import replacing
from pdp.bootstrap.policies import first_publisher, open_store, risk_table
from pdp.cli.asking import Misused, actor_here, ending, read_source
from pdp.cli.databases import settings_for
from pdp.cli.exit_codes import Exit
from pdp.domain.tenant import is_tenant_id
from pdp.logs import logging_to_stderr
from pdp.policy_files import change, signing
from pdp.policy_files.document import dump, load
from pdp.policy_files.state import state_at, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pdp.engine.snapshot import Platform
    from pdp.policy_files.change import StateChange
    from pdp.policy_files.state import State
    from pdp.store.port import Reader, Store


def export(file: Path, tenant: str, key: Path | None, url: str | None, *, force: bool) -> None:
    """Writes the file, and its signature where there is a key."""
    with ending(as_json=False):
        _check_tenant(tenant)
        for path in (file, signing.signature_of(file)) if key else (file,):
            if path.exists() and not force:
                raise Misused(f"{path} is there already; replace it with --force")
        with _database(url) as (store, _), store.read() as reader:
            raw = dump(state_of(reader, tenant), tenant, reader.revision()).encode()
        if key is not None:
            signature = signing.sign(raw, key)
            with replacing(signing.signature_of(file)) as opened:
                opened.write(signature)
        with replacing(file) as opened:
            opened.write(raw)
    sys.exit(Exit.OK)


def import_(
    file: Path,
    tenant: str | None,
    key: Path | None,
    url: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Makes a tenant's policies what the file says, and shows what that changed."""
    with ending(as_json=as_json):
        raw = read_source(str(file), "FILE")
        if key is not None:
            signing.verify(raw, file, key)
        named, wanted = load(raw)
        tenant = tenant or named
        _check_tenant(tenant)
        with _database(url, make=not dry_run) as (store, platform):
            summary = f"Imported {file.name}"
            made = _make(store, platform, tenant, lambda _: wanted, summary, dry_run=dry_run)
    _finish(made, tenant, dry_run=dry_run, as_json=as_json)


def rollback(tenant: str, to: int, url: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Makes a tenant's policies what they were, and shows what that changed."""
    with ending(as_json=as_json):
        _check_tenant(tenant)
        with _database(url) as (store, platform):
            summary = f"Rolled back to revision {to}"
            made = _make(
                store,
                platform,
                tenant,
                lambda reader: state_at(reader, tenant, to),
                summary,
                dry_run=dry_run,
            )
    _finish(made, tenant, dry_run=dry_run, as_json=as_json)


def _make(
    store: Store,
    platform: Platform,
    tenant: str,
    wanted_of: Callable[[Reader], State],
    summary: str,
    *,
    dry_run: bool,
) -> StateChange:
    return change.apply_state(
        store, platform, tenant, wanted_of, actor=actor_here(), summary=summary, commit=not dry_run
    )


def _check_tenant(tenant: str) -> None:
    if not is_tenant_id(tenant):
        raise Misused("--tenant must be 1 to 128 characters of A-Z a-z 0-9 . _ -")


@contextmanager
def _database(url: str | None, *, make: bool = False) -> Iterator[tuple[Store, Platform]]:
    settings = settings_for(url, make=make)
    with logging_to_stderr("warning"):
        store = open_store(settings.store_url)
        try:
            yield store, first_publisher(store, risk_table(settings.risk_file)).platform
        finally:
            store.close()


def _finish(made: StateChange, tenant: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        steps = [{"op": each.op, "kind": each.kind, "id": each.entity_id} for each in made.steps]
        answer = {"tenant": tenant, "dry_run": dry_run, "steps": steps}
        if not dry_run:
            answer["revision"] = made.revision
        print(json.dumps(answer, ensure_ascii=False, indent=2))
        sys.exit(Exit.OK)
    before, after = (dump(state, tenant).splitlines(keepends=True) for state in made.states)
    sys.stdout.writelines(unified_diff(before, after, "before", "after"))
    done = "would change" if dry_run else f"changed, in force from revision {made.revision}"
    print(f"{len(made.steps)} policies of {tenant} {done}")
    sys.exit(Exit.OK)
