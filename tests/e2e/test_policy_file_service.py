"""PolicyFileService over REST and gRPC: export, import, rollback, and who may call them."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import policy_file_pb2 as pb
from pdp.cli.exit_codes import Exit
from pdp.jsonpb.structs import struct_object
from tests.support.approvals import escalation
from tests.support.authenticated_servers import authenticated_server
from tests.support.servers import run_pdp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx2

    from pdp.client.remote import RemoteClient
    from tests.support.servers import Server

FILE: Final = "/v1/policy-file"
IMPORT: Final = f"{FILE}/import"
ROLLBACK: Final = f"{FILE}/rollback"

RIVALS: Final = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}
PACK: Final = {
    "name": "Words",
    "rules": [
        {"name": "Stop", "conditions": {"content_regex": "stop"}, "action": {"type": "BLOCK"}}
    ],
}


@pytest.fixture
def http(server: Server, tenant: str) -> Iterator[httpx2.Client]:
    """A client of the shared server for a new tenant."""
    with server.client(tenant) as client:
        yield client


def imported(http: httpx2.Client, policies: dict[str, Any], **options: Any) -> Any:
    """Imports policies; returns the answer."""
    answer = http.post(IMPORT, json={"policies": policies, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def exported(http: httpx2.Client, revision: int = 0) -> Any:
    """Returns the tenant's policies."""
    answer = http.get(FILE, params={"revision": revision} if revision else None)
    assert answer.status_code == 200, answer.text
    return answer.json()["policies"]


def test_an_import_is_in_force_and_exported(http: httpx2.Client, tenant: str) -> None:
    policies = {"static_policies": [RIVALS], "packs": [PACK], "chain": {"packs": ["Words"]}}
    answer = imported(http, policies)
    assert (answer["tenant"], answer["dry_run"]) == (tenant, False)
    assert [(each["change"], each["section"], each["name"]) for each in answer["changes"]] == [
        ("added", "static_policies", "No rivals"),
        ("added", "packs", "Words"),
        ("added", "chain", ""),
    ]
    assert exported(http) == policies
    for text in ("a rival", "please stop"):
        body = {"content": {"text": text}, "min_revision": answer["revision"]}
        assert http.post("/v1/decide", json=body).json()["outcome"] == "BLOCK"


def test_an_import_twice_changes_nothing(http: httpx2.Client) -> None:
    """Not even the revision."""
    policies = {"static_policies": [RIVALS], "packs": [PACK], "chain": {"packs": ["Words"]}}
    first = imported(http, policies)
    second = imported(http, policies)
    assert (second["changes"], second["revision"]) == ([], first["revision"])


def test_a_dry_run_writes_nothing(http: httpx2.Client) -> None:
    answer = imported(http, {"static_policies": [RIVALS]}, dry_run=True)
    assert [each["change"] for each in answer["changes"]] == ["added"]
    assert exported(http) == {}


def test_a_change_has_the_fields_that_differ(http: httpx2.Client) -> None:
    imported(http, {"static_policies": [RIVALS]})
    answer = imported(http, {"static_policies": [{**RIVALS, "action": "warn", "message": "No."}]})
    assert answer["changes"] == [
        {
            "change": "changed",
            "section": "static_policies",
            "name": "No rivals",
            "fields": [
                {"field": "action", "before": "block", "after": "warn"},
                {"field": "message", "before": None, "after": "No."},
            ],
        }
    ]


@pytest.mark.parametrize(("mode", "names"), [("merge", ["No rivals", "B"]), ("replace", ["B"])])
def test_only_replace_removes_policies(http: httpx2.Client, mode: str, names: list[str]) -> None:
    """It removes those of the sections that the document has; others stay."""
    imported(http, {"static_policies": [RIVALS], "packs": [PACK]})
    imported(http, {"static_policies": [{**RIVALS, "name": "B"}]}, mode=mode)
    policies = exported(http)
    assert [each["name"] for each in policies["static_policies"]] == names
    assert [each["name"] for each in policies["packs"]] == ["Words"]


