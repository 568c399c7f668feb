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
    "unknown": ({"colour": "red"}, "colour: is unknown"),
    "id": ({"id": "pol_other"}, "differs from the policy's key"),
    "time": ({"created_at": 1.0}, "created_at: is unknown"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_partly_invalid_file_imports_nothing(
    tmp_path: Path, run: Run, whole: tuple[Tenant, Path], fault: str
) -> None:
    """One invalid policy makes the import fail; the message names the policy and the fault."""
    tenant, exported = whole
    document = yaml.safe_load(exported.read_text())
    [(policy_id, policy)] = document["policies"]["static_policy"].items()
    change, message = FAULTS[fault]
    good = {**policy, "id": "pol_good", "name": "Good", "pattern": "goodword"}
    document["policies"]["static_policy"] = {"pol_good": good, policy_id: {**policy, **change}}
    file = tmp_path / "policies.yaml"
    file.write_text(yaml.safe_dump(document))
    refusal = run("import", str(file))
    assert refusal.returncode == Exit.INVALID, refusal.stderr
    assert message in refusal.stderr
    assert tenant.names() == ["No rivals"]
    assert tenant.decide("goodword")["outcome"] == "ALLOW"
    assert tenant.decide()["outcome"] == "BLOCK"


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
def test_policies_of_every_kind_are_validated(
    tmp_path: Path, run: Run, whole: tuple[Tenant, Path], kind: str, change: dict[str, Any]
) -> None:
    """An import accepts only values that the API accepts."""
    tenant, exported = whole
    revision = tenant.decide()["revision"]
    document = yaml.safe_load(exported.read_text())
    for body in document["policies"][kind].values():
        body.update(change)
    file = tmp_path / "policies.yaml"
    file.write_text(yaml.safe_dump(document))
    refusal = run("import", str(file))
    assert refusal.returncode == Exit.INVALID, refusal.stderr
    assert "Traceback" not in refusal.stderr
    assert tenant.decide()["revision"] == revision


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_malformed_files_are_refused(tmp_path: Path, run: Run, text: str, message: str) -> None:
    """A file that is not a policy file is refused, with the reason."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    refusal = run("import", str(file))
    assert refusal.returncode == Exit.INVALID, refusal.stderr
    assert message in refusal.stderr
