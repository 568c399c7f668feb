"""`pdp policies`: a tenant's policies out into a file and back in, and back to what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pdp.cli.exits import Exit
from pdp.policy_files.state import KINDS
from tests.e2e.faults import POLICIES, RIVAL, Tenant
from tests.running import json_of, pdp

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.running import Server

RULE = {
    "name": "Stop",
    "conditions": {"content_regex": "stop-word"},
    "action": {"type": "BLOCK", "message": "Stop here."},
}


@pytest.fixture
def acting(server: Server, tenant: str) -> Tenant:
    """A tenant of the shared server."""
    return Tenant(server.http_url, tenant)


@pytest.fixture
def run(server: Server) -> Any:
    """Runs `pdp policies` on the shared server's database."""

    def policies(*arguments: str) -> subprocess.CompletedProcess[str]:
        return pdp("policies", *arguments, "--database-url", server.database_url)

    return policies


def fill(acting: Tenant) -> None:
    """Gives the tenant policies of every kind that there is."""
    assert acting.create("No rivals").status_code == 201
    with acting.client() as http:

        def send(method: str, path: str, body: Any = None) -> Any:
            answer = http.request(method, path, json=body)
            assert answer.status_code in {200, 201}, (path, answer.text)
            return answer.json()

        override = {"action": "warn", "reason": "tests"}
        send("POST", "/api/v1/static-policies/sys_sqli_union/override", override)
        send("PUT", "/v1/org/policy", {"logging_level": "full"})
        send("PUT", "/v1/tenant/settings", {"unknown_customer": "warn"})
        send("POST", "/policies/cust_1", {"blocked_actions": ["a:b:c"]})
        send(
            "POST",
            "/api/admin/limits/",
            {"scope": "user", "subject_id": "u1", "daily_request_limit": 9},
        )
        pack = send("POST", "/api/admin/policy-packs", {"name": "Words", "rules": [RULE]})
        bundles = send("GET", "/api/admin/policy-packs/bundles")
        toggled = {"is_active": not bundles[0]["is_active"]}
        send("PUT", f"/api/admin/policy-packs/{bundles[0]['id']}", toggled)
        entry = {"id": pack["id"], "sequence": 0}
        send("PUT", "/api/admin/policy-chains/org", {"packs": [entry]})
        send("PUT", "/api/admin/policy-chains/users/u1", {"packs": [entry]})
        rule = {
            "detector_name": "ticket",
            "detector_type": "regex",
            "entity_type": "TICKET",
            "action_tier": "redact",
            "config_json": {"pattern": "TCK-[0-9]+"},
        }
        send("POST", "/api/admin/dlp-rules", rule)
        shipped = send("GET", "/api/admin/dlp-rules")[0]
        send("PUT", f"/api/admin/dlp-rules/{shipped['id']}", {"action_tier": "log_only"})
        body = {"name": "Ours", "regulatory_framework": "INTERNAL"}
        send("POST", "/api/admin/compliance-bundles/", body)
        seeded = send("GET", "/api/admin/compliance-bundles/", None)
        activated = next(each for each in seeded if each["is_seeded"])
        send("POST", f"/api/admin/compliance-bundles/{activated['id']}/activate")
        send("POST", "/api/admin/user-groups/", {"name": "Auditors", "members": ["u1"]})


def export(run: Any, folder: Path, tenant: str, name: str = "policies.yaml", *flags: str) -> Path:
    """Exports a tenant's policies, and returns the file."""
    file = folder / name
    done = run("export", str(file), "--tenant", tenant, *flags)
    assert done.returncode == Exit.OK, done.stderr
    return file


def policies_in(file: Path) -> Any:
    """Returns what a file says."""
    return yaml.safe_load(file.read_text())["policies"]


def test_every_kind_there_and_back(tmp_path: Path, run: Any, acting: Tenant) -> None:
    """What is exported from one tenant and imported into another decides there as it did."""
    fill(acting)
    file = export(run, tmp_path, acting.name)
    assert sorted(policies_in(file)) == sorted(KINDS)
    other = Tenant(acting.url, f"{acting.name}-copy")
    done = json_of(run("import", str(file), "--tenant", other.name, "--json"))
    assert {step["op"] for step in done["steps"]} == {"create"}
    for text in (RIVAL, "a stop-word", "TCK-4711", "hello"):
        asked = {"text": text, "min_revision": done["revision"]}
        mine, theirs = (each.decide(**asked) for each in (acting, other))
        assert mine["outcome"] == theirs["outcome"]
        assert mine.get("redacted_text") == theirs.get("redacted_text")
    assert other.decide("a stop-word")["outcome"] == "BLOCK"
    assert policies_in(export(run, tmp_path, other.name, "again.yaml")) == policies_in(file)
    again = json_of(run("import", str(file), "--tenant", other.name, "--json"))
    assert again["steps"] == []