def test_an_import_is_one_transaction(http: httpx2.Client) -> None:
    """If one policy is refused, none is written; the error has the path of each fault."""
    body = {"policies": {"static_policies": [RIVALS, {**RIVALS, "name": "B", "action": "stop"}]}}
    refusal = http.post(IMPORT, json=body)
    assert refusal.status_code == 400
    fields = [each["field"] for each in refusal.json()["error"]["details"]]
    assert fields == ["policies.static_policies[1].action"]
    assert exported(http) == {}


def test_warnings_have_the_paths_of_the_document(http: httpx2.Client) -> None:
    answer = imported(http, {"static_policies": [RIVALS, {**RIVALS, "name": "B", "pattern": "."}]})
    assert answer["warnings"][0]["field"] == "policies.static_policies[1].pattern"
    dry = imported(
        http, {"static_policies": [{**RIVALS, "name": "C", "pattern": "."}]}, dry_run=True
    )
    assert dry["warnings"][0]["field"] == "policies.static_policies[0].pattern"


def test_a_rollback_is_a_change(http: httpx2.Client) -> None:
    before = imported(http, {"static_policies": [RIVALS]})["revision"]
    imported(http, {"static_policies": []}, mode="replace")
    dry = http.post(ROLLBACK, json={"revision": before, "dry_run": True}).json()
    assert [each["change"] for each in dry["changes"]] == ["added"]
    assert exported(http) == {}
    assert exported(http, before) == {"static_policies": [RIVALS]}
    done = http.post(ROLLBACK, json={"revision": before}).json()
    assert (done["changes"], exported(http)) == (dry["changes"], {"static_policies": [RIVALS]})
    assert http.post(ROLLBACK, json={"revision": 10**12}).status_code == 400


def test_the_previous_revision_undoes_an_import(http: httpx2.Client) -> None:
    """Even the first one: its previous revision is that of a tenant without policies."""
    first = imported(http, {"static_policies": [RIVALS]})
    second = imported(http, {"static_policies": [{**RIVALS, "action": "warn"}]})
    assert second["previous_revision"] == first["revision"]
    done = http.post(ROLLBACK, json={"revision": second["previous_revision"]}).json()
    assert exported(http) == {"static_policies": [RIVALS]}
    assert done["previous_revision"] == second["revision"]
    http.post(ROLLBACK, json={"revision": first["previous_revision"]}).raise_for_status()
    assert exported(http) == {}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("call", ["import", "rollback"])
