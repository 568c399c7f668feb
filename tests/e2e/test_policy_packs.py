"""The policy pack API over HTTP, from the first operation to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.support.rest.packs import (
    BLOCK,
    CHAINS,
    PACK,
    PACKS,
    RULE,
    TIME,
    UNKNOWN_ID,
    bundle,
    check_error,
    created_json,
    ok_json,
    pack,
    rule,
    without_warnings,
)

if TYPE_CHECKING:
    import httpx2


def test_the_list_of_packs(client: httpx2.Client, tenant: str) -> None:
    """Bundles come first, then the tenant's own packs, each sorted by name."""
    for name in ("b pack", "A pack", "C pack"):
        pack(client, name)
    packs = ok_json(client.get(f"{PACKS}/"))
    assert packs == ok_json(client.get(PACKS))
    kinds = [each["pack_type"] for each in packs]
    assert kinds == sorted(kinds)
    for kind in ("bundle", "custom"):
        names = [each["name"] for each in packs if each["pack_type"] == kind]
        assert names == sorted(names, key=str.casefold)
    assert all(list(each) == PACK for each in packs)
    assert packs[-1]["tenant_id"] == tenant


def test_the_list_of_bundles(client: httpx2.Client) -> None:
    """The product ships at least eight bundles, and each has rules."""
    bundles = ok_json(client.get(f"{PACKS}/bundles/"))
    assert len(bundles) >= 8
    standards = {each["compliance_standard"] for each in bundles}
    assert standards >= {
        "PCI-DSS",
        "HIPAA",
        "GDPR",
        "SOC 2",
        "EU AI Act",
        "GLBA",
        "CCPA",
        "OWASP LLM Top 10",
    }
    for each in bundles:
        assert each["tenant_id"] is None
        assert each["pack_type"] == "bundle"
        assert each["rule_count"] >= 8
        assert each["is_active"] is True
        assert str(UUID(each["id"])) == each["id"]
        rules = ok_json(client.get(f"{PACKS}/{each['id']}/rules/"))
        assert [row["sequence"] for row in rules] == list(range(each["rule_count"]))


def test_create_a_pack(client: httpx2.Client, tenant: str) -> None:
    body = {
        "name": "Contractor Restrictions",
        "description": "Rules restricting contractor access to sensitive models",
        "pack_type": "custom",
        "compliance_standard": None,
        "version": "1.0",
        "is_active": True,
    }
    answer = created_json(client.post(f"{PACKS}/", json=body))
    assert list(without_warnings(answer)) == PACK
    assert answer == {**answer, **body, "tenant_id": tenant, "rule_count": 0}
    assert TIME.fullmatch(answer["created_at"])
    assert answer["created_at"] == answer["updated_at"]
    UUID(answer["id"])


def test_a_pack_has_defaults(client: httpx2.Client) -> None:
    answer = pack(client)
    assert answer["pack_type"] == "custom"
    assert (answer["version"], answer["description"]) == ("1.0", "")
    assert answer["is_active"] is True
    assert answer["compliance_standard"] is None


def test_invalid_packs_are_refused(client: httpx2.Client) -> None:
    def post(**body: Any) -> httpx2.Response:
        return client.post(f"{PACKS}/", json=body)

    check_error(post(name="x", pack_type="bundle"), 400, "BUNDLE_READONLY", "pack_type")
    check_error(post(), 400, "INVALID_ARGUMENT", "name")
    check_error(post(name=" "), 400, "INVALID_ARGUMENT", "name")
    check_error(post(name="x", pack_type="other"), 400, "INVALID_ARGUMENT", "pack_type")
    check_error(post(name="x", rule_cont=1), 400, "INVALID_ARGUMENT", "rule_cont")
    check_error(post(name=7), 400, "INVALID_ARGUMENT", "name")
    assert [each for each in ok_json(client.get(PACKS)) if each["tenant_id"]] == []


def test_get_a_pack(client: httpx2.Client) -> None:
    made_pack = pack(client)
    action = {"type": "BLOCK", "message": "This model is not available to contractor accounts."}
    conditions = {"models": ["claude-opus-4"], "user_groups": ["contractors"]}
    made_rule = rule(client, made_pack["id"], conditions=conditions, action=action)
    answer = ok_json(client.get(f"{PACKS}/{made_pack['id']}"))
    assert set(answer) == {*PACK, "rules"}
    assert answer["rule_count"] == 1
    assert answer["rules"] == [made_rule]
    assert list(made_rule) == RULE
    assert made_rule["conditions"] == conditions
    assert made_rule["action"] == action


