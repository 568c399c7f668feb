"""`pdp policies`: export a tenant's policies to a file, import them, and roll them back."""

from __future__ import annotations

import json
import re
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
from pdp.policy_files.schema import FILE
from pdp.policy_files.shape import SECTIONS
from pdp.policy_files.text import write_text
from tests.support.faults import POLICIES, RIVAL, Tenant
from tests.support.json_schemas import schema_errors
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


SHORT_FORMS = {"upgraded_bundles", "active_bundles"}
"""Sections that an export writes as `bundle_settings`."""


def test_every_section_can_be_exported_and_imported(
    tmp_path: Path, run: Run, acting: Tenant
) -> None:
    """A tenant that imports the export of another tenant gets the same decisions."""
    fill(acting)
    file = export(run, tmp_path, acting.name)
    assert set(policies_in(file)) == SECTIONS.keys() - SHORT_FORMS
    other = Tenant(acting.url, f"{acting.name}-copy")
    done = json_output(run("import", str(file), "--tenant", other.name, "--json"))
    assert {each["change"] for each in done["changes"]} == {"added"}
    for text in (RIVAL, "a stop-word", "TCK-4711", "hello"):
        body = {"text": text, "min_revision": done["revision"]}
        mine, theirs = (each.decide(**body) for each in (acting, other))
        assert mine["outcome"] == theirs["outcome"]
        assert mine.get("redacted_text") == theirs.get("redacted_text")
    assert other.decide("a stop-word")["outcome"] == "BLOCK"
    assert policies_in(export(run, tmp_path, other.name, "again.yaml")) == policies_in(file)
    again = json_output(run("import", str(file), "--tenant", other.name, "--json"))
    assert (again["changes"], again["revision"]) == ([], done["revision"])


def test_an_export_has_no_ids_and_no_times(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """It names the schema for editors, and nothing that differs between two tenants."""
    fill(acting)
    text = export(run, tmp_path, acting.name).read_text()
    first, second, *_ = text.splitlines()
    assert first == "# yaml-language-server: $schema=pdp-policies.schema.json"
    assert second == f"tenant: {acting.name}"
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|pol_[0-9a-f]{16}|created_at|updated_at", text)
    assert schema_errors(yaml.safe_load(text), json.loads(FILE.read_text())) == []


def test_ids_are_the_same_in_every_tenant(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """Ids are derived from names, so records of two installations name the same policies."""
    file = tmp_path / "policies.yaml"
    file.write_text(
        write_text(
            {
                "static_policies": [
                    {
                        "name": "No rivals",
                        "category": "custom",
                        "pattern": "rival",
                        "action": "warn",
                    }
                ]
            }
        )
    )
    ids = []
    for name in (acting.name, f"{acting.name}-copy"):
        done = json_output(run("import", str(file), "--tenant", name, "--json"))
        tenant = Tenant(acting.url, name)
        decision = tenant.decide(RIVAL, min_revision=done["revision"])
        ids.append(decision["matches"][0]["policy_id"])
    assert ids[0] == ids[1]


def test_a_renamed_policy_keeps_its_id_and_its_name_can_be_used_again(
    tmp_path: Path, run: Run, acting: Tenant
) -> None:
    """An import never overwrites a policy that has another name."""
    rule = {"name": "A", "category": "custom", "pattern": "aaa", "action": "block"}
    file = tmp_path / "policies.yaml"
    file.write_text(write_text({"static_policies": [rule]}, acting.name))
    run("import", str(file))
    with acting.client() as http:
        (policy,) = http.get(POLICIES, params={"category": "custom"}).json()["policies"]
        assert http.put(f"{POLICIES}/{policy['id']}", json={"name": "B"}).status_code == 200
    done = json_output(run("import", str(file), "--merge", "--json"))
    assert [(each["change"], each["name"]) for each in done["changes"]] == [("added", "A")]
    with acting.client() as http:
        listed = http.get(POLICIES, params={"category": "custom"}).json()["policies"]
    assert {each["name"]: each["id"] for each in listed}["B"] == policy["id"]
    assert json_output(run("import", str(file), "--merge", "--json"))["changes"] == []


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
    """A dry run shows the fields that differ, and changes no policy. So does `diff`."""
    acting.create("No rivals")
    file = export(run, tmp_path, acting.name)
    assert run("diff", str(file)).returncode == Exit.OK
    file.write_text(file.read_text().replace("pattern: rival", "pattern: competitor"))
    shown = run("import", str(file), "--dry-run")
    assert shown.returncode == Exit.OK
    assert shown.stdout.splitlines() == [
        "~ static_policies: No rivals",
        '    pattern: "rival" -> "competitor"',
        f"1 policies of {acting.name} would change",
    ]
    assert acting.decide()["outcome"] == "BLOCK"
    assert policies_in(export(run, tmp_path, acting.name, "after.yaml")) != policies_in(file)
    difference = run("diff", str(file))
    assert (difference.returncode, difference.stdout) == (Exit.NO, shown.stdout)


def test_policies_that_the_file_lacks_are_deleted(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """An import deletes policies that the file does not name, if the file has their section.

    Other sections do not change. With --merge, nothing is deleted.
    """
    fill(acting)
    file = export(run, tmp_path, acting.name)
    document = yaml.safe_load(file.read_text())
    [policy] = document["policies"]["static_policies"]
    other = {**policy, "name": "No competitors", "pattern": "competitor"}
    document["policies"] = {"static_policies": [other]}
    file.write_text(yaml.safe_dump(document))
    merged = json_output(run("import", str(file), "--merge", "--dry-run", "--json"))
    assert [each["change"] for each in merged["changes"]] == ["added"]
    done = json_output(run("import", str(file), "--json"))
    assert [(each["change"], each["section"]) for each in done["changes"]] == [
        ("removed", "static_policies"),
        ("added", "static_policies"),
    ]
    at = done["revision"]
    assert acting.decide("our competitor", min_revision=at)["outcome"] == "BLOCK"
    assert acting.decide(RIVAL)["outcome"] == "ALLOW"
    assert acting.decide("a stop-word")["outcome"] == "BLOCK"


def test_a_rollback_restores_an_earlier_revision(tmp_path: Path, run: Run, acting: Tenant) -> None:
    """A rollback restores all kinds. It is a change, so another rollback can undo it."""
    fill(acting)
    before = export(run, tmp_path, acting.name, "before.yaml")
    revision = acting.decide()["revision"]
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
    later = int(acting.decide()["revision"])
    assert acting.decide(RIVAL, min_revision=later)["outcome"] == "ALLOW"

    dry = json_output(
        run("rollback", "--tenant", acting.name, "--to", str(revision), "--dry-run", "--json")
    )
    done = json_output(run("rollback", "--tenant", acting.name, "--to", str(revision), "--json"))
    assert dry["changes"] == done["changes"] != []
    assert done["revision"] > later
    assert acting.decide(RIVAL, min_revision=done["revision"])["outcome"] == "BLOCK"
    assert acting.decide("a stop-word")["outcome"] == "BLOCK"
    assert acting.decide("our competitor")["outcome"] == "ALLOW"
    assert _sorted(export(run, tmp_path, acting.name, "after.yaml")) == _sorted(before)

    json_output(run("rollback", "--tenant", acting.name, "--to", str(later), "--json"))
    assert _sorted(export(run, tmp_path, acting.name, "undone.yaml")) == _sorted(changed)


def _sorted(file: Path) -> Any:
    # A policy that was deleted and restored is now the newest of its section.
    return {
        key: sorted(each, key=json.dumps) if isinstance(each, list) else each
        for key, each in policies_in(file).items()
    }


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
