"""Versions and upgrades of compliance bundles, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tests.support.rest.compliance import BUNDLES, bundle, detail, dlp_rule, seeded
from tests.support.rest.dlp import RULES
from tests.support.rest.packs import TIME, UNKNOWN_ID, check_error, ok_json

if TYPE_CHECKING:
    import httpx2

VERSION = [
    "id",
    "bundle_id",
    "version",
    "change_type",
    "summary",
    "changed_by",
    "name",
    "description",
    "regulatory_framework",
    "enabled",
    "rule_count",
    "rules",
    "created_at",
]


def versions(client: httpx2.Client, bundle_id: str) -> Any:
    return ok_json(client.get(f"{BUNDLES}/{bundle_id}/versions"))


def ids(client: httpx2.Client, bundle_id: str) -> list[str]:
    return [each["id"] for each in detail(client, bundle_id)["rules"]]


def upgraded(client: httpx2.Client, bundle_id: str) -> Any:
    return ok_json(client.post(f"{BUNDLES}/{bundle_id}/upgrade"))


class TestVersions:
    def test_of_a_seeded_bundle_begin_with_the_shipped_definition(
        self, client: httpx2.Client
    ) -> None:
        pci = seeded(client)
        (version,) = versions(client, pci["id"])
        assert list(version) == VERSION
        assert str(UUID(version["id"])) == version["id"]
        assert TIME.fullmatch(version["created_at"])
        assert (version["bundle_id"], version["version"]) == (pci["id"], "1.0")
        assert (version["change_type"], version["changed_by"]) == ("install", "catalog")
        assert version["rules"] == detail(client, pci["id"])["rules"]

    def test_are_newest_first(self, client: httpx2.Client) -> None:
        created = bundle(client, "First")
        path = f"{BUNDLES}/{created['id']}"
        ok_json(client.put(path, json={"name": "Second"}))
        ok_json(client.put(path, json={"name": "Second"}))
        ok_json(client.post(f"{path}/deactivate"))
        ok_json(client.post(f"{path}/activate"))
        shown = versions(client, created["id"])
        assert [(each["change_type"], each["name"], each["enabled"]) for each in shown] == [
            ("activate", "Second", True),
            ("deactivate", "Second", False),
            ("update", "Second", True),
            ("create", "First", True),
        ]
        assert len({each["id"] for each in shown}) == 4
        assert [each["id"] for each in versions(client, created["id"])] == [
            each["id"] for each in shown
        ], "an id stays"
        assert shown[2]["summary"] == 'Updated compliance bundle "Second": name'

    def test_of_a_deleted_bundle_can_still_be_read(self, client: httpx2.Client) -> None:
        created = bundle(client, rule_ids=[dlp_rule(client)["id"]])
        assert client.delete(f"{BUNDLES}/{created['id']}").status_code == 204
        shown = versions(client, created["id"])
        assert [each["change_type"] for each in shown] == ["delete", "create"]
        assert [each["rule_count"] for each in shown] == [1, 1]

    def test_of_an_unknown_bundle_are_not_found(self, client: httpx2.Client) -> None:
        check_error(client.get(f"{BUNDLES}/{UNKNOWN_ID}/versions"), 404, "BUNDLE_NOT_FOUND")


class TestUpgrade:
    def test_applies_the_latest_definition(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        before = ids(client, pci["id"])
        answer = upgraded(client, pci["id"])
        assert list(answer) == ["previous_version", "new_version", "rules_added", "rules_removed"]
        assert (answer["previous_version"], answer["new_version"]) == ("1.0", "1.1")
        after = ids(client, pci["id"])
        assert answer["rules_added"] == len(set(after) - set(before)) > 0
        assert answer["rules_removed"] == len(set(before) - set(after)) > 0
        shown = seeded(client)
        assert (shown["version"], shown["rule_count"]) == ("1.1", len(after))

    def test_changes_only_the_tenants_bundle(self, client: httpx2.Client, tenant: str) -> None:
        pci = seeded(client)
        upgraded(client, pci["id"])
        other = client.get(f"{BUNDLES}/{pci['id']}", headers={"X-Tenant-ID": f"{tenant}-other"})
        assert ok_json(other)["version"] == "1.0"

    def test_writes_a_version_before_and_after(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        before = detail(client, pci["id"])["rules"]
        upgraded(client, pci["id"])
        after, was, shipped = versions(client, pci["id"])
        assert [each["change_type"] for each in (after, was, shipped)] == [
            "after_upgrade",
            "before_upgrade",
            "install",
        ]
        assert (was["version"], was["rules"]) == ("1.0", before)
        assert (after["version"], after["rules"]) == ("1.1", detail(client, pci["id"])["rules"])
        assert after["rule_count"] == len(after["rules"])
        assert "from 1.0 to 1.1" in after["summary"]

    @pytest.mark.parametrize("active", [True, False])
    def test_does_not_change_whether_a_bundle_is_enabled(
        self, client: httpx2.Client, active: bool
    ) -> None:
        pci = seeded(client)
        if active:
            ok_json(client.post(f"{BUNDLES}/{pci['id']}/activate"))
        upgraded(client, pci["id"])
        shown = detail(client, pci["id"])
        assert shown["enabled"] is active
        assert {each["enabled"] for each in shown["rules"]} == {active}

    def test_keeps_the_tenants_additions_and_settings(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        path = f"{BUNDLES}/{pci['id']}"
        rule = dlp_rule(client)
        body = {"name": "Cards", "description": "Ours", "rule_ids": [rule["id"]]}
        ok_json(client.put(path, json=body))
        ok_json(client.post(f"{path}/activate"))
        card = next(
            each
            for each in detail(client, pci["id"])["rules"]
            if each["entity_type"] == "CREDIT_CARD"
        )
        setting = {"action_tier": "block", "confidence_threshold": 0.3}
        ok_json(client.put(f"{RULES}/{card['id']}", json=setting))
        before = ids(client, pci["id"])
        answer = upgraded(client, pci["id"])
        shown = detail(client, pci["id"])
        assert (shown["name"], shown["description"]) == ("Cards", "Ours")
        assert shown["rules"][-1]["id"] == rule["id"]
        assert len(shown["rules"]) == (
            len(before) + answer["rules_added"] - answer["rules_removed"]
        )
        card_rule = next(each for each in shown["rules"] if each["id"] == card["id"])
        assert {name: card_rule[name] for name in setting} == setting

    def test_without_a_newer_definition_is_refused(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        upgraded(client, pci["id"])
        done = versions(client, pci["id"])
        again = client.post(f"{BUNDLES}/{pci['id']}/upgrade")
        assert "latest version, 1.1" in check_error(again, 400, "NO_UPGRADE", "bundle_id")
        own = client.post(f"{BUNDLES}/{bundle(client)['id']}/upgrade")
        assert "no definition" in check_error(own, 400, "NO_UPGRADE", "bundle_id")
        current = client.post(f"{BUNDLES}/{seeded(client, 'SOX')['id']}/upgrade")
        check_error(current, 400, "NO_UPGRADE", "bundle_id")
        check_error(client.post(f"{BUNDLES}/{UNKNOWN_ID}/upgrade"), 404, "BUNDLE_NOT_FOUND")
        assert versions(client, pci["id"]) == done, "a refused upgrade leaves no version"

    def test_changes_the_version_in_the_matrix(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        upgraded(client, pci["id"])
        for row in ok_json(client.get(f"{BUNDLES}/matrix")):
            cell = next(each for each in row["bundles"] if each["bundle_id"] == pci["id"])
            assert cell["version_status"] == "current"
            assert cell["upgrade_available"] is False
            assert cell["version"] == "1.1"
