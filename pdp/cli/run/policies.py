"""Runs `pdp policies`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pdp.backup.archive import replacing
from pdp.cli.exit_codes import Exit
from pdp.cli.failures import UsageError, exit_on_failure
from pdp.cli.input import read_bytes
from pdp.cli.output.report import print_json
from pdp.cli.run.import_many import Import, files_in
from pdp.cli.run.policy_client import (
    call,
    check_tenant,
    connect,
    placed,
    print_changes,
    summary_of,
)
from pdp.client import CallFailed
from pdp.errors import InvalidArgument
from pdp.policy_files import signing
from pdp.policy_files.directory import read_directory
from pdp.policy_files.secrets import resolve
from pdp.policy_files.shape import SECTIONS
from pdp.policy_files.text import format_text, read_text, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdp.cli.options.policy_target import PolicyTargetOptions
    from pdp.cli.run.policy_client import PlaceOf
    from pdp.policy_files.text import PolicyText

MERGE = "merge"
REPLACE = "replace"


def export(
    file: str,
    tenant: str,
    key: Path | None,
    target: PolicyTargetOptions,
    *,
    revision: int,
    force: bool,
) -> None:
    """Writes the policies of a tenant to a file, and signs the file if `key` is given."""
    with exit_on_failure(as_json=False):
        check_tenant(tenant)
        path = None if file == "-" else _new_file(file, key, force=force)
        with connect(target) as client:
            answer = call(client, "ExportPolicyFile", {"revision": revision}, tenant)
        raw = write_text(answer["policies"], tenant).encode()
        if path is None:
            sys.stdout.write(raw.decode())
        else:
            if key is not None:
                signature = signing.sign(raw, key)
                with replacing(signing.signature_of(path)) as stream:
                    stream.write(signature)
            with replacing(path) as stream:
                stream.write(raw)
    sys.exit(Exit.OK)


def _new_file(file: str, key: Path | None, *, force: bool) -> Path:
    from pathlib import Path  # noqa: PLC0415 - typing only otherwise

    path = Path(file)
    for each in (path, signing.signature_of(path)) if key else (path,):
        if each.exists() and not force:
            raise UsageError(f"{each} already exists; replace it with --force")
    return path


def import_(
    file: Path,
    tenant: str | None,
    key: Path | None,
    target: PolicyTargetOptions,
    *,
    merge: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Changes the policies of a tenant to those in a file, and prints the changes."""
    with exit_on_failure(as_json=as_json):
        raw = read_bytes(str(file), "FILE")
        if key is not None:
            signing.verify(raw, file, key)
        text = read_file(raw, str(file))
        place_of = _places(text, str(file))
        tenant = _tenant(tenant, text, str(file))
        body = import_body(text.policies, merge=merge, dry_run=dry_run, source=file.name)
        with connect(target, create=not dry_run) as client:
            answer = call(client, "ImportPolicyFile", body, tenant, place_of)
    _finish(answer, place_of, as_json=as_json)


def diff(
    file: Path, tenant: str | None, target: PolicyTargetOptions, *, merge: bool, as_json: bool
) -> None:
    """Prints what an import of a file would change, and exits with 1 if it would."""
    with exit_on_failure(as_json=as_json):
        text = read_file(read_bytes(str(file), "FILE"), str(file))
        place_of = _places(text, str(file))
        tenant = _tenant(tenant, text, str(file))
        body = import_body(text.policies, merge=merge, dry_run=True)
        with connect(target) as client:
            answer = call(client, "ImportPolicyFile", body, tenant, place_of)
    _finish(answer, place_of, as_json=as_json, tells_change=True)


