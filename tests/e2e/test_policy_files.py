"""`pdp policies`: export a tenant's policies to a file, import them, and roll them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pdp.cli.exit_codes import Exit
from pdp.policy_files.state import KINDS
from tests.support.faults import POLICIES, RIVAL, Tenant
from tests.support.policy_files import export, fill, policies_in, policies_of
from tests.support.servers import json_output

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.policy_files import Run
    from tests.support.servers import Server


@pytest.fixture
def acting(server: Server, tenant: str) -> Tenant:
    """A tenant on the shared server."""
    return Tenant(server.http_url, tenant)


@pytest.fixture
def run(server: Server) -> Run:
    """Runs `pdp policies` on the shared server's database."""
    return policies_of(server)


def test_every_kind_can_be_exported_and_imported(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """A tenant that imports the export of another tenant gets the same decisions."""
    fill(acting)
    file = export(run, tmp_path, acting.name)
    assert sorted(policies_in(file)) == sorted(KINDS)
    other = Tenant(acting.url, f"{acting.name}-copy")
    done = json_output(run("import", str(file), "--tenant", other.name, "--json"))
    assert {step["op"] for step in done["steps"]} == {"create"}
    for text in (RIVAL, "a stop-word", "TCK-4711", "hello"):
        body = {"text": text, "min_revision": done["revision"]}
        mine, theirs = (each.decide(**body) for each in (acting, other))
        assert mine["outcome"] == theirs["outcome"]
        assert mine.get("redacted_text") == theirs.get("redacted_text")
    assert other.decide("a stop-word")["outcome"] == "BLOCK"
    assert policies_in(export(run, tmp_path, other.name, "again.yaml")) == policies_in(file)
    again = json_output(run("import", str(file), "--tenant", other.name, "--json"))
    assert again["steps"] == []


SPECIAL = {
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "byte order mark": "\ufeff",
    "zero-width space": "\u200b",
    "right-to-left mark": "\u200f",
    "no-break space": "\xa0",
    "object replacement": "\ufffc",
    "beyond the first plane": "\U0001f512",
    "private use": "\ue000",
    "delete": "\x7f",
    "tab": "\t",
    "newline": "\n",
}


def test_every_character_survives_an_export_and_an_import(
    tmp_path: Path, run: Run, acting: Tenant
) -> None:
    """YAML has line breaks and indicators of its own, which must not change a policy."""
    names = {}
    for number, (kind, sign) in enumerate(SPECIAL.items()):
        for place, text in (("in", f"a{sign}b"), ("before", f"{sign}b"), ("after", f"a{sign}")):
            body = {"description": f"{kind}: {text}", "pattern": f"{text}{number}{place}"}
            names[f"{kind} {place}"] = (body["description"], body["pattern"])
            fixed = {"name": f"{kind} {place}", "category": "custom", "action": "block"}
            with acting.client() as http:
                created = http.post(POLICIES, json={**fixed, **body})
            assert created.status_code == 201, created.text
    file = export(run, tmp_path, acting.name)
    other = Tenant(acting.url, f"{acting.name}-copy")
    json_output(run("import", str(file), "--tenant", other.name, "--json"))
    for tenant in (acting, other):
        with tenant.client() as http:
            page = http.get(POLICIES, params={"category": "custom", "page_size": 100}).json()
        got = {each["name"]: (each["description"], each["pattern"]) for each in page["policies"]}
        assert got == names
    again = export(run, tmp_path, other.name, "again.yaml")
    assert policies_in(again) == policies_in(file)


def test_a_dry_run_shows_the_changes_and_makes_none(
    tmp_path: Path, run: Run, acting: Tenant
) -> None:
    """A dry run shows the difference between the two files, and changes no policy."""
    acting.create("No rivals")
    file = export(run, tmp_path, acting.name)
    file.write_text(file.read_text().replace("pattern: rival", "pattern: competitor"))
    shown = run("import", str(file), "--dry-run")
    assert shown.returncode == Exit.OK
    assert "-      pattern: rival\n" in shown.stdout
    assert "+      pattern: competitor\n" in shown.stdout
    assert acting.decide()["outcome"] == "BLOCK"
    assert policies_in(export(run, tmp_path, acting.name, "after.yaml")) != policies_in(file)


def test_policies_that_the_file_lacks_are_deleted(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """An import deletes policies that the file does not name, if the file has their kind.

    Other kinds do not change. The name of a deleted policy is available at once.
    """
    fill(acting)
    file = export(run, tmp_path, acting.name)
    document = yaml.safe_load(file.read_text())
    [(_, policy)] = document["policies"].pop("static_policy").items()
    renamed = {"pol_new": {**policy, "id": "pol_new", "pattern": "competitor"}}
    document["policies"] = {"static_policy": renamed}
    file.write_text(yaml.safe_dump(document))
    done = json_output(run("import", str(file), "--json"))
    assert [(step["op"], step["kind"]) for step in done["steps"]] == [
        ("delete", "static_policy"),
        ("create", "static_policy"),
    ]
    at = done["revision"]
    assert acting.decide("our competitor", min_revision=at)["outcome"] == "BLOCK"
    assert acting.decide(RIVAL)["outcome"] == "ALLOW"
    assert acting.decide("a stop-word")["outcome"] == "BLOCK"


def test_a_rollback_restores_an_earlier_revision(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """A rollback restores all kinds. It is a change, so another rollback can undo it."""
    fill(acting)
    before = export(run, tmp_path, acting.name, "before.yaml")
    revision = yaml.safe_load(before.read_text())["revision"]
    acting.create("No competitors", "competitor")
    with acting.client() as http:
        http.put("/v1/org/policy", json={"logging_level": "minimal"})
        http.put("/api/admin/policy-chains/org", json={"packs": []})
        [policy] = [
            each["id"]
            for each in http.get(POLICIES, params={"category": "custom"}).json()["policies"]
            if each["name"] == "No rivals"
        ]
        assert http.delete(f"{POLICIES}/{policy}").status_code in {200, 204}
    changed = export(run, tmp_path, acting.name, "changed.yaml")
    later = yaml.safe_load(changed.read_text())["revision"]
    assert acting.decide(RIVAL, min_revision=later)["outcome"] == "ALLOW"

    dry = json_output(
        run("rollback", "--tenant", acting.name, "--to", str(revision), "--dry-run", "--json")
    )
    done = json_output(run("rollback", "--tenant", acting.name, "--to", str(revision), "--json"))
    assert dry["steps"] == done["steps"] != []
    assert done["revision"] > later
    assert acting.decide(RIVAL, min_revision=done["revision"])["outcome"] == "BLOCK"
    assert acting.decide("a stop-word")["outcome"] == "BLOCK"
    assert acting.decide("our competitor")["outcome"] == "ALLOW"
    assert _sorted(export(run, tmp_path, acting.name, "after.yaml")) == _sorted(before)

    json_output(run("rollback", "--tenant", acting.name, "--to", str(later), "--json"))
    assert _sorted(export(run, tmp_path, acting.name, "undone.yaml")) == _sorted(changed)


def _sorted(file: Path) -> Any:
    # A policy that was deleted and restored is now the newest of its kind.
    return {kind: dict(sorted(each.items())) for kind, each in policies_in(file).items()}


def test_a_future_revision_is_refused(run: Run, acting: Tenant) -> None:
    """A future revision is an error; it does not mean the latest revision."""
    refusal = run("rollback", "--tenant", acting.name, "--to", "99999999")
    assert refusal.returncode == Exit.INVALID
    assert "the last revision" in refusal.stderr


def key_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Creates an Ed25519 key; returns the files of the private key and of the public key."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private.write_bytes(pem)
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_a_signature_is_verified(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """Verification fails if the key is wrong, the file was changed or the signature is missing."""
    acting.create("No rivals")
    private, public = key_files(tmp_path, "release")
    _, other = key_files(tmp_path, "other")
    file = export(run, tmp_path, acting.name, "signed.yaml", "--sign", str(private))
    assert run("import", str(file), "--verify", str(public)).returncode == Exit.OK
    assert run("import", str(file), "--verify", str(other)).returncode == Exit.INVALID
    assert run("import", str(file), "--verify", str(private)).returncode == Exit.CONFIG
    file.write_text(file.read_text().replace("rival", "river"))
    refusal = run("import", str(file), "--verify", str(public))
    assert refusal.returncode == Exit.INVALID
    assert acting.decide()["outcome"] == "BLOCK"
    (tmp_path / "signed.yaml.sig").unlink()
    assert run("import", str(file), "--verify", str(public)).returncode == Exit.CONFIG


def test_a_file_is_replaced_only_with_force(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """An export does not overwrite a file without `--force`: it may contain edits."""
    file = export(run, tmp_path, acting.name)
    assert run("export", str(file), "--tenant", acting.name).returncode == Exit.USAGE
    export(run, tmp_path, acting.name, "policies.yaml", "--force")
