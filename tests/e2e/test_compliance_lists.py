"""Reads of compliance bundles over HTTP: list, matrix, detail."""

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
    bundle_names,
    seeded,
)
from tests.support.rest.packs import TIME, UNKNOWN_ID, check_error, ok_json

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
    def test_of_a_new_tenant_has_the_seeded_bundles(self, client: httpx2.Client) -> None:
        bundles = ok_json(client.get(f"{BUNDLES}/"))
        assert [each["regulatory_framework"] for each in bundles] == SEEDED
        for each in bundles:
            assert list(each) == BUNDLE
            assert str(UUID(each["id"])) == each["id"]
            assert (each["is_seeded"], each["enabled"], each["version"]) == (True, False, "1.0")
            assert each["rule_count"] > 0
            assert each["description"]
            assert TIME.fullmatch(each["created_at"])
            assert TIME.fullmatch(each["updated_at"])

    def test_has_custom_bundles_after_seeded_ones(self, client: httpx2.Client) -> None:
        bundle(client, "B")
        bundle(client, "A")
        assert bundle_names(client)[-2:] == ["B", "A"]

    def test_is_filtered_by_enabled(self, client: httpx2.Client) -> None:
        assert bundle_names(client, enabled=True) == []
        bundle(client, "On")
        bundle(client, "Off", enabled=False)
        ok_json(client.post(f"{BUNDLES}/{seeded(client)['id']}/activate"))
        assert bundle_names(client, enabled=True) == ["PCI-DSS", "On"]
        assert "Off" in bundle_names(client, enabled=False)
        assert "PCI-DSS" not in bundle_names(client, enabled=False)
        check_error(
            client.get(BUNDLES, params={"enabled": "yes"}), 400, "INVALID_ARGUMENT", "enabled"
        )

    def test_is_filtered_by_framework(self, client: httpx2.Client) -> None:
        bundle(client, "Ours", regulatory_framework="PCI-DSS")
        assert bundle_names(client, framework="PCI-DSS") == ["PCI-DSS", "Ours"]
        assert bundle_names(client, framework="pci-dss") == ["PCI-DSS", "Ours"]
        assert bundle_names(client, framework="PCI-DSS", enabled=True) == ["Ours"]
        assert bundle_names(client, framework="NONE") == []


class TestMatrix:
    def test_of_a_new_tenant_has_the_default_groups(self, client: httpx2.Client) -> None:
        matrix = ok_json(client.get(f"{BUNDLES}/matrix"))
        assert [each["group_name"] for each in matrix] == ["Finance", "Engineering", "Contractors"]
        for row in matrix:
            assert list(row) == ["group_id", "group_name", "member_count", "bundles"]
            assert row["member_count"] == 0
            assert [each["framework"] for each in row["bundles"]] == SEEDED
            assert all(list(each) == CELL for each in row["bundles"])

    def test_has_strictness_and_versions(self, client: httpx2.Client) -> None:
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

    def test_has_the_groups_of_each_bundle(self, client: httpx2.Client) -> None:
        finance = ok_json(client.get(GROUPS))[0]
        pci, sox = seeded(client), seeded(client, "SOX")
        ok_json(client.put(f"{GROUPS}/{finance['id']}/bundles/{pci['id']}"))
        ok_json(client.post(f"{GROUPS}/{finance['id']}/members", json={"user_ids": ["u1", "u2"]}))
        assert self._enabled(client, "Finance") == ["PCI-DSS"]
        assert self._enabled(client, "Engineering") == []
        ok_json(client.post(f"{BUNDLES}/{sox['id']}/activate"))
        assert self._enabled(client, "Finance") == ["PCI-DSS", "SOX"]
        assert self._enabled(client, "Engineering") == ["SOX"]
        assert ok_json(client.get(f"{BUNDLES}/matrix"))[0]["member_count"] == 2

    def _row(self, client: httpx2.Client, name: str) -> Any:
        rows = ok_json(client.get(f"{BUNDLES}/matrix"))
        return next(each["bundles"] for each in rows if each["group_name"] == name)

    def _enabled(self, client: httpx2.Client, name: str) -> list[str]:
        return [each["framework"] for each in self._row(client, name) if each["enabled"]]


class TestDetail:
    def test_has_the_rules_of_the_definition(self, client: httpx2.Client) -> None:
        pci = seeded(client)
        answer = client.get(f"{BUNDLES}/{pci['id']}")
        shown = ok_json(answer)
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

    def test_of_an_unknown_bundle_is_not_found(self, client: httpx2.Client) -> None:
        check_error(client.get(f"{BUNDLES}/{UNKNOWN_ID}"), 404, "BUNDLE_NOT_FOUND")