def import_many(
    paths: Sequence[Path],
    files_from: str | None,
    key: Path | None,
    target: PolicyTargetOptions,
    *,
    merge: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Imports many files, each in a transaction of its own, and prints the changes of each."""
    with exit_on_failure(as_json=as_json):
        files = files_in(paths, files_from)
        with connect(target, create=not dry_run) as client:

            def apply(file: Path, text: PolicyText, tenant: str) -> dict[str, Any]:
                body = import_body(text.policies, merge=merge, dry_run=dry_run, source=file.name)
                place_of = _places(text, str(file))
                return call(client, "ImportPolicyFile", body, tenant, place_of)

            code = Import(apply, key, dry_run, as_json).run(files)
    sys.exit(code)


def rollback(
    tenant: str, to: int, target: PolicyTargetOptions, *, dry_run: bool, as_json: bool
) -> None:
    """Changes the policies of a tenant to those of a revision, and prints the changes."""
    with exit_on_failure(as_json=as_json):
        check_tenant(tenant)
        body = {"revision": to, "dry_run": dry_run}
        with connect(target) as client:
            answer = call(client, "RollbackPolicyFile", body, tenant)
    _finish(answer, None, as_json=as_json)


def sync(
    directory: Path,
    tenant: str | None,
    target: PolicyTargetOptions,
    *,
    prune: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Applies the policy files of a directory, and prints the changes."""
    with exit_on_failure(as_json=as_json):
        checkout = read_directory(directory)
        tenant = tenant or checkout.tenant
        if not tenant:
            raise UsageError("no file names a tenant; name it with --tenant")
        check_tenant(tenant)
        policies = {**({key: [] for key in SECTIONS} if prune else {}), **checkout.policies}
        body = import_body(policies, merge=not prune, dry_run=dry_run, source=str(directory))
        with connect(target, create=not dry_run) as client:
            answer = call(client, "ImportPolicyFile", body, tenant, checkout.place_of)
    _finish(answer, checkout.place_of, as_json=as_json, tells_change=dry_run)


def fmt(files: Sequence[Path], *, check: bool) -> None:
    """Formats policy files in place; with `check`, exits with 1 if one would change."""
    different = 0
    with exit_on_failure(as_json=False):
        for file in files:
            raw = read_bytes(str(file), "FILE")
            formatted = _formatted(raw, str(file))
            if formatted != raw:
                different += 1
                print(f"{file}: {'would be formatted' if check else 'formatted'}")
                if not check:
                    file.write_bytes(formatted)
    sys.exit(Exit.NO if check and different else Exit.OK)


def _formatted(raw: bytes, name: str) -> bytes:
    try:
        return format_text(raw).encode()
    except InvalidArgument as error:
        raise placed(CallFailed.of(error), lambda _: name) from None


def read_file(raw: bytes, name: str) -> PolicyText:
    """Returns what a policy file says.

    Raises:
        CallFailed: it is not a policy file; the message has the places of the faults.
    """
    try:
        return read_text(raw)
    except InvalidArgument as error:
        raise placed(CallFailed.of(error), lambda _: name) from None


def import_body(policies: Any, *, merge: bool, dry_run: bool, source: str = "") -> dict[str, Any]:
    """Returns the request of an import, with secrets from the environment."""
    return {
        "policies": resolve(policies, os.environ.get),
        "mode": MERGE if merge else REPLACE,
        "dry_run": dry_run,
        "summary": f"Imported {source}"[:1024] if source else "",
    }


def _tenant(option: str | None, text: PolicyText, file: str) -> str:
    tenant = option or text.tenant
    if not tenant:
        raise UsageError(f"{file} names no tenant; name it with --tenant")
    check_tenant(tenant)
    return tenant


def _places(text: PolicyText, file: str) -> PlaceOf:
    return lambda path: f"{file}:{text.line_of(path)}"


def _finish(
    answer: dict[str, Any],
    place_of: PlaceOf | None,
    *,
    as_json: bool,
    tells_change: bool = False,
) -> None:
    if as_json:
        print_json(answer)
    else:
        print_changes(answer, place_of)
        print(summary_of(answer))
    sys.exit(Exit.NO if tells_change and answer["changes"] else Exit.OK)


def signing_key(target: PolicyTargetOptions, *, as_json: bool) -> None:
    """Prints the public key of the policies that followers get."""
    with exit_on_failure(as_json=as_json), connect(target) as client:
        answer = call(client, "GetSigningKey", {}, "")
    if as_json:
        print_json(answer)
    else:
        print(answer["public_key"])
    sys.exit(Exit.OK)