def test_a_draft_of_an_older_revision_is_refused(
    http: httpx2.Client, call: str, dry_run: bool
) -> None:
    """Nothing is written, and the error names the revision that the author does not know."""
    base = imported(http, {"static_policies": [RIVALS]})["revision"]
    newer = imported(http, {"packs": [PACK]})["revision"]
    more = {"policies": {"packs": []}, "mode": "replace"} if call == "import" else {"revision": 0}
    before = exported(http)
    body = {**more, "base_revision": base, "dry_run": dry_run}
    answer = http.post(f"{FILE}/{call}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "PRECONDITION_FAILED")
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"] == "base_revision"
    assert f"revision {newer}" in detail["reason"]
    assert exported(http) == before
    answer = http.post(f"{FILE}/{call}", json={**body, "base_revision": newer})
    assert answer.status_code == 200, answer.text


def test_a_policy_that_was_deleted_is_a_change_too(http: httpx2.Client) -> None:
    base = imported(http, {"static_policies": [RIVALS]})["revision"]
    imported(http, {"static_policies": []}, mode="replace")
    body = {"policies": {"packs": [PACK]}, "base_revision": base}
    assert http.post(IMPORT, json=body).status_code == 412


def test_changes_of_other_tenants_are_none_of_this_one(
    http: httpx2.Client, server: Server, tenant: str
) -> None:
    base = http.get(FILE).json()["revision"]
    with server.client(f"{tenant}-other") as other:
        imported(other, {"static_policies": [RIVALS]})
    answer = imported(http, {"static_policies": [RIVALS]}, base_revision=base)
    assert [each["change"] for each in answer["changes"]] == ["added"]


def test_an_approval_after_the_base_is_no_change_of_policies(http: httpx2.Client) -> None:
    """Approvals are in the change log, too."""
    policies = {
        "packs": [{"name": "Holds", "rules": [escalation("wait")]}],
        "chain": {"packs": ["Holds"]},
    }
    base = imported(http, policies)["revision"]
    body = {"content": {"text": "wait"}, "subject": {"user_id": "u"}, "min_revision": base}
    assert http.post("/v1/decide", json=body).json()["outcome"] == "ESCALATE"
    assert http.get(FILE).json()["revision"] > base
    imported(http, {"static_policies": [RIVALS]}, base_revision=base)


URL: Final = "https://hooks.slack.com/services/T/B/secret"


def alerts(url: str) -> dict[str, Any]:
    """Returns an org policy with an alert rule."""
    return {"alert_rules": [{"name": "Critical risk", "notify": {"slack_webhook_url": url}}]}


def test_no_secret_leaves_the_server(http: httpx2.Client) -> None:
    """An export has a reference, with which the same tenant keeps the value."""
    imported(http, {"org_policy": alerts(URL)})
    text = http.get(FILE).text
    assert "secret" not in text
    reference = "${ALERT_CRITICAL_RISK_WEBHOOK}"
    assert exported(http) == {"org_policy": alerts(reference)}
    assert imported(http, exported(http), mode="replace")["changes"] == []
    assert http.get("/v1/org/policy").json()["alert_rules"][0]["notify"]["slack_webhook_url"] == URL
    changed = http.post(IMPORT, json={"policies": {"org_policy": alerts(URL + "2")}})
    assert "secret" not in changed.text
    assert len(changed.json()["changes"]) == 1
    refusal = http.post(IMPORT, json={"policies": {"org_policy": alerts("${HOME}")}})
    assert "${HOME} is not set" in refusal.json()["error"]["message"]


def test_grpc_has_the_same(remote: RemoteClient, tenant: str) -> None:
    message = pb.ImportPolicyFileRequest()
    message.policies.update({"static_policies": [RIVALS]})
    answer: Any = remote.call("ImportPolicyFile", message, tenant).message
    assert [(each.change, each.name) for each in answer.changes] == [("added", "No rivals")]
    export: Any = remote.call("ExportPolicyFile", pb.ExportPolicyFileRequest(), tenant).message
    assert struct_object(export.policies) == {"static_policies": [RIVALS]}
    assert export.revision == answer.revision


@pytest.fixture(scope="module")
def as_role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., httpx2.Client]]:
    """Returns a function that makes clients with a role, each with a key of its own."""
    with authenticated_server(tmp_path_factory.mktemp("roles")) as authenticated:
        names = count()

        def client(role: str) -> httpx2.Client:
            key = authenticated.new_key(role, "acme", name=f"{role} {next(names)}")["key"]
            return authenticated.server.client(**{"X-API-Key": key})

        yield client


