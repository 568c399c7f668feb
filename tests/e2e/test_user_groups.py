"""User groups over HTTP: initial groups, members, bundles and stricter rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from pdp.catalog.compliance import user_groups
from tests.support.rest.compliance import BUNDLES, GROUP, GROUPS, group, seeded
from tests.support.rest.packs import TIME, UNKNOWN_ID, check_error, created_json, ok_json

if TYPE_CHECKING:
    import httpx2

DEFAULTS = ["Finance", "Engineering", "Contractors"]


def test_a_new_tenant_has_groups_without_members(client: httpx2.Client) -> None:
    groups = ok_json(client.get(f"{GROUPS}/"))
    assert [each["name"] for each in groups] == DEFAULTS
    assert [each["id"] for each in groups] == [each.id for each in user_groups()]
    for each in groups:
        assert list(each) == GROUP
        assert each["member_count"] == 0
        assert each["members"] == each["bundle_ids"] == each["dlp_rules"] == []
        assert TIME.fullmatch(each["created_at"])


def test_a_group_is_created_read_and_deleted(client: httpx2.Client) -> None:
    answer = client.post(f"{GROUPS}/", json={"name": "Auditors"})
    created = created_json(answer)
    assert list(created) == GROUP
    assert UUID(created["id"]).version == 4
    assert (created["name"], created["description"], created["members"]) == ("Auditors", "", [])
    assert TIME.fullmatch(created["updated_at"])
    assert int(answer.headers["x-pdp-revision"]) > 0
    assert ok_json(client.get(f"{GROUPS}/{created['id']}")) == created
    assert [each["name"] for each in ok_json(client.get(GROUPS))] == [*DEFAULTS, "Auditors"]

    body = {"name": "External auditors", "description": "From outside", "members": ["u1", "u2"]}
    changed = ok_json(client.put(f"{GROUPS}/{created['id']}", json=body))
    assert {**created, **body, "member_count": 2, "updated_at": changed["updated_at"]} == changed

    gone = client.delete(f"{GROUPS}/{created['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    check_error(client.get(f"{GROUPS}/{created['id']}"), 404, "GROUP_NOT_FOUND")
    assert [each["name"] for each in ok_json(client.get(GROUPS))] == DEFAULTS


def test_an_update_changes_only_its_fields(client: httpx2.Client) -> None:
    new_group = group(client, description="Money", members=["u1"])
    path = f"{GROUPS}/{new_group['id']}"
    assert ok_json(client.put(path, json={})) == new_group
    assert ok_json(client.put(path, json={"description": "", "members": None}))["members"] == ["u1"]
    assert ok_json(client.put(path, json={"members": []}))["member_count"] == 0


def test_members_can_be_added_and_removed(client: httpx2.Client) -> None:
    path = f"{GROUPS}/{group(client, members=['u1'])['id']}"
    added = ok_json(client.post(f"{path}/members", json={"user_ids": ["u2", "u1", "u3", "u2"]}))
    assert (added["members"], added["member_count"]) == (["u1", "u2", "u3"], 3)
    assert client.delete(f"{path}/members/u2").status_code == 204
    assert client.delete(f"{path}/members/u2").status_code == 204, "it is not there, as asked"
    assert ok_json(client.get(path))["members"] == ["u1", "u3"]
    check_error(client.post(f"{path}/members", json={"user_ids": []}), 400, "INVALID_ARGUMENT",
            "user_ids")  # fmt: skip
    for call in (
        client.post(f"{GROUPS}/{UNKNOWN_ID}/members", json={"user_ids": ["u"]}),
        client.delete(f"{GROUPS}/{UNKNOWN_ID}/members/u"),
    ):
        check_error(call, 404, "GROUP_NOT_FOUND")


def test_bundles_can_be_assigned_and_unassigned(client: httpx2.Client) -> None:
    bundle = seeded(client)
    path = f"{GROUPS}/{group(client)['id']}"
    for _ in range(2):
        assigned = ok_json(client.put(f"{path}/bundles/{bundle['id']}"))
        assert assigned["bundle_ids"] == [bundle["id"]]
    for _ in range(2):
        assert client.delete(f"{path}/bundles/{bundle['id']}").status_code == 204
    assert ok_json(client.get(path))["bundle_ids"] == []
    check_error(client.put(f"{path}/bundles/{UNKNOWN_ID}"), 404, "BUNDLE_NOT_FOUND")
    check_error(client.put(f"{GROUPS}/{UNKNOWN_ID}/bundles/{bundle['id']}"), 404, "GROUP_NOT_FOUND")
    check_error(
        client.delete(f"{GROUPS}/{UNKNOWN_ID}/bundles/{UNKNOWN_ID}"), 404, "GROUP_NOT_FOUND"
    )
    put = client.put(path, json={"bundle_ids": [bundle["id"], UNKNOWN_ID, bundle["id"]]})
    check_error(put, 400, "INVALID_ARGUMENT", "bundle_ids[1]")
    twice = client.put(path, json={"bundle_ids": [bundle["id"], bundle["id"]]})
    assert ok_json(twice)["bundle_ids"] == [bundle["id"]]


class TestDefaultGroups:
    def test_a_changed_group_belongs_to_the_tenant(
        self, client: httpx2.Client, tenant: str
    ) -> None:
        finance = ok_json(client.get(GROUPS))[0]
        path = f"{GROUPS}/{finance['id']}"
        ok_json(client.post(f"{path}/members", json={"user_ids": ["u1"]}))
        groups = ok_json(client.get(GROUPS))
        assert [(each["name"], each["member_count"]) for each in groups] == [
            ("Finance", 1),
            ("Engineering", 0),
            ("Contractors", 0),
        ]
        other = client.get(path, headers={"X-Tenant-ID": f"{tenant}-other"})
        assert ok_json(other)["members"] == []

    def test_a_deletion_affects_only_the_tenant(self, client: httpx2.Client, tenant: str) -> None:
        path = f"{GROUPS}/{ok_json(client.get(GROUPS))[1]['id']}"
        assert client.delete(path).status_code == 204
        check_error(client.get(path), 404, "GROUP_NOT_FOUND")
        check_error(client.delete(path), 404, "GROUP_NOT_FOUND")
        assert [each["name"] for each in ok_json(client.get(GROUPS))] == ["Finance", "Contractors"]
        assert group(client, "Engineering")["name"] == "Engineering", "its name is free again"
        ok_json(client.get(path, headers={"X-Tenant-ID": f"{tenant}-other"}))


class TestNames:
    @pytest.mark.parametrize("existing", ["Finance", "Auditors"])
    def test_names_are_unique(self, client: httpx2.Client, existing: str) -> None:
        mine = group(client, "Auditors")
        check_error(client.post(GROUPS, json={"name": existing}), 409, "NAME_EXISTS", "name")
        other = group(client, "Clerks")
        path = f"{GROUPS}/{other['id']}"
        check_error(client.put(path, json={"name": existing}), 409, "NAME_EXISTS", "name")
        assert ok_json(client.get(path)) == other
        assert ok_json(client.put(f"{GROUPS}/{mine['id']}", json={"name": "Auditors"})) == mine

    def test_names_are_compared_exactly(self, client: httpx2.Client) -> None:
        assert group(client, "FINANCE")["name"] == "FINANCE"


class TestStricterRules:
    def test_stricter_rules_are_returned_as_posted(self, client: httpx2.Client) -> None:
        rule_id = ok_json(client.get(f"{BUNDLES}/{seeded(client)['id']}"))["rules"][0]["id"]
        entries: list[dict[str, Any]] = [{"rule_id": rule_id, "action_tier": "block"}]
        new_group = group(client, dlp_rules=entries)
        assert new_group["dlp_rules"] == entries
        path = f"{GROUPS}/{new_group['id']}"
        entries = [{"rule_id": rule_id, "enabled": True, "confidence_threshold": 0.1}]
        assert ok_json(client.put(path, json={"dlp_rules": entries}))["dlp_rules"] == entries
        assert ok_json(client.get(path))["dlp_rules"] == entries
        assert ok_json(client.put(path, json={"dlp_rules": []}))["dlp_rules"] == []

    @pytest.mark.parametrize(
        ("entry", "field"),
        [
            ({"rule_id": UNKNOWN_ID, "action_tier": "block"}, "dlp_rules[0].rule_id"),
            ({"action_tier": "block"}, "dlp_rules[0].rule_id"),
            ({"rule_id": "", "enabled": False}, "dlp_rules[0].rule_id"),
            ({"rule_id": "of", "enabled": False}, "dlp_rules[0].enabled"),
            ({"rule_id": "of"}, "dlp_rules[0]"),
            ({"rule_id": "of", "action_tier": "log_only"}, "dlp_rules[0]"),
            ({"rule_id": "of", "confidence_threshold": 1.0}, "dlp_rules[0]"),
            ({"rule_id": "of", "action_tier": "none"}, "dlp_rules[0].action_tier"),
            (
                {"rule_id": "of", "confidence_threshold": 1.5},
                "dlp_rules[0].confidence_threshold",
            ),
        ],
    )
    def test_invalid_stricter_rules_are_refused(
        self, client: httpx2.Client, entry: dict[str, Any], field: str
    ) -> None:
        bundle = seeded(client)
        if entry.get("rule_id") == "of":
            rule = ok_json(client.get(f"{BUNDLES}/{bundle['id']}"))["rules"][0]
            entry = {**entry, "rule_id": rule["id"]}
        path = f"{GROUPS}/{group(client)['id']}"
        check_error(client.put(path, json={"dlp_rules": [entry]}), 400, "INVALID_ARGUMENT", field)
        assert ok_json(client.get(path))["dlp_rules"] == []

    def test_a_rule_can_be_named_once(self, client: httpx2.Client) -> None:
        rule = ok_json(client.get(f"{BUNDLES}/{seeded(client)['id']}"))["rules"][0]
        entry = {"rule_id": rule["id"], "action_tier": "block"}
        check_error(client.post(GROUPS, json={"name": "G", "dlp_rules": [entry, entry]}),
                400, "INVALID_ARGUMENT", "dlp_rules[1].rule_id")  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"name": "x", "description": "y" * 4097}, "description"),
        ({"name": "x", "members": [""]}, "members[0]"),
        ({"name": "x", "members": [str(each) for each in range(2001)]}, "members"),
    ],
)
def test_fields_out_of_bounds_are_refused(
    client: httpx2.Client, body: dict[str, Any], field: str
) -> None:
    check_error(client.post(GROUPS, json=body), 400, "INVALID_ARGUMENT", field)


def test_the_number_of_members_is_limited(client: httpx2.Client) -> None:
    new_group = group(client, members=[f"u{each}" for each in range(2000)])
    path = f"{GROUPS}/{new_group['id']}"
    assert (
        ok_json(client.post(f"{path}/members", json={"user_ids": ["u0"]}))["member_count"] == 2000
    )
    more = client.post(f"{path}/members", json={"user_ids": ["one more"]})
    check_error(more, 400, "INVALID_ARGUMENT", "members")


def test_an_update_with_a_stale_etag_is_refused(client: httpx2.Client) -> None:
    path = f"{GROUPS}/{group(client)['id']}"
    read = client.get(path).headers["etag"]
    written = client.put(path, json={"description": "new"}, headers={"If-Match": read})
    assert ok_json(written)["description"] == "new"
    assert written.headers["etag"] != read
    for method, body in (("PUT", {"description": "old"}), ("DELETE", None)):
        late = client.request(method, path, json=body, headers={"If-Match": read})
        check_error(late, 412, "PRECONDITION_FAILED", "If-Match")
    assert ok_json(client.get(path))["description"] == "new"


def test_groups_of_other_tenants_are_not_found(client: httpx2.Client, tenant: str) -> None:
    path = f"{GROUPS}/{group(client)['id']}"
    other = {"X-Tenant-ID": f"{tenant}-other"}
    check_error(client.get(path, headers=other), 404, "GROUP_NOT_FOUND")
    check_error(client.put(path, json={"name": "x"}, headers=other), 404, "GROUP_NOT_FOUND")
    check_error(client.delete(path, headers=other), 404, "GROUP_NOT_FOUND")