def test_a_dry_run_shows_and_changes_nothing(tmp_path: Path, run: Any, acting: Tenant) -> None:
    """The difference is that of the files."""
    acting.create("No rivals")
    file = export(run, tmp_path, acting.name)
    file.write_text(file.read_text().replace("pattern: rival", "pattern: competitor"))
    shown = run("import", str(file), "--dry-run")
    assert shown.returncode == Exit.OK
    assert "-      pattern: rival\n" in shown.stdout
    assert "+      pattern: competitor\n" in shown.stdout
    assert acting.decide()["outcome"] == "BLOCK"
    assert policies_in(export(run, tmp_path, acting.name, "after.yaml")) != policies_in(file)


def test_what_the_file_does_not_name_is_deleted(tmp_path: Path, run: Any, acting: Tenant) -> None:
    """Of the kinds that it has; others are left alone, and names are free at once."""
    fill(acting)
    file = export(run, tmp_path, acting.name)
    document = yaml.safe_load(file.read_text())
    [(_, policy)] = document["policies"].pop("static_policy").items()
    renamed = {"pol_new": {**policy, "id": "pol_new", "pattern": "competitor"}}
    document["policies"] = {"static_policy": renamed}
    file.write_text(yaml.safe_dump(document))
    done = json_of(run("import", str(file), "--json"))
    assert [(step["op"], step["kind"]) for step in done["steps"]] == [
        ("delete", "static_policy"),
        ("create", "static_policy"),
    ]
    at = done["revision"]
    assert acting.decide("our competitor", min_revision=at)["outcome"] == "BLOCK"
    assert acting.decide(RIVAL)["outcome"] == "ALLOW"
    assert acting.decide("a stop-word")["outcome"] == "BLOCK"


FAULTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "pattern": ({"pattern": "(?=look)"}, "look-around"),
    "bound": ({"pattern": "x" * 1001}, "1000"),
    "enum": ({"action": "explode"}, "must be one of"),
    "type": ({"enabled": "yes"}, "enabled"),
    "unknown": ({"colour": "red"}, "colour: is not known"),
    "id": ({"id": "pol_other"}, "differs from the id"),
    "time": ({"created_at": 1.0}, "created_at: is not known"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_imported_by_halves(
    tmp_path: Path, run: Any, acting: Tenant, fault: str
) -> None:
    """One policy that cannot be used refuses the file, and says which and why."""
    acting.create("No rivals")
    file = export(run, tmp_path, acting.name)
    document = yaml.safe_load(file.read_text())
    [(policy_id, policy)] = document["policies"]["static_policy"].items()
    change, said = FAULTS[fault]
    good = {**policy, "id": "pol_good", "name": "Good", "pattern": "goodword"}
    document["policies"]["static_policy"] = {"pol_good": good, policy_id: {**policy, **change}}
    file.write_text(yaml.safe_dump(document))
    refused = run("import", str(file))
    assert refused.returncode == Exit.INVALID, refused.stderr
    assert said in refused.stderr
    assert acting.names() == ["No rivals"]
    assert acting.decide("goodword")["outcome"] == "ALLOW"
    assert acting.decide()["outcome"] == "BLOCK"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "must be a mapping"),
        ("format: pdp-policies/2\ntenant: x\npolicies: {}", "format"),
        ("format: pdp-policies/1\ntenant: '*'\npolicies: {}", "tenant"),
        ("format: pdp-policies/1\ntenant: x\npolicies: {api_key: {}}", "policies.api_key"),
        ("format: pdp-policies/1\ntenant: x\npolicies: {model_config: {}}", "model_config"),
        ("a: &a [x]\nb: *a", "aliases"),
        ("{", "is not YAML"),
        ("format: pdp-policies/1\ntenant: x\npolicies: {policy_chain: {org: {id: o, packs: "
         "[{id: e, pack_id: nowhere, sequence: 0}]}}}", "no pack nowhere"),
    ],
)  # fmt: skip
def test_files_that_are_none(tmp_path: Path, run: Any, text: str, said: str) -> None:
    """Each is refused, with its reason."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    refused = run("import", str(file))
    assert refused.returncode == Exit.INVALID, refused.stderr
    assert said in refused.stderr


def test_rollback(tmp_path: Path, run: Any, acting: Tenant) -> None:
    """All kinds become what they were; the rollback is a change of its own, and can be undone."""
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

    dry = json_of(
        run("rollback", "--tenant", acting.name, "--to", str(revision), "--dry-run", "--json")
    )
    done = json_of(run("rollback", "--tenant", acting.name, "--to", str(revision), "--json"))
    assert dry["steps"] == done["steps"] != []
    assert done["revision"] > later
    assert acting.decide(RIVAL, min_revision=done["revision"])["outcome"] == "BLOCK"
    assert acting.decide("a stop-word")["outcome"] == "BLOCK"
    assert acting.decide("our competitor")["outcome"] == "ALLOW"
    assert _sorted(export(run, tmp_path, acting.name, "after.yaml")) == _sorted(before)

    json_of(run("rollback", "--tenant", acting.name, "--to", str(later), "--json"))
    assert _sorted(export(run, tmp_path, acting.name, "undone.yaml")) == _sorted(changed)


def _sorted(file: Path) -> Any:
    # What was deleted and came back is the youngest of its kind now.
    return {kind: dict(sorted(each.items())) for kind, each in policies_in(file).items()}


def test_a_revision_that_is_not_there_yet(run: Any, acting: Tenant) -> None:
    """It is no wish for the latest."""
    refused = run("rollback", "--tenant", acting.name, "--to", "99999999")
    assert refused.returncode == Exit.INVALID
    assert "the last revision" in refused.stderr


def key_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Makes an Ed25519 key; returns the files of its private and its public half."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private.write_bytes(pem)
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_signatures(tmp_path: Path, run: Any, acting: Tenant) -> None:
    """A file that was signed is taken by its key alone, and not once it was changed."""
    acting.create("No rivals")
    private, public = key_files(tmp_path, "release")
    _, other = key_files(tmp_path, "other")
    file = export(run, tmp_path, acting.name, "signed.yaml", "--sign", str(private))
    assert run("import", str(file), "--verify", str(public)).returncode == Exit.OK
    assert run("import", str(file), "--verify", str(other)).returncode == Exit.INVALID
    assert run("import", str(file), "--verify", str(private)).returncode == Exit.CONFIG
    file.write_text(file.read_text().replace("rival", "river"))
    refused = run("import", str(file), "--verify", str(public))
    assert refused.returncode == Exit.INVALID
    assert acting.decide()["outcome"] == "BLOCK"
    (tmp_path / "signed.yaml.sig").unlink()
    assert run("import", str(file), "--verify", str(public)).returncode == Exit.CONFIG


def test_nothing_is_replaced_unasked(tmp_path: Path, run: Any, acting: Tenant) -> None:
    """An export does not overwrite a file that may have been edited."""
    file = export(run, tmp_path, acting.name)
    assert run("export", str(file), "--tenant", acting.name).returncode == Exit.USAGE
    export(run, tmp_path, acting.name, "policies.yaml", "--force")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("org_policy", {"logging_level": "loud"}),
        ("org_policy", {"block_on": "never"}),
        ("tenant_settings", {"failure_mode": "ajar"}),
        ("customer_policy", {"document": {"blocked_actions": ["Not:an:ACTION"]}}),
        ("customer_policy", {"document": {"custom_rules": {"x": {"condition": "a ="}}}}),
        ("policy_rule", {"conditions": {"content_regex": "(?=x)"}}),
        ("policy_rule", {"pack_id": "nowhere"}),
        ("policy_pack", {"rule_count": 7}),
        ("dlp_rule", {"action_tier": "explode"}),
        ("dlp_rule", {"config_json": {"pattern": "("}}),
        ("limit", {"scope": "planet"}),
    ],
)
def test_every_kind_is_held_to_its_bounds(
    tmp_path: Path, run: Any, acting: Tenant, kind: str, change: dict[str, Any]
) -> None:
    """What nobody could write through the API cannot be written by a file."""
    fill(acting)
    file = export(run, tmp_path, acting.name)
    document = yaml.safe_load(file.read_text())
    for body in document["policies"][kind].values():
        body.update(change)
    file.write_text(yaml.safe_dump(document))
    refused = run("import", str(file))
    assert refused.returncode == Exit.INVALID, refused.stderr
    assert "Traceback" not in refused.stderr
    assert run("import", str(export(run, tmp_path, acting.name, "after.yaml"))).stdout[:2] == "0 "
