"""`pdp policies import` refuses invalid files, and then changes no policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from pdp.cli.exit_codes import Exit
from tests.support.faults import Tenant
from tests.support.policy_files import export, fill, policies_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.policy_files import Run
    from tests.support.servers import Server


@pytest.fixture(scope="module")
def run(server: Server) -> Run:
    """Runs `pdp policies` on the shared server's database."""
    return policies_of(server)


@pytest.fixture(scope="module")
def whole(
    server: Server, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tenant, Path]:
    """A tenant with policies of every kind, and its export. No test changes the tenant."""
    folder = tmp_path_factory.mktemp("whole")
    tenant = Tenant(server.http_url, f"tenant-{folder.parent.name}-{folder.name}")
    fill(tenant)
    return tenant, export(run, folder, tenant.name)


FAULTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "pattern": ({"pattern": "(?=look)"}, "look-around"),
    "bound": ({"pattern": "x" * 1001}, "1000"),
    "enum": ({"action": "explode"}, "must be one of"),
    "type": ({"enabled": "yes"}, "enabled"),
    "unknown": ({"colour": "red"}, "colour: unknown field"),
    "id": ({"id": "pol_other"}, "id: unknown field"),
    "time": ({"created_at": 1.0}, "created_at: unknown field"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_partly_invalid_file_imports_nothing(
    tmp_path: Path, run: Run, whole: tuple[Tenant, Path], fault: str
) -> None:
    """One invalid policy makes the import fail; the message has the place and the fault."""
    tenant, exported = whole
    document = yaml.safe_load(exported.read_text())
    [policy] = document["policies"]["static_policies"]
    change, message = FAULTS[fault]
    good = {**policy, "name": "Good", "pattern": "goodword"}
    document["policies"] = {"static_policies": [good, {**policy, **change}]}
    file = tmp_path / "policies.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    refusal = run("import", str(file))
    assert refusal.returncode == Exit.INVALID, refusal.stderr
    assert message in refusal.stderr
    name = next(iter(change))
    line = 1 + file.read_text().splitlines().index(
        next(each for each in reversed(file.read_text().splitlines()) if f"{name}:" in each)
    )
    assert f"{file}:{line}: policies.static_policies[1].{name}: " in refusal.stderr
    assert tenant.names() == ["No rivals"]
    assert tenant.decide("goodword")["outcome"] == "ALLOW"
    assert tenant.decide()["outcome"] == "BLOCK"


RULE_ID: Final = "policies.dlp[0].config_json"


@pytest.mark.parametrize(
    "fault",
    [
        ("org_policy", {"logging_level": "loud"}, "org_policy[0].logging_level"),
        ("org_policy", {"blocking_rules": {"block_on": "never"}}, "block_on"),
        ("org_policy", {"alert_rules": [{"name": "A", "notify": {"slack_webhook_url":
         "${NOT_SET_ANYWHERE}"}}]}, "${NOT_SET_ANYWHERE} is not set"),
        ("tenant_settings", {"failure_mode": "ajar"}, "failure_mode"),
        ("customer_policies", {"customer_id": "c", "policies": {"blocked_actions": ["A:b:C"]}},
         "customer_policies[0].policies.blocked_actions[0]"),
        ("customer_policies", {"customer_id": "c", "policies": {"custom_rules":
         {"x": {"condition": "a =", "score_impact": 1}}}}, "custom_rules.x.condition"),
        ("packs", {"name": "P", "rules": [{"name": "R", "action": {"type": "BLOCK"},
         "conditions": {"content_regex": "(?=x)"}}]}, "packs[0].rules[0].conditions"),
        ("packs", {"name": "P", "rules": [{"name": n, "sequence": 1, "action": {"type": "ALLOW"}}
         for n in "AB"]}, "packs[0].rules[1].sequence: is in use"),
        ("packs", {"name": "P", "pack_type": "bundle"}, "pack_type: is not a field"),
        ("dlp", {"detector_name": "D", "detector_type": "regex", "entity_type": "E",
         "action_tier": "explode"}, "dlp[0].action_tier"),
        ("dlp", {"detector_name": "D", "detector_type": "regex", "entity_type": "E",
         "action_tier": "block", "config_json": {"pattern": "("}}, RULE_ID),
        ("dlp_settings", {"rule": "nowhere"}, 'there is no DLP rule "nowhere"'),
        ("dlp_settings", {"rule": "email", "entity_type": "X"}, "read-only"),
        ("overrides", {"policy_id": "sys_nothing", "action": "log"}, "no system policy"),
        ("compliance_bundles", {"name": "B", "rule_ids": ["email"]}, "tenant's own rules"),
        ("bundle_settings", {"bundle": "nowhere", "enabled": True}, 'no bundle "nowhere"'),
        ("bundle_settings", {"bundle": "pci_dss", "version": "0"}, "bundle_settings[0].version"),
        ("user_groups", {"name": "G", "dlp_rules": [{"rule_id": "email", "enabled": False}]},
         "stricter"),
        ("user_groups", {"name": "G", "bundle_ids": ["x"]}, "no compliance bundle"),
        ("user_groups", {"name": "G", "removed": True}, "only groups of the platform"),
        ("limits", {"scope": "planet", "subject_id": "x"}, "limits[0].scope"),
        ("limits", {"scope": "user", "subject_id": "x", "daily_cost_limit_usd": 0.0000001},
         "six decimals"),
        ("pack_settings", {"pack": "Nothing", "is_active": True}, "pack of the platform"),
        ("chain", {"packs": ["Nowhere"]}, 'there is no policy pack "Nowhere"'),
        ("user_chains", {"user_id": "u", "packs": [{"pack": "Words", "sequnce": 1}]}, "sequnce"),
        ("packs", {"name": "Others"}, 'uses pack "Words"'),
    ],
)  # fmt: skip
def test_policies_of_every_section_are_validated(
    tmp_path: Path, run: Run, whole: tuple[Tenant, Path], fault: tuple[str, Any, str]
) -> None:
    """An import accepts only values that the API accepts, and names the place of others."""
    section, entry, message = fault
    tenant, _ = whole
    revision = tenant.decide()["revision"]
    file = tmp_path / "policies.yaml"
    file.write_text(yaml.safe_dump({"tenant": tenant.name, "policies": {section: [entry]}}))
    refusal = run("import", str(file))
    assert refusal.returncode == Exit.INVALID, refusal.stderr
    assert message in refusal.stderr
    assert f"{file}:" in refusal.stderr
    assert "Traceback" not in refusal.stderr
    assert tenant.decide()["revision"] == revision


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "must be a mapping"),
        ("format: pdp-policies/1\ntenant: x\npolicies: {}", "format: must be pdp-policies/2"),
        ("tenant: '*'\npolicies: {}", "tenant"),
        ("tenant: x\npolicies: {api_keys: []}", "policies.api_keys: unknown key"),
        ("tenant: x\npolicies: {models: []}", "policies.models: unknown key"),
        ("tenant: x\npolicies: {static_policys: []}", "did you mean static_policies?"),
        ("tenant: x", "policies: is required"),
        ("tenant: x\nrevision: 3\npolicies: {}", "revision: is unknown"),
        ("a: &a [x]\nb: *a", "aliases"),
        ("{", "is not YAML"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, run: Run, text: str, message: str) -> None:
    """A file that is not a policy file is refused, with the reason."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    refusal = run("import", str(file))
    assert refusal.returncode == Exit.INVALID, refusal.stderr
    assert message in refusal.stderr


def test_two_policies_of_one_name_are_refused(tmp_path: Path, run: Run) -> None:
    """The message has the places of both."""
    file = tmp_path / "x.yaml"
    rule = "{name: A, category: custom, pattern: a, action: log}"
    file.write_text(f"tenant: x\npolicies:\n  static_policies:\n  - {rule}\n  - {rule}\n")
    refusal = run("import", str(file))
    assert refusal.returncode == Exit.INVALID
    reason = "policies.static_policies[1]: is the same policy as policies.static_policies[0]"
    assert f"{file}:5: {reason}" in refusal.stderr


def test_a_required_rule_cannot_be_switched_off(tmp_path: Path, run: Run) -> None:
    """As over the API: a bundle that is in force needs its rules."""
    file = tmp_path / "x.yaml"
    settings = "dlp_settings: [{rule: pci_dss/card, enabled: false}]"
    file.write_text(f"policies:\n  active_bundles: [{{bundle: pci_dss}}]\n  {settings}\n")
    refusal = run("import", str(file), "--tenant", f"required-{tmp_path.name}")
    assert refusal.returncode == Exit.INVALID
    assert "is required by bundle" in refusal.stderr