def test_an_unknown_pack_is_not_found(client: httpx2.Client) -> None:
    path = f"{PACKS}/{UNKNOWN_ID}"
    check_error(client.get(path), 404, "PACK_NOT_FOUND")
    check_error(client.put(path, json={"name": "x"}), 404, "PACK_NOT_FOUND")
    check_error(client.delete(path), 404, "PACK_NOT_FOUND")
    check_error(client.get(f"{path}/rules/"), 404, "PACK_NOT_FOUND")
    body = {"name": "x", "action": {"type": "ALLOW"}}
    check_error(client.post(f"{path}/rules/", json=body), 404, "PACK_NOT_FOUND")
    check_error(client.put(f"{path}/rules/{UNKNOWN_ID}", json={}), 404, "PACK_NOT_FOUND")
    check_error(client.delete(f"{path}/rules/{UNKNOWN_ID}"), 404, "PACK_NOT_FOUND")
    check_error(client.post(f"{path}/rules/reorder", json={"entries": []}), 404, "PACK_NOT_FOUND")


def test_another_tenants_pack_is_not_found(client: httpx2.Client) -> None:
    """A tenant cannot read or change another tenant's pack, or add it to a chain."""
    made_pack = pack(client)
    made_rule = rule(client, made_pack["id"])
    other = {"X-Tenant-ID": f"{made_pack['tenant_id']}.other"}
    path = f"{PACKS}/{made_pack['id']}"
    check_error(client.get(path, headers=other), 404, "PACK_NOT_FOUND")
    check_error(client.delete(path, headers=other), 404, "PACK_NOT_FOUND")
    rule_path = f"{path}/rules/{made_rule['id']}"
    check_error(client.put(rule_path, json={}, headers=other), 404, "PACK_NOT_FOUND")
    body = {"packs": [{"id": bundle(client)["id"]}, {"id": made_pack["id"]}]}
    answer = client.put(f"{CHAINS}/org", json=body, headers=other)
    check_error(answer, 400, "INVALID_ARGUMENT", "packs[1].id")
    assert ok_json(client.get(CHAINS, headers=other)) == []


def test_update_a_pack(client: httpx2.Client) -> None:
    """Only fields in the request change."""
    before = pack(client, description="first", compliance_standard="INTERNAL")
    path = f"{PACKS}/{before['id']}"
    changes = {
        "name": "Contractor Restrictions v2",
        "description": "Updated contractor rules",
        "version": "2.0",
        "is_active": False,
    }
    after = without_warnings(ok_json(client.put(path, json=changes)))
    assert list(after) == PACK
    assert after == {**before, **changes, "updated_at": after["updated_at"]}
    again = without_warnings(ok_json(client.put(path, json={"is_active": True})))
    assert again == {**after, "is_active": True, "updated_at": again["updated_at"]}
    assert ok_json(client.put(path, json={}))["name"] == changes["name"]
    check_error(client.put(path, json={"name": ""}), 400, "INVALID_ARGUMENT", "name")
    check_error(
        client.put(path, json={"pack_type": "bundle"}), 400, "INVALID_ARGUMENT", "pack_type"
    )


def test_a_bundle_is_enabled_for_one_tenant(client: httpx2.Client) -> None:
    before = bundle(client)
    path = f"{PACKS}/{before['id']}"
    after = ok_json(client.put(path, json={"is_active": False}))
    assert after == {**before, "is_active": False, "updated_at": after["updated_at"]}
    assert bundle(client) == after
    other = {"X-Tenant-ID": "somebody-else-altogether"}
    assert ok_json(client.get(path, headers=other))["is_active"] is True
    same = {"name": before["name"], "version": before["version"], "is_active": True}
    assert ok_json(client.put(path, json=same))["is_active"] is True


def test_a_bundle_is_read_only(client: httpx2.Client) -> None:
    seeded = bundle(client)
    path = f"{PACKS}/{seeded['id']}"
    for field in ("name", "description", "version"):
        answer = client.put(path, json={field: "other", "is_active": False})
        check_error(answer, 400, "BUNDLE_READONLY", field)
    check_error(client.delete(path), 400, "BUNDLE_READONLY", "pack_id")
    body = {"name": "x", "action": {"type": "ALLOW"}}
    check_error(client.post(f"{path}/rules/", json=body), 400, "BUNDLE_READONLY", "pack_id")
    first = ok_json(client.get(path))["rules"][0]
    rule_path = f"{path}/rules/{first['id']}"
    check_error(client.put(rule_path, json={"name": "x"}), 400, "BUNDLE_READONLY", "pack_id")
    check_error(client.delete(rule_path), 400, "BUNDLE_READONLY", "pack_id")
    answer = client.post(f"{path}/rules/reorder", json={"entries": []})
    check_error(answer, 400, "BUNDLE_READONLY", "pack_id")
    assert bundle(client) == seeded


