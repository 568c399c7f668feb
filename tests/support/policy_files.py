"""A tenant with policies of every kind, and `pdp policies` on a server's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from pdp.cli.exit_codes import Exit
from tests.support.servers import run_pdp

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.faults import Tenant
    from tests.support.servers import Server

    Run = Callable[..., subprocess.CompletedProcess[str]]

RULE = {
    "name": "Stop",
    "conditions": {"content_regex": "stop-word"},
    "action": {"type": "BLOCK", "message": "Stop here."},
}


def policies_of(server: Server) -> Run:
    """Returns a function that runs `pdp policies` on the server's database."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_pdp("policies", *arguments, "--database-url", server.database_url)

    return run


def fill(acting: Tenant) -> None:
    """Creates policies of every kind for the tenant."""
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
        exception = {
            "name": "Words for u1",
            "reason": "tests",
            "ticket": "T-1",
            "users": ["u1"],
            "rules": [send("GET", f"/api/admin/policy-packs/{pack['id']}")["rules"][0]["id"]],
            "valid_until": "2099-01-01T00:00:00Z",
        }
        send("POST", "/v1/exceptions", exception)


def export(run: Run, folder: Path, tenant: str, name: str = "policies.yaml", *flags: str) -> Path:
    """Exports a tenant's policies, and returns the file."""
    file = folder / name
    done = run("export", str(file), "--tenant", tenant, *flags)
    assert done.returncode == Exit.OK, done.stderr
    return file


def policies_in(file: Path) -> Any:
    """Returns the policies in a file."""
    return yaml.safe_load(file.read_text())["policies"]