class TestRoles:
    """Who may call the service."""

    @pytest.mark.parametrize(
        ("role", "statuses"),
        [
            ("pep", (403, 403, 403)),
            ("auditor", (200, 403, 403)),
            ("editor", (200, 200, 200)),
            ("admin", (200, 200, 200)),
        ],
    )
    def test_roles(
        self,
        as_role: Callable[[str], httpx2.Client],
        role: str,
        statuses: tuple[int, int, int],
    ) -> None:
        with as_role(role) as http:
            assert http.get(FILE).status_code == statuses[0]
            body: dict[str, Any] = {"policies": {"static_policies": [RIVALS]}, "dry_run": True}
            assert http.post(IMPORT, json=body).status_code == statuses[1]
            rollback = {"revision": 0, "dry_run": True}
            assert http.post(ROLLBACK, json=rollback).status_code == statuses[2]

    EXCEPTION: Final = {
        "name": "Rivals for ann",
        "reason": "r",
        "ticket": "T-1",
        "users": ["ann"],
        "families": ["sql"],
        "valid_until": "2099-01-01T00:00:00Z",
    }

    @pytest.mark.parametrize(
        "policies", [{"tenant_settings": {"unknown_model": "block"}}, {"exceptions": [EXCEPTION]}]
    )
    def test_only_admins_change_settings_and_exceptions(
        self, as_role: Callable[[str], httpx2.Client], policies: dict[str, Any]
    ) -> None:
        for role, status in (("editor", 403), ("admin", 200)):
            with as_role(role) as http:
                body = {"policies": policies, "dry_run": True}
                assert http.post(IMPORT, json=body).status_code == status

    def test_an_import_does_not_replace_the_approval_of_another_person(
        self, as_role: Callable[[str], httpx2.Client]
    ) -> None:
        """Neither does a rollback. An exception that stays the same keeps its approval."""
        with as_role("admin") as http, as_role("admin") as other:
            settings = {"tenant_settings": {"exceptions_need_approval": True}}
            imported(http, settings)
            before = imported(http, {"exceptions": [self.EXCEPTION]})["revision"]
            (exception,) = http.get("/v1/exceptions").json()
            assert exception["state"] == "proposed"
            path = f"/v1/exceptions/{exception['id']}/approve"
            assert other.post(path, json={}).status_code == 200
            imported(http, exported(http), mode="replace")
            assert http.get("/v1/exceptions").json()[0]["state"] == "approved"
            changed = {**self.EXCEPTION, "users": ["ann", "bob"]}
            imported(http, {"exceptions": [changed]})
            assert http.get("/v1/exceptions").json()[0]["state"] == "proposed"
            imported(http, {"exceptions": []}, mode="replace")
            assert http.post(ROLLBACK, json={"revision": before}).status_code == 200
            assert http.get("/v1/exceptions").json()[0]["state"] == "proposed"
            imported(http, {"tenant_settings": [], "exceptions": []}, mode="replace")

    def test_an_exception_needs_an_end(self, as_role: Callable[[str], httpx2.Client]) -> None:
        """As over its own API, for a credential of one tenant."""
        permanent = {name: self.EXCEPTION[name] for name in self.EXCEPTION if name != "valid_until"}
        with as_role("admin") as http:
            refusal = http.post(IMPORT, json={"policies": {"exceptions": [permanent]}})
            assert refusal.json()["error"]["details"][0]["field"] == (
                "policies.exceptions[0].valid_until"
            )


def test_the_commands_work_on_a_server(server: Server, tenant: str, tmp_path: Path) -> None:
    """They do the same as on a database."""

    def run(*arguments: str) -> Any:
        return run_pdp("policies", *arguments, "--server", server.grpc_address)

    file = tmp_path / "policies.yaml"
    file.write_text(json.dumps({"tenant": tenant, "policies": {"static_policies": [RIVALS]}}))
    assert run("diff", str(file)).returncode == Exit.NO
    done = run("import", str(file), "--json")
    assert done.returncode == Exit.OK, done.stderr
    revision = json.loads(done.stdout)["revision"]
    assert run("diff", str(file)).returncode == Exit.OK
    shown = run("export", "-", "--tenant", tenant)
    assert "- name: No rivals" in shown.stdout
    file.write_text(f"tenant: {tenant}\npolicies: {{static_policies: []}}\n")
    assert run("import", str(file)).returncode == Exit.OK
    back = run("rollback", "--tenant", tenant, "--to", str(revision))
    assert back.stdout.startswith("+ static_policies: No rivals\n")
