"""Compliance bundles over HTTP: list, matrix and detail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.support.rest.compliance import (
    BUNDLE,
    BUNDLES,
    GROUPS,
    RULE,
    SEEDED,
    bundle,
    listed,
    seeded,
)
from tests.support.rest.packs import NOBODY, TIME, found, refused

if TYPE_CHECKING:
    import httpx2


CELL = [
    "bundle_id",
    "bundle_name",
    "framework",
    "enabled",
    "enforcement_mode",
    "version_status",
    "upgrade_available",
    "version",
]


class TestList:
    def test_holds_the_seeded_bundles_of_a_fresh_tenant(self, client: httpx2.Client) -> None:
        bundles = found(client.get(f"{BUNDLES}/"))
        assert [each["regulatory_framework"] for each in bundles] == SEEDED
        for each in bundles:
            assert list(each) == BUNDLE
            assert str(UUID(each["id"])) == each["id"]
            assert (each["is_seeded"], each["enabled"], each["version"]) == (True, False, "1.0")
            assert each["rule_count"] > 0
            assert each["description"]
            assert TIME.fullmatch(each["created_at"])
            assert TIME.fullmatch(each["updated_at"])

    def test_has_the_tenants_own_after_them(self, client: httpx2.Client) -> None:
        bundle(client, "B")
        bundle(client, "A")
        assert listed(client)[-2:] == ["B", "A"]

    def test_is_filtered_by_enabled(self, client: httpx2.Client) -> None:
        assert listed(client, enabled=True) == []
        bundle(client, "On")
        bundle(client, "Off", enabled=False)
        found(client.post(f"{BUNDLES}/{seeded(client)['id']}/activate"))
        assert listed(client, enabled=True) == ["PCI-DSS", "On"]
        assert "Off" in listed(client, enabled=False)
        assert "PCI-DSS" not in listed(client, enabled=False)
        refused(client.get(BUNDLES, params={"enabled": "yes"}), 400, "INVALID_ARGUMENT", "enabled")

    def test_is_filtered_by_framework(self, client: httpx2.Client) -> None:
        bundle(client, "Ours", regulatory_framework="PCI-DSS")
        assert listed(client, framework="PCI-DSS") == ["PCI-DSS", "Ours"]
        assert listed(client, framework="pci-dss") == ["PCI-DSS", "Ours"]
        assert listed(client, framework="PCI-DSS", enabled=True) == ["Ours"]
        assert listed(client, framework="NONE") == []


class TestMatrix:
    def test_shows_the_groups_to_begin_with(self, client: httpx2.Client) -> None:
        matrix = found(client.get(f"{BUNDLES}/matrix"))
        assert [each["group_name"] for each in matrix] == ["Finance", "Engineering", "Contractors"]
        for row in matrix:
            assert list(row) == ["group_id", "group_name", "member_count", "bundles"]
            assert row["member_count"] == 0
            assert [each["framework"] for each in row["bundles"]] == SEEDED
            assert all(list(each) == CELL for each in row["bundles"])

    def test_tells_strict_from_additive_and_old_from_current(self, client: httpx2.Client) -> None:
        own = bundle(client, "Ours", enabled=False)
        cells = {each["bundle_id"]: each for each in self._row(client, "Finance")}
        pci = seeded(client)
        assert cells[pci["id"]] == {
            "bundle_id": pci["id"],
            "bundle_name": "PCI-DSS",
            "framework": "PCI-DSS",
            "enabled": False,
            "enforcement_mode": "strict",
            "version_status": "update_available",
            "upgrade_available": True,
            "version": "1.0",
        }
        assert cells[own["id"]] == {
            "bundle_id": own["id"],
            "bundle_name": "Ours",
            "framework": "INTERNAL",
            "enabled": False,
            "enforcement_mode": "additive",
            "version_status": "custom",
            "upgrade_available": False,
            "version": "1.0",
        }
        statuses = {each["framework"]: each["version_status"] for each in cells.values()}
        assert statuses["SOX"] == "current"

    def test_shows_for_whom_a_bundle_is_in_force(self, client: httpx2.Client) -> None:
        finance = found(client.get(GROUPS))[0]
        pci, sox = seeded(client), seeded(client, "SOX")
        found(client.put(f"{GROUPS}/{finance['id']}/bundles/{pci['id']}"))
        found(client.post(f"{GROUPS}/{finance['id']}/members", json={"user_ids": ["u1", "u2"]}))
        assert self._enabled(client, "Finance") == ["PCI-DSS"]
        assert self._enabled(client, "Engineering") == []
        found(client.post(f"{BUNDLES}/{sox['id']}/activate"))
        assert self._enabled(client, "Finance") == ["PCI-DSS", "SOX"]
        assert self._enabled(client, "Engineering") == ["SOX"]
        assert found(client.get(f"{BUNDLES}/matrix"))[0]["member_count"] == 2

    def _row(self, client: httpx2.Client, name: str) -> Any:
        rows = found(client.get(f"{BUNDLES}/matrix"))
        return next(each["bundles"] for each in rows if each["group_name"] == name)

    def _enabled(self, client: httpx2.Client, name: str) -> list[str]:
        return [each["framework"] for each in self._row(client, name) if each["enabled"]]


class TestDetail:
    def test_has_the_rules_of_the_definition(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        answer = client.get(f"{BUNDLES}/{pci['id']}")
        shown = found(answer)
        assert list(shown) == [*BUNDLE, "rules"]
        assert {name: shown[name] for name in BUNDLE} == pci
        assert answer.headers["etag"]
        assert len(shown["rules"]) == pci["rule_count"]
        for rule in shown["rules"]:
            assert list(rule) == RULE
            assert rule["clause"].startswith("PCI DSS ")
            assert rule["enabled"] is False, "as its bundle is"
        cards = next(each for each in shown["rules"] if each["entity_type"] == "CREDIT_CARD")
        assert cards["config_json"] == {"detector": "credit_card"}

    def test_of_one_that_there_is_not(self, client: httpx2.Client) -> None:
        refused(client.get(f"{BUNDLES}/{NOBODY}"), 404, "BUNDLE_NOT_FOUND")
