"""Runs `pdp policies`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from difflib import unified_diff
from typing import TYPE_CHECKING

from pdp.backup.archive import replacing
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.input import read_bytes
from pdp.cli.local_database import load_settings, local_actor
from pdp.cli.output.report import print_json
from pdp.cli.run.import_many import Import, files_in
from pdp.domain.tenant import is_tenant_id
from pdp.logs import logging_to_stderr
from pdp.policy_files import change, signing
from pdp.policy_files.document import dump, load
from pdp.policy_files.state import state_at, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pdp.engine.snapshot import Platform
    from pdp.policy_files.change import StateChange
    from pdp.policy_files.state import State
    from pdp.store.port import Reader, Store


def export(file: Path, tenant: str, key: Path | None, url: str | None, *, force: bool) -> None:
    """Writes the policies of a tenant to a file, and signs the file if `key` is given."""
    with exit_on_failure(as_json=False):
        _check_tenant(tenant)
        for path in (file, signing.signature_of(file)) if key else (file,):
            if path.exists() and not force:
                raise UsageError(f"{path} already exists; replace it with --force")
        with _open_store(url) as (store, _), store.read() as reader:
            raw = dump(state_of(reader, tenant), tenant, reader.revision()).encode()
        if key is not None:
            signature = signing.sign(raw, key)
            with replacing(signing.signature_of(file)) as target:
                target.write(signature)
        with replacing(file) as target:
            target.write(raw)
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
    """Replaces the policies of a tenant with those in a file, and prints the changes."""
    with exit_on_failure(as_json=as_json):
        raw = read_bytes(str(file), "FILE")
        if key is not None:
            signing.verify(raw, file, key)
        file_tenant, state = load(raw)
        tenant = tenant or file_tenant
        _check_tenant(tenant)
        with _open_store(url, create=not dry_run) as (store, platform):
            summary = f"Imported {file.name}"
            result = _change(store, platform, tenant, lambda _: state, summary, dry_run=dry_run)
    _finish(result, tenant, dry_run=dry_run, as_json=as_json)


def import_many(
    paths: Sequence[Path],
    files_from: str | None,
    key: Path | None,
    url: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Imports many files, each in a transaction of its own, and prints the changes of each."""
    with exit_on_failure(as_json=as_json):
        files = files_in(paths, files_from)
        with _open_store(url, create=not dry_run) as (store, platform):

            def apply(tenant: str, state: State, summary: str) -> StateChange:
                return _change(store, platform, tenant, lambda _: state, summary, dry_run=dry_run)

            code = Import(apply, key, dry_run, as_json).run(files)
    sys.exit(code)


def rollback(tenant: str, to: int, url: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Replaces the policies of a tenant with those of a revision, and prints the changes."""
    with exit_on_failure(as_json=as_json):
        _check_tenant(tenant)
        with _open_store(url) as (store, platform):
            summary = f"Rolled back to revision {to}"
            result = _change(
                store,
                platform,
                tenant,
                lambda reader: state_at(reader, tenant, to),
                summary,
                dry_run=dry_run,
            )
    _finish(result, tenant, dry_run=dry_run, as_json=as_json)


def _change(
    store: Store,
    platform: Platform,
    tenant: str,
    new_state: Callable[[Reader], State],
    summary: str,
    *,
    dry_run: bool,
) -> StateChange:
    return change.apply_state(
        store, platform, tenant, new_state, actor=local_actor(), summary=summary, commit=not dry_run
    )


def _check_tenant(tenant: str) -> None:
    if not is_tenant_id(tenant):
        raise UsageError("--tenant must have 1 to 128 characters of A-Z a-z 0-9 . _ -")


@contextmanager
def _open_store(url: str | None, *, create: bool = False) -> Iterator[tuple[Store, Platform]]:
    settings = load_settings(url, create=create)
    with logging_to_stderr("warning"):
        store = open_policies(settings.store_url)
        try:
            yield store, create_publisher(store, load_risk_table(settings.risk_file)).platform
        finally:
            store.close()


def _finish(result: StateChange, tenant: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        steps = [{"op": each.op, "kind": each.kind, "id": each.entity_id} for each in result.steps]
        answer = {"tenant": tenant, "dry_run": dry_run, "steps": steps}
        if not dry_run:
            answer["revision"] = result.revision
        if result.warnings:
            answer["warnings"] = [each._asdict() for each in result.warnings]
        print_json(answer)
        sys.exit(Exit.OK)
    before, after = (dump(state, tenant).splitlines(keepends=True) for state in result.states)
    sys.stdout.writelines(unified_diff(before, after, "before", "after"))
    outcome = "would change" if dry_run else f"changed, in force from revision {result.revision}"
    print(f"{len(result.steps)} policies of {tenant} {outcome}")
    for warning in result.warnings:
        print(f"warning: {warning.field}: {warning.message}", file=sys.stderr)
    sys.exit(Exit.OK)
