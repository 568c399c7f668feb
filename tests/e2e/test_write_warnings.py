"""Warnings in the answers of writes, over HTTP, gRPC and on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import (
    dlp_rule_pb2,
    dlp_rule_pb2_grpc,
    policy_pack_pb2,
    policy_pack_pb2_grpc,
    static_policy_pb2,
    static_policy_pb2_grpc,
)
from pdp.cli.exit_codes import Exit
from pdp.transport.write_warnings import MAX_HEADER_LENGTH
from tests.support.policy_files import export, policies_of
from tests.support.rest.dlp import PROJECT, RULE, RULES, rule
from tests.support.rest.packs import PACKS, check_error, created_json, ok_json

if TYPE_CHECKING:
    from pathlib import Path

    import grpc
    import httpx2

    from tests.support.servers import Server

POLICIES: Final = "/api/v1/static-policies"
HEADER: Final = "X-PDP-Warnings"
CODE: Final = "PATTERN_MATCHES_NEARLY_EVERYTHING"
BROAD: Final = r"[a-z]+"
NARROW: Final = r"\bproject-[a-z]+\b"
TIMEOUT_S: Final = 30.0


def policy(**fields: Any) -> dict[str, Any]:
    return {"name": "Words", "category": "custom", "pattern": BROAD, "action": "log", **fields}


def check(body: Any, *fields: str) -> None:
    """Checks the warnings of a body."""
    warnings = [each for each in body["warnings"] if each["code"] != "PACK_IN_NO_CHAIN"]
    assert [each["field"] for each in warnings] == [*fields]
    for each in warnings:
        assert list(each) == ["field", "code", "message", "suggestions"]
        assert (each["code"], each["suggestions"]) == (CODE, [])
        assert "nearly everywhere" in each["message"]


def pack_rule(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "conditions": {"content_regex": pattern}, "action": {"type": "ALLOW"}}


class TestHttp:
    def test_a_warning_stands_beside_the_policy(self, client: httpx2.Client) -> None:
        answer = client.post(POLICIES, json=policy())
        body = created_json(answer)
        assert list(body) == ["success", "policy", "warnings"]
        check(body, "pattern")
        assert HEADER not in answer.headers

    def test_without_a_warning_the_answer_is_as_before(self, client: httpx2.Client) -> None:
        answer = client.post(POLICIES, json=policy(pattern=NARROW))
        assert list(created_json(answer)) == ["success", "policy"]
        assert HEADER not in answer.headers
        assert list(rule(client)) == RULE

    def test_a_body_that_is_the_policy_has_it_as_a_member(self, client: httpx2.Client) -> None:
        created = rule(client, config_json={"pattern": BROAD})
        assert list(created) == [*RULE, "warnings"]
        check(created, "config_json.pattern")

    def test_reads_have_none(self, client: httpx2.Client) -> None:
        created = rule(client, config_json={"pattern": BROAD})
        for path in (f"{RULES}/{created['id']}", f"{RULES}/", f"{RULES}/export"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "warnings" not in answer.text
            assert HEADER not in answer.headers

    @pytest.mark.parametrize("warnings", [None, [], "x", [{"field": 1}]], ids=str)
    def test_they_are_ignored_if_they_are_sent_back(
        self, client: httpx2.Client, warnings: object
    ) -> None:
        created = rule(client, config_json={"pattern": BROAD})
        sent = {name: created[name] for name in PROJECT} | {"warnings": warnings}
        path = f"{RULES}/{created['id']}"
        assert ok_json(client.put(path, json=sent)) == created
        narrowed = client.put(path, json={**sent, "config_json": {"pattern": NARROW}})
        assert "warnings" not in ok_json(narrowed)

    def test_an_import_ignores_them_too(self, client: httpx2.Client) -> None:
        created = rule(client, config_json={"pattern": BROAD})
        imported = ok_json(
            client.post(f"{RULES}/import", json=[created], params={"mode": "rename"})
        )
        assert (imported["created"], imported["errors"]) == (1, [])
        check(imported, "rules[0].config_json.pattern")

    def test_other_unknown_fields_are_refused(self, client: httpx2.Client) -> None:
        answer = client.post(POLICIES, json=policy(warning=[]))
        check_error(answer, 400, "INVALID_ARGUMENT", "warning")
        answer = client.post("/v1/decide", json={"warnings": []})
        check_error(answer, 400, "INVALID_ARGUMENT", "warnings")

    def test_an_array_has_them_in_a_header(self, client: httpx2.Client) -> None:
        rules = [pack_rule("narrow", NARROW), pack_rule("broad", BROAD)]
        pack = created_json(client.post(PACKS, json={"name": "Pack", "rules": rules}))
        check(pack, "rules[1].conditions.content_regex")
        path = f"{PACKS}/{pack['id']}/rules"
        order = [(each["id"], 9 - each["sequence"]) for each in ok_json(client.get(f"{path}/"))]
        entries = [{"id": rule_id, "sequence": sequence} for rule_id, sequence in order]
        answer = client.post(f"{path}/reorder", json={"entries": entries})
        assert [each["name"] for each in ok_json(answer)] == ["broad", "narrow"]
        warnings = json.loads(answer.headers[HEADER])
        assert {tuple(each) for each in warnings} == {("field", "code", "message", "suggestions")}
        assert {each["code"] for each in warnings} == {CODE, "PACK_IN_NO_CHAIN"}
        assert len(answer.headers[HEADER]) <= MAX_HEADER_LENGTH

    def test_the_bound_is_an_error_that_says_what_to_do(self, client: httpx2.Client) -> None:
        documents = [
            {**PROJECT, "detector_name": f"Rule {number}", "config_json": {"pattern": BROAD}}
            for number in range(101)
        ]
        answer = client.post(f"{RULES}/import", json=documents)
        text = check_error(answer, 400, "INVALID_ARGUMENT", "rules[100].config_json.pattern")
        assert "at most 100 patterns" in text
        assert "narrow the pattern" in text
        imported = ok_json(client.post(f"{RULES}/import", json=documents[:100]))
        assert (imported["created"], len(imported["warnings"])) == (100, 100)
        check_error(client.post(POLICIES, json=policy()), 400, "INVALID_ARGUMENT", "pattern")


class TestDryRuns:
    def test_a_pattern(self, client: httpx2.Client) -> None:
        body = {"pattern": BROAD, "test_inputs": ["a"]}
        check(ok_json(client.post(f"{POLICIES}/test", json=body)), "pattern")
        narrow = ok_json(client.post(f"{POLICIES}/test", json={**body, "pattern": NARROW}))
        assert "warnings" not in narrow

    def test_a_dlp_rule(self, client: httpx2.Client) -> None:
        body = {"rule_type": "regex", "pattern": BROAD, "sample_text": "a"}
        check(ok_json(client.post(f"{RULES}/test", json=body)), "pattern")
        for changes in ({"pattern": NARROW}, {"pattern": "("}, {"rule_type": "ner"}):
            answer = ok_json(client.post(f"{RULES}/test", json={**body, **changes}))
            assert "warnings" not in answer

    def test_an_overlay(self, client: httpx2.Client) -> None:
        overlay = {
            "static_policies": [policy(pattern=NARROW), policy(name="Broad")],
            "dlp_rules": [{**PROJECT, "config_json": {"pattern": BROAD}}],
            "packs": [{"name": "Pack", "rules": [pack_rule("broad", BROAD)]}],
            "customer_policy": {
                "customer_id": "c",
                "policies": {"blocked_action_patterns": ["*:*:delete"]},
            },
        }
        paths = [
            "overlay.static_policies[1].pattern",
            "overlay.packs[0].rules[0].conditions.content_regex",
            "overlay.dlp_rules[0].config_json.pattern",
        ]
        for path, body in (
            ("/v1/simulate", {"request": {"content": {"text": "x"}}}),
            ("/api/admin/policy/simulate", {"prompt": "x"}),
        ):
            check(ok_json(client.post(path, json={**body, "overlay": overlay})), *paths)
            assert "warnings" not in ok_json(client.post(path, json=body))


class TestGrpc:
    def test_a_response_has_the_field(self, channel: grpc.Channel, tenant: str) -> None:
        metadata = (("x-tenant-id", tenant),)
        stub: Any = static_policy_pb2_grpc.StaticPolicyServiceStub(channel)
        request = static_policy_pb2.CreateStaticPolicyRequest(**policy())
        response, call = stub.CreateStaticPolicy.with_call(
            request, metadata=metadata, timeout=TIMEOUT_S
        )
        [warning] = response.warnings
        assert warning.field == "pattern"
        assert warning.code == 1
        assert HEADER.lower() not in dict(call.trailing_metadata())
        rules: Any = dlp_rule_pb2_grpc.DlpRuleServiceStub(channel)
        listed = rules.ListDlpRules(
            dlp_rule_pb2.ListDlpRulesRequest(), metadata=metadata, timeout=TIMEOUT_S
        )
        assert "warnings" not in listed.DESCRIPTOR.fields_by_name

    def test_an_array_has_them_in_trailing_metadata(
        self, channel: grpc.Channel, client: httpx2.Client, tenant: str
    ) -> None:
        rules = [pack_rule("broad", BROAD), pack_rule("narrow", NARROW)]
        pack = created_json(client.post(PACKS, json={"name": "Pack", "rules": rules}))
        listed = ok_json(client.get(f"{PACKS}/{pack['id']}/rules/"))
        stub: Any = policy_pack_pb2_grpc.PolicyPackServiceStub(channel)
        request = policy_pack_pb2.ReorderPolicyRulesRequest(pack_id=pack["id"])
        for each in listed:
            request.entries.add(id=each["id"], sequence=9 - each["sequence"])
        _, call = stub.ReorderPolicyRules.with_call(
            request, metadata=(("x-tenant-id", tenant),), timeout=TIMEOUT_S
        )
        warnings = json.loads(dict(call.trailing_metadata())[HEADER.lower()])
        fields = [each["field"] for each in warnings if each["code"] == CODE]
        assert len(fields) == 1
        assert fields[0].endswith(".conditions.content_regex")


def test_pdp_policies_import_shows_them(
    server: Server, client: httpx2.Client, tenant: str, tmp_path: Path
) -> None:
    run = policies_of(server)
    created_json(client.post(POLICIES, json=policy(pattern=NARROW)))
    file = export(run, tmp_path, tenant)
    quiet = run("import", str(file), "--dry-run", "--json")
    assert "warnings" not in json.loads(quiet.stdout)
    lines = file.read_text().splitlines()
    broad = [f"      pattern: '{BROAD}'" if "pattern:" in line else line for line in lines]
    file.write_text("\n".join(broad))
    field = "policies.static_policies[0].pattern"
    number = 1 + next(place for place, line in enumerate(broad) if "pattern:" in line)
    for flags in (["--dry-run"], []):
        shown = run("import", str(file), *flags)
        assert shown.returncode == Exit.OK, shown.stderr
        place = f"{file}:{number}: {field}"
        assert f"warning: {place}: matches nearly everywhere" in shown.stderr
    other_tenant = run("import", str(file), "--tenant", f"{tenant}-copy", "--json")
    check(json.loads(other_tenant.stdout), field)