def test_delete_a_pack(client: httpx2.Client) -> None:
    made_pack = pack(client)
    rule(client, made_pack["id"])
    path = f"{PACKS}/{made_pack['id']}"
    answer = client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    check_error(client.get(path), 404, "PACK_NOT_FOUND")
    check_error(client.get(f"{path}/rules/"), 404, "PACK_NOT_FOUND")
    assert made_pack["id"] not in {each["id"] for each in ok_json(client.get(PACKS))}


def test_a_pack_with_an_invalid_rule_is_not_created(client: httpx2.Client) -> None:
    rules: list[dict[str, Any]] = [
        {"name": "one", "action": {"type": "ALLOW"}},
        {"name": "two", "action": {"type": "REDACT"}, "sequence": 5},
    ]
    made_pack = pack(client, rules=rules)
    assert made_pack["rule_count"] == 2
    listed = ok_json(client.get(f"{PACKS}/{made_pack['id']}/rules/"))
    assert [(each["name"], each["sequence"]) for each in listed] == [("one", 0), ("two", 5)]
    bad = [*rules, {"name": "three", "conditions": {"content_regex": "("}, "action": BLOCK}]
    answer = client.post(f"{PACKS}/", json={"name": "x", "rules": bad})
    check_error(answer, 400, "INVALID_PATTERN", "rules[2].conditions.content_regex")
    bad = [*rules, {**rules[1], "sequence": 0}]
    answer = client.post(f"{PACKS}/", json={"name": "x", "rules": bad})
    check_error(answer, 400, "INVALID_ARGUMENT", "rules[2].sequence")
    answer = client.post(f"{PACKS}/", json={"name": "x", "rules": rules[:1] * 1001})
    check_error(answer, 400, "INVALID_ARGUMENT", "rules")
    assert [each["id"] for each in ok_json(client.get(PACKS)) if each["tenant_id"]] == [
        made_pack["id"]
    ]


def test_a_hundred_thousand_rules_are_refused(client: httpx2.Client) -> None:
    rules = [{"name": "r", "action": {"type": "ALLOW"}}] * 100_000
    answer = client.post(f"{PACKS}/", json={"name": "x", "rules": rules})
    check_error(answer, 400, "INVALID_ARGUMENT", "rules")


def test_writes_with_a_stale_etag_are_refused(client: httpx2.Client) -> None:
    """If-Match protects a pack against stale writes, also after a change to one of its rules."""
    pack_id = pack(client)["id"]
    path = f"{PACKS}/{pack_id}"
    tag = client.get(path).headers["etag"]
    made_rule = rule(client, pack_id)
    answer = client.put(path, json={"name": "x"}, headers={"If-Match": tag})
    check_error(answer, 412, "PRECONDITION_FAILED", "If-Match")
    answer = client.delete(path, headers={"If-Match": tag})
    check_error(answer, 412, "PRECONDITION_FAILED", "If-Match")
    tag = client.get(path).headers["etag"]
    assert client.put(path, json={"name": "x"}, headers={"If-Match": tag}).status_code == 200
    rule_path = f"{path}/rules/{made_rule['id']}"
    changed = client.put(rule_path, json={"name": "y"})
    answer = client.put(rule_path, json={"name": "z"}, headers={"If-Match": '"1"'})
    check_error(answer, 412, "PRECONDITION_FAILED", "If-Match")
    tagged = {"If-Match": changed.headers["etag"]}
    assert client.put(rule_path, json={"name": "z"}, headers=tagged).status_code == 200
    chain = client.put(f"{CHAINS}/org", json={"packs": []})
    answer = client.put(f"{CHAINS}/org", json={}, headers={"If-Match": '"1"'})
    check_error(answer, 412, "PRECONDITION_FAILED", "If-Match")
    tagged = {"If-Match": chain.headers["etag"]}
    assert client.put(f"{CHAINS}/org", json={}, headers=tagged).status_code == 200
