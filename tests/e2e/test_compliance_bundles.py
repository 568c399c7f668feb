"""Compliance bundles over HTTP: writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.support.rest.compliance import (
    BUNDLE,
    BUNDLES,
    GROUPS,
    RULE,
    RULES,
    SEEDED,
    bundle,
    detail,
    dlp_rule,
    group,
    listed,
    seeded,
)
from tests.support.rest.packs import NOBODY, found, made, refused

if TYPE_CHECKING:
    import httpx2


POSTED = {
    "name": "Internal Data Policy",
    "description": "Custom rules for internal data handling",
    "regulatory_framework": "INTERNAL",
    "enabled": True,
}


class TestCreation:
    def test_makes_a_custom_bundle(self, client: httpx2.Client) -> None:
        answer = client.post(f"{BUNDLES}/", json=POSTED)
        created = made(answer)
        assert list(created) == BUNDLE
        assert {name: created[name] for name in POSTED} == POSTED
        assert UUID(created["id"]).version == 4
        assert (created["is_seeded"], created["version"], created["rule_count"]) == (
            False,
            "1.0",
            0,
        )
        assert detail(client, created["id"]) == {**created, "rules": []}

    def test_needs_a_name_alone(self, client: httpx2.Client) -> None:
        created = made(client.post(BUNDLES, json={"name": "Bare"}))
        assert (created["description"], created["regulatory_framework"]) == ("", "")
        assert created["enabled"] is True

    @pytest.mark.parametrize("name", ["PCI-DSS", "Internal Data Policy"])
    def test_rejects_names_that_are_taken(self, client: httpx2.Client, name: str) -> None:
        made(client.post(BUNDLES, json=POSTED))
        before = listed(client)
        refused(client.post(BUNDLES, json={**POSTED, "name": name}), 409, "NAME_EXISTS", "name")
        assert listed(client) == before

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
            ({"name": "x", "rule_ids": [NOBODY]}, "rule_ids[0]"),
        ],
    )
    def test_bounds(self, client: httpx2.Client, body: dict[str, Any], field: str) -> None:
        refused(client.post(BUNDLES, json=body), 400, "INVALID_ARGUMENT", field)
        assert len(listed(client)) == len(SEEDED)

    def test_with_rules_of_the_tenant(self, client: httpx2.Client) -> None:
        rule = dlp_rule(client)
        created = bundle(client, rule_ids=[rule["id"]])
        assert created["rule_count"] == 1
        (shown,) = detail(client, created["id"])["rules"]
        assert shown == {**{name: rule[name] for name in RULE if name in rule}, "clause": ""}

    def test_refuses_rules_of_the_platform(self, client: httpx2.Client) -> None:
        rule_id = detail(client, seeded(client)["id"])["rules"][0]["id"]
        message = refused(
            client.post(BUNDLES, json={"name": "x", "rule_ids": [rule_id]}),
            400,
            "INVALID_ARGUMENT",
            "rule_ids[0]",
        )
        assert "rule of the platform" in message


class TestUpdate:
    def test_changes_what_it_sends_alone(self, client: httpx2.Client) -> None:
        created = made(client.post(BUNDLES, json=POSTED))
        path = f"{BUNDLES}/{created['id']}"
        changed = found(client.put(path, json={"description": "New"}))
        assert {**created, "description": "New", "updated_at": changed["updated_at"]} == changed
        assert found(client.put(path, json={})) == changed
        body = {"name": "Renamed", "regulatory_framework": "R", "enabled": False}
        changed = found(client.put(path, json=body))
        assert {name: changed[name] for name in body} == body
        assert list(changed) == BUNDLE

    def test_of_a_seeded_bundle_is_the_tenants_alone(
        self, client: httpx2.Client, tenant: str
    ) -> None:
        pci = seeded(client)
        path = f"{BUNDLES}/{pci['id']}"
        body = {"name": "Cards", "description": "Ours", "regulatory_framework": "PCI"}
        changed = found(client.put(path, json=body))
        assert {**pci, **body, "updated_at": changed["updated_at"]} == changed
        assert found(client.get(path))["name"] == "Cards"
        other = found(client.get(path, headers={"X-Tenant-ID": f"{tenant}-other"}))
        assert {name: other[name] for name in BUNDLE} == pci
        assert made(client.post(BUNDLES, json={"name": "PCI-DSS"})), "its name is free again"
        refused(client.put(path, json={"name": "PCI-DSS"}), 409, "NAME_EXISTS", "name")

    def test_of_enabled_switches_the_rules_too(self, client: httpx2.Client) -> None:
        path = f"{BUNDLES}/{seeded(client)['id']}"
        assert found(client.put(path, json={"enabled": True}))["enabled"] is True
        assert all(each["enabled"] for each in found(client.get(path))["rules"])
        found(client.put(path, json={"enabled": False}))
        assert not any(each["enabled"] for each in found(client.get(path))["rules"])

    def test_rejects_names_that_are_taken(self, client: httpx2.Client) -> None:
        path = f"{BUNDLES}/{bundle(client, 'Mine')['id']}"
        refused(client.put(path, json={"name": "HIPAA"}), 409, "NAME_EXISTS", "name")
        assert found(client.put(path, json={"name": "Mine"}))["name"] == "Mine"

    def test_of_one_that_there_is_not(self, client: httpx2.Client) -> None:
        refused(client.put(f"{BUNDLES}/{NOBODY}", json={}), 404, "BUNDLE_NOT_FOUND")

    def test_takes_rules_in_and_out(self, client: httpx2.Client) -> None:
        first, second = dlp_rule(client, "First"), dlp_rule(client, "Second")
        mine, other = bundle(client, "Mine"), bundle(client, "Other")
        for path in (f"{BUNDLES}/{mine['id']}", f"{BUNDLES}/{other['id']}"):
            changed = found(client.put(path, json={"rule_ids": [first["id"], second["id"]]}))
            assert changed["rule_count"] == 2
        assert detail(client, mine["id"])["rules"] == [], "a rule is in one bundle at most"
        found(client.put(f"{BUNDLES}/{other['id']}", json={"rule_ids": [second["id"]]}))
        (left,) = detail(client, other["id"])["rules"]
        assert left["id"] == second["id"]
        assert (
            found(client.put(f"{BUNDLES}/{other['id']}", json={"rule_ids": []}))["rule_count"] == 0
        )
        assert found(client.get(f"{RULES}/{first['id']}")) == first

    def test_adds_rules_to_a_seeded_bundle(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        rule = dlp_rule(client)
        shipped = [each["id"] for each in detail(client, pci["id"])["rules"]]
        path = f"{BUNDLES}/{pci['id']}"
        changed = found(client.put(path, json={"rule_ids": [*shipped, rule["id"]]}))
        assert changed["rule_count"] == pci["rule_count"] + 1
        assert [each["id"] for each in detail(client, pci["id"])["rules"]] == [*shipped, rule["id"]]


class TestDeletion:
    def test_of_a_custom_bundle(self, client: httpx2.Client) -> None:
        rule = dlp_rule(client)
        created = bundle(client, rule_ids=[rule["id"]])
        members = group(client, bundle_ids=[created["id"]])
        answer = client.delete(f"{BUNDLES}/{created['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        refused(client.get(f"{BUNDLES}/{created['id']}"), 404, "BUNDLE_NOT_FOUND")
        refused(client.delete(f"{BUNDLES}/{created['id']}"), 404, "BUNDLE_NOT_FOUND")
        assert listed(client) == listed(client, enabled=False), "no bundle is in force"
        assert found(client.get(f"{RULES}/{rule['id']}"))["enabled"] is True
        assert found(client.get(f"{GROUPS}/{members['id']}"))["bundle_ids"] == []
        assert bundle(client)["name"] == created["name"], "its name is free again"

    def test_of_a_seeded_bundle_is_forbidden(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        answer = client.delete(f"{BUNDLES}/{pci['id']}")
        refused(answer, 403, "PLATFORM_READONLY", "bundle_id")
        assert seeded(client) == pci


class TestActivation:
    def test_enables_all_rules(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        answer = found(client.post(f"{BUNDLES}/{pci['id']}/activate"))
        assert answer == {
            "bundle_id": pci["id"],
            "enabled": True,
            "rules_updated": pci["rule_count"],
        }
        shown = detail(client, pci["id"])
        assert shown["enabled"] is True
        assert all(each["enabled"] for each in shown["rules"])
        for _ in range(2):
            again = found(client.post(f"{BUNDLES}/{pci['id']}/activate"))
            assert again == answer, "rules_updated counts all rules, changed or not"

    def test_is_taken_back(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        found(client.post(f"{BUNDLES}/{pci['id']}/activate"))
        answer = found(client.post(f"{BUNDLES}/{pci['id']}/deactivate"))
        assert answer == {
            "bundle_id": pci["id"],
            "enabled": False,
            "rules_updated": pci["rule_count"],
        }
        assert not any(each["enabled"] for each in detail(client, pci["id"])["rules"])

    def test_switches_the_tenants_own_rules_with_it(self, client: httpx2.Client) -> None:
        rules = [dlp_rule(client, "On"), dlp_rule(client, "Off", enabled=False)]
        created = bundle(client, rule_ids=[each["id"] for each in rules])
        path = f"{BUNDLES}/{created['id']}"
        for verb, enabled in (("activate", True), ("deactivate", False)):
            assert found(client.post(f"{path}/{verb}"))["rules_updated"] == 2
            for each in rules:
                assert found(client.get(f"{RULES}/{each['id']}"))["enabled"] is enabled

    @pytest.mark.parametrize("verb", ["activate", "deactivate"])
    def test_of_one_that_there_is_not(self, client: httpx2.Client, verb: str) -> None:
        refused(client.post(f"{BUNDLES}/{NOBODY}/{verb}"), 404, "BUNDLE_NOT_FOUND")


def test_who_has_read_an_old_bundle_does_not_overwrite_a_new_one(client: httpx2.Client) -> None:
    for made_ in (bundle(client), seeded(client)):
        path = f"{BUNDLES}/{made_['id']}"
        old = {"If-Match": client.get(path).headers["etag"]}
        written = client.put(path, json={"description": "new"}, headers=old)
        assert found(written)["description"] == "new"
        late = [
            client.put(path, json={"description": "old"}, headers=old),
            client.post(f"{path}/activate", headers=old),
        ]
        for each in late:
            refused(each, 412, "PRECONDITION_FAILED", "If-Match")
        now = {"If-Match": written.headers["etag"]}
        found(client.post(f"{path}/deactivate", headers=now))
    refused(client.post(f"{path}/upgrade", headers=old), 412, "PRECONDITION_FAILED", "If-Match")


def test_bundles_of_other_tenants_cannot_be_seen(client: httpx2.Client, tenant: str) -> None:
    path = f"{BUNDLES}/{bundle(client)['id']}"
    other = {"X-Tenant-ID": f"{tenant}-other"}
    for method, target in (
        ("GET", path),
        ("DELETE", path),
        ("GET", f"{path}/versions"),
        ("POST", f"{path}/activate"),
        ("POST", f"{path}/upgrade"),
    ):
        refused(client.request(method, target, headers=other), 404, "BUNDLE_NOT_FOUND")
