"""Writes of compliance bundles over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.support.rest.compliance import (
    BUNDLE,
    BUNDLES,
    GROUPS,
    RULE,
    SEEDED,
    bundle,
    bundle_names,
    detail,
    dlp_rule,
    group,
    seeded,
)
from tests.support.rest.dlp import RULES
from tests.support.rest.packs import UNKNOWN_ID, check_error, created_json, ok_json

if TYPE_CHECKING:
    import httpx2


POSTED = {
    "name": "Internal Data Policy",
    "description": "Custom rules for internal data handling",
    "regulatory_framework": "INTERNAL",
    "enabled": True,
}


class TestCreation:
    def test_creates_a_custom_bundle(self, client: httpx2.Client) -> None:
        answer = client.post(f"{BUNDLES}/", json=POSTED)
        created = created_json(answer)
        assert list(created) == BUNDLE
        assert {name: created[name] for name in POSTED} == POSTED
        assert UUID(created["id"]).version == 4
        assert (created["is_seeded"], created["version"], created["rule_count"]) == (
            False,
            "1.0",
            0,
        )
        assert detail(client, created["id"]) == {**created, "rules": []}

    def test_needs_only_a_name(self, client: httpx2.Client) -> None:
        created = created_json(client.post(BUNDLES, json={"name": "Bare"}))
        assert (created["description"], created["regulatory_framework"]) == ("", "")
        assert created["enabled"] is True

    @pytest.mark.parametrize("name", ["PCI-DSS", "Internal Data Policy"])
    def test_rejects_names_in_use(self, client: httpx2.Client, name: str) -> None:
        created_json(client.post(BUNDLES, json=POSTED))
        before = bundle_names(client)
        check_error(client.post(BUNDLES, json={**POSTED, "name": name}), 409, "NAME_EXISTS", "name")
        assert bundle_names(client) == before

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"),
            ({"name": " "}, "name"),
            ({"name": "x" * 257}, "name"),
            ({"name": "x", "description": "y" * 4097}, "description"),
            ({"name": "x", "regulatory_framework": "y" * 65}, "regulatory_framework"),
            ({"name": "x", "enabled": "yes"}, "enabled"),
            ({"name": "x", "rule_ids": [""]}, "rule_ids[0]"),
            ({"name": "x", "rule_ids": [UNKNOWN_ID]}, "rule_ids[0]"),
        ],
    )
    def test_rejects_fields_out_of_bounds(
        self, client: httpx2.Client, body: dict[str, Any], field: str
    ) -> None:
        check_error(client.post(BUNDLES, json=body), 400, "INVALID_ARGUMENT", field)
        assert len(bundle_names(client)) == len(SEEDED)

    def test_accepts_rules_of_the_tenant(self, client: httpx2.Client) -> None:
        rule = dlp_rule(client)
        created = bundle(client, rule_ids=[rule["id"]])
        assert created["rule_count"] == 1
        (shown,) = detail(client, created["id"])["rules"]
        assert shown == {**{name: rule[name] for name in RULE if name in rule}, "clause": ""}

    def test_rejects_rules_of_the_platform(self, client: httpx2.Client) -> None:
        rule_id = detail(client, seeded(client)["id"])["rules"][0]["id"]
        message = check_error(
            client.post(BUNDLES, json={"name": "x", "rule_ids": [rule_id]}),
            400,
            "INVALID_ARGUMENT",
            "rule_ids[0]",
        )
        assert "rule of the platform" in message


class TestUpdate:
    def test_changes_only_the_fields_of_the_request(self, client: httpx2.Client) -> None:
        created = created_json(client.post(BUNDLES, json=POSTED))
        path = f"{BUNDLES}/{created['id']}"
        changed = ok_json(client.put(path, json={"description": "New"}))
        assert {**created, "description": "New", "updated_at": changed["updated_at"]} == changed
        assert ok_json(client.put(path, json={})) == changed
        body = {"name": "Renamed", "regulatory_framework": "R", "enabled": False}
        changed = ok_json(client.put(path, json=body))
        assert {name: changed[name] for name in body} == body
        assert list(changed) == BUNDLE

    def test_of_a_seeded_bundle_changes_it_only_for_the_tenant(
        self, client: httpx2.Client, tenant: str
    ) -> None:
        pci = seeded(client)
        path = f"{BUNDLES}/{pci['id']}"
        body = {"name": "Cards", "description": "Ours", "regulatory_framework": "PCI"}
        changed = ok_json(client.put(path, json=body))
        assert {**pci, **body, "updated_at": changed["updated_at"]} == changed
        assert ok_json(client.get(path))["name"] == "Cards"
        other = ok_json(client.get(path, headers={"X-Tenant-ID": f"{tenant}-other"}))
        assert {name: other[name] for name in BUNDLE} == pci
        assert created_json(client.post(BUNDLES, json={"name": "PCI-DSS"})), (
            "its name is free again"
        )
        check_error(client.put(path, json={"name": "PCI-DSS"}), 409, "NAME_EXISTS", "name")

    def test_of_enabled_also_switches_the_rules(self, client: httpx2.Client) -> None:
        path = f"{BUNDLES}/{seeded(client)['id']}"
        assert ok_json(client.put(path, json={"enabled": True}))["enabled"] is True
        assert all(each["enabled"] for each in ok_json(client.get(path))["rules"])
        ok_json(client.put(path, json={"enabled": False}))
        assert not any(each["enabled"] for each in ok_json(client.get(path))["rules"])

    def test_rejects_names_in_use(self, client: httpx2.Client) -> None:
        path = f"{BUNDLES}/{bundle(client, 'Mine')['id']}"
        check_error(client.put(path, json={"name": "HIPAA"}), 409, "NAME_EXISTS", "name")
        assert ok_json(client.put(path, json={"name": "Mine"}))["name"] == "Mine"

    def test_of_an_unknown_bundle_is_not_found(self, client: httpx2.Client) -> None:
        check_error(client.put(f"{BUNDLES}/{UNKNOWN_ID}", json={}), 404, "BUNDLE_NOT_FOUND")

    def test_adds_and_removes_rules(self, client: httpx2.Client) -> None:
        first, second = dlp_rule(client, "First"), dlp_rule(client, "Second")
        mine, other = bundle(client, "Mine"), bundle(client, "Other")
        for path in (f"{BUNDLES}/{mine['id']}", f"{BUNDLES}/{other['id']}"):
            changed = ok_json(client.put(path, json={"rule_ids": [first["id"], second["id"]]}))
            assert changed["rule_count"] == 2
        assert detail(client, mine["id"])["rules"] == [], "a rule is in one bundle at most"
        ok_json(client.put(f"{BUNDLES}/{other['id']}", json={"rule_ids": [second["id"]]}))
        (left,) = detail(client, other["id"])["rules"]
        assert left["id"] == second["id"]
        assert (
            ok_json(client.put(f"{BUNDLES}/{other['id']}", json={"rule_ids": []}))["rule_count"]
            == 0
        )
        assert ok_json(client.get(f"{RULES}/{first['id']}")) == first

    def test_adds_rules_to_a_seeded_bundle(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        rule = dlp_rule(client)
        shipped = [each["id"] for each in detail(client, pci["id"])["rules"]]
        path = f"{BUNDLES}/{pci['id']}"
        changed = ok_json(client.put(path, json={"rule_ids": [*shipped, rule["id"]]}))
        assert changed["rule_count"] == pci["rule_count"] + 1
        assert [each["id"] for each in detail(client, pci["id"])["rules"]] == [*shipped, rule["id"]]


class TestDeletion:
    def test_deletes_a_custom_bundle(self, client: httpx2.Client) -> None:
        rule = dlp_rule(client)
        created = bundle(client, rule_ids=[rule["id"]])
        members = group(client, bundle_ids=[created["id"]])
        answer = client.delete(f"{BUNDLES}/{created['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        check_error(client.get(f"{BUNDLES}/{created['id']}"), 404, "BUNDLE_NOT_FOUND")
        check_error(client.delete(f"{BUNDLES}/{created['id']}"), 404, "BUNDLE_NOT_FOUND")
        assert bundle_names(client) == bundle_names(client, enabled=False), "no bundle is in force"
        assert ok_json(client.get(f"{RULES}/{rule['id']}"))["enabled"] is True
        assert ok_json(client.get(f"{GROUPS}/{members['id']}"))["bundle_ids"] == []
        assert bundle(client)["name"] == created["name"], "its name is free again"

    def test_of_a_seeded_bundle_is_forbidden(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        answer = client.delete(f"{BUNDLES}/{pci['id']}")
        check_error(answer, 403, "PLATFORM_READONLY", "bundle_id")
        assert seeded(client) == pci


class TestActivation:
    def test_enables_all_rules(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        answer = ok_json(client.post(f"{BUNDLES}/{pci['id']}/activate"))
        assert answer == {
            "bundle_id": pci["id"],
            "enabled": True,
            "rules_updated": pci["rule_count"],
        }
        shown = detail(client, pci["id"])
        assert shown["enabled"] is True
        assert all(each["enabled"] for each in shown["rules"])
        for _ in range(2):
            again = ok_json(client.post(f"{BUNDLES}/{pci['id']}/activate"))
            assert again == answer, "rules_updated counts all rules, changed or not"

    def test_can_be_reversed(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        ok_json(client.post(f"{BUNDLES}/{pci['id']}/activate"))
        answer = ok_json(client.post(f"{BUNDLES}/{pci['id']}/deactivate"))
        assert answer == {
            "bundle_id": pci["id"],
            "enabled": False,
            "rules_updated": pci["rule_count"],
        }
        assert not any(each["enabled"] for each in detail(client, pci["id"])["rules"])

    def test_also_switches_rules_of_the_tenant(self, client: httpx2.Client) -> None:
        rules = [dlp_rule(client, "On"), dlp_rule(client, "Off", enabled=False)]
        created = bundle(client, rule_ids=[each["id"] for each in rules])
        path = f"{BUNDLES}/{created['id']}"
        for verb, enabled in (("activate", True), ("deactivate", False)):
            assert ok_json(client.post(f"{path}/{verb}"))["rules_updated"] == 2
            for each in rules:
                assert ok_json(client.get(f"{RULES}/{each['id']}"))["enabled"] is enabled

    @pytest.mark.parametrize("verb", ["activate", "deactivate"])
    def test_of_an_unknown_bundle_is_not_found(self, client: httpx2.Client, verb: str) -> None:
        check_error(client.post(f"{BUNDLES}/{UNKNOWN_ID}/{verb}"), 404, "BUNDLE_NOT_FOUND")


def test_an_update_with_a_stale_etag_is_refused(client: httpx2.Client) -> None:
    for target in (bundle(client), seeded(client)):
        path = f"{BUNDLES}/{target['id']}"
        old = {"If-Match": client.get(path).headers["etag"]}
        written = client.put(path, json={"description": "new"}, headers=old)
        assert ok_json(written)["description"] == "new"
        late = [
            client.put(path, json={"description": "old"}, headers=old),
            client.post(f"{path}/activate", headers=old),
        ]
        for each in late:
            check_error(each, 412, "PRECONDITION_FAILED", "If-Match")
        now = {"If-Match": written.headers["etag"]}
        ok_json(client.post(f"{path}/deactivate", headers=now))
    check_error(client.post(f"{path}/upgrade", headers=old), 412, "PRECONDITION_FAILED", "If-Match")


def test_bundles_of_other_tenants_are_not_found(client: httpx2.Client, tenant: str) -> None:
    path = f"{BUNDLES}/{bundle(client)['id']}"
    other = {"X-Tenant-ID": f"{tenant}-other"}
    for method, target in (
        ("GET", path),
        ("DELETE", path),
        ("GET", f"{path}/versions"),
        ("POST", f"{path}/activate"),
        ("POST", f"{path}/upgrade"),
    ):
        check_error(client.request(method, target, headers=other), 404, "BUNDLE_NOT_FOUND")
