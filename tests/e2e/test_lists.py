"""Long lists: whole as documented, or page by page if the caller asks for pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pdp._gen.pdp.v1 import dlp_rule_pb2, limits_pb2, static_policy_pb2
from pdp.transport.paging import CHUNK
from tests.support.rest.dlp import PROJECT, RULES, rule
from tests.support.rest.packs import check_error, created_json, ok_json

if TYPE_CHECKING:
    import httpx2

    from pdp.client.remote import RemoteClient

POLICIES = "/api/v1/static-policies"
LIMITS = "/api/admin/limits"
COUNT = 2 * CHUNK + 7
"""Items for three parts of a whole list."""

LINK = re.compile(r'<([^>]+)>; rel="(next|first)"')


def links(response: httpx2.Response) -> dict[str, str]:
    return {relation: url for url, relation in LINK.findall(response.headers["link"])}


def pages(client: httpx2.Client, url: str, size: int, field: str = "") -> list[Any]:
    """Follows the links of a list from its first page, and returns all items."""
    items: list[Any] = []
    separator = "&" if "?" in url else "?"
    next_url: str | None = f"{url}{separator}page_size={size}"
    while next_url:
        response = client.get(next_url)
        page = ok_json(response)
        page = page[field] if field else page
        assert len(page) <= size
        items += page
        next_url = links(response).get("next")
    return items


def import_rules(client: httpx2.Client, count: int) -> None:
    rules = [{**PROJECT, "detector_name": f"Rule {each}"} for each in range(count)]
    assert ok_json(client.post(f"{RULES}/import", json=rules))["created"] == count


def test_a_long_list_is_whole_and_its_pages_have_the_same_items(client: httpx2.Client) -> None:
    import_rules(client, COUNT)
    response = client.get(f"{RULES}/")
    rules = ok_json(response)
    assert [each["detector_name"] for each in rules[-COUNT:]] == [
        f"Rule {each}" for each in range(COUNT)
    ]
    assert response.headers["x-total-count"] == str(len(rules))
    assert list(links(response)) == ["first"]
    assert ok_json(client.get(links(response)["first"])) == rules[:50]
    assert pages(client, f"{RULES}/", 199) == rules
    # A page that ends with the last platform rule.
    shipped = sum(each.get("source") == "platform" for each in rules)
    assert pages(client, f"{RULES}/", shipped) == rules
    head = client.head(f"{RULES}/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["x-total-count"] == str(len(rules))


def test_pages_are_filtered_as_the_list_is(client: httpx2.Client) -> None:
    import_rules(client, 5)
    rule(client, detector_name="Off", enabled=False)
    url = f"{RULES}/?enabled=false&detector_type=regex"
    response = client.get(url)
    rules = ok_json(response)
    assert rules[-1]["detector_name"] == "Off"
    assert response.headers["x-total-count"] == str(len(rules))
    assert pages(client, url, 3) == rules
    first = parse_qs(urlsplit(links(response)["first"]).query)
    assert first == {"enabled": ["false"], "detector_type": ["regex"], "page_size": ["50"]}


def test_a_short_list_has_a_length_and_no_next_page(client: httpx2.Client) -> None:
    rule(client)
    response = client.get(f"{RULES}/{rule(client, detector_name='B')['id']}/versions")
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["x-total-count"] == "1"
    assert list(links(response)) == ["first"]


def test_the_versions_of_a_rule_in_pages(client: httpx2.Client) -> None:
    rule_id = rule(client)["id"]
    for index in range(CHUNK + 3):
        body = {"action_tier": "block" if index % 2 else "log_only"}
        ok_json(client.put(f"{RULES}/{rule_id}", json=body))
    assert client.delete(f"{RULES}/{rule_id}").status_code == 204
    url = f"{RULES}/{rule_id}/versions"
    response = client.get(url)
    versions = ok_json(response)
    assert response.headers["x-total-count"] == str(len(versions)) == str(CHUNK + 5)
    assert [each["change_type"] for each in versions] == [
        "delete",
        *["update"] * (CHUNK + 3),
        "create",
    ]
    assert pages(client, url, 60) == versions
    assert pages(client, url, 1)[-3:] == versions[-3:]


def test_the_versions_of_a_customised_platform_rule_in_pages(client: httpx2.Client) -> None:
    shipped = next(each for each in ok_json(client.get(RULES)) if each.get("bundle_id"))
    bundle = f"/api/admin/compliance-bundles/{shipped['bundle_id']}"
    url = f"{RULES}/{shipped['id']}"
    ok_json(client.put(url, json={"action_tier": "block"}))
    ok_json(client.post(f"{bundle}/activate"))
    ok_json(client.put(url, json={"confidence_threshold": 0.1}))
    ok_json(client.post(f"{bundle}/deactivate"))
    response = client.get(f"{url}/versions")
    versions = ok_json(response)
    enabled = [(each["old_values"] or {}).get("enabled") for each in versions]
    assert enabled == [True, True, False, False, None]
    assert response.headers["x-total-count"] == "5"
    for size in (1, 2, 3):
        assert pages(client, f"{url}/versions", size) == versions


def test_the_versions_of_a_static_policy_in_pages(client: httpx2.Client) -> None:
    body = {"name": "P", "category": "custom", "pattern": "x", "action": "log"}
    policy = created_json(client.post(POLICIES, json=body))["policy"]
    url = f"{POLICIES}/{policy['id']}"
    for index in range(CHUNK):
        ok_json(client.put(url, json={"pattern": f"x{index}"}))
    whole = ok_json(client.get(f"{url}/versions"))
    assert list(whole) == ["policy_id", "versions", "current_version"]
    assert whole["current_version"] == CHUNK + 1
    assert [each["version"] for each in whole["versions"]] == list(range(CHUNK + 1, 0, -1))
    assert pages(client, f"{url}/versions", 30, "versions") == whole["versions"]
    page = ok_json(client.get(f"{url}/versions?page_size=2"))
    assert page["current_version"] == CHUNK + 1
    assert page["next_page_token"]


def test_the_effective_policies_in_pages(client: httpx2.Client) -> None:
    for index in range(CHUNK):
        body = {"name": f"P{index}", "category": "custom", "pattern": f"x{index}", "action": "log"}
        created_json(client.post(POLICIES, json=body))
    url = f"{POLICIES}/effective"
    whole = ok_json(client.get(url))
    policies = whole["effective_policies"]
    assert list(whole)[-3:] == ["system_policies_count", "tenant_policies_count", "overrides_count"]
    assert whole["tenant_policies_count"] == CHUNK
    assert len(policies) == whole["system_policies_count"] + CHUNK
    assert pages(client, url, 101, "effective_policies") == policies
    for size in (1, 7, 100):
        last = -(-len(policies) // size)
        page = ok_json(client.get(f"{POLICIES}?page={last}&page_size={size}"))
        ids = [each["id"] for each in page["policies"]]
        assert ids == [each["id"] for each in policies[(last - 1) * size :]]
        assert page["pagination"]["total_count"] == len(policies)


@pytest.mark.parametrize("path", [LIMITS, f"{LIMITS}/usage"])
def test_limits_and_their_usage_in_pages(client: httpx2.Client, path: str) -> None:
    for index in range(5):
        body = {"scope": "user", "subject_id": f"u{index}", "daily_request_limit": index + 1}
        created_json(client.post(LIMITS, json=body))
    whole = ok_json(client.get(path))
    assert [each["subject_id"] for each in whole] == [f"u{index}" for index in range(5)]
    assert [each["subject_id"] for each in pages(client, path, 2)] == [
        each["subject_id"] for each in whole
    ]


def test_a_token_of_another_list_is_refused(client: httpx2.Client) -> None:
    rule_id = rule(client)["id"]
    for token in ("x1", "r", "t1x", "r1"):
        response = client.get(f"{RULES}?page_token={token}")
        check_error(response, 400, "INVALID_ARGUMENT", "page_token")
    response = client.get(f"{RULES}/{rule_id}/versions?page_token=t1")
    check_error(response, 400, "INVALID_ARGUMENT", "page_token")
    for size in (0, 1001):
        check_error(client.get(f"{RULES}?page_size={size}"), 400, "INVALID_ARGUMENT", "page_size")
    assert client.get(f"{RULES}?page_size=1000").status_code == 200


def test_grpc_has_the_same_pages(client: httpx2.Client, remote: RemoteClient, tenant: str) -> None:
    import_rules(client, COUNT)
    whole = remote.call("ListDlpRules", dlp_rule_pb2.ListDlpRulesRequest(), tenant)
    assert isinstance(whole.message, dlp_rule_pb2.ListDlpRulesResponse)
    assert whole.metadata["x-total-count"] == str(len(whole.message.rules))
    rules: list[dlp_rule_pb2.DlpRule] = []
    token = ""
    while True:
        request = dlp_rule_pb2.ListDlpRulesRequest(page_size=300, page_token=token)
        page = remote.call("ListDlpRules", request, tenant)
        assert isinstance(page.message, dlp_rule_pb2.ListDlpRulesResponse)
        rules += page.message.rules
        token = page.message.next_page_token
        assert page.metadata.get("x-next-page-token", "") == token
        if not token:
            break
    assert rules == list(whole.message.rules)
    assert not whole.message.next_page_token


def test_grpc_pages_of_limits_and_effective_policies(remote: RemoteClient, tenant: str) -> None:
    limits = remote.call("ListLimits", limits_pb2.ListLimitsRequest(page_size=1), tenant)
    assert limits.metadata["x-total-count"] == "0"
    request = static_policy_pb2.ListEffectiveStaticPoliciesRequest(page_size=1)
    page = remote.call("ListEffectiveStaticPolicies", request, tenant)
    assert isinstance(page.message, static_policy_pb2.ListEffectiveStaticPoliciesResponse)
    assert len(page.message.effective_policies) == 1
    assert page.message.system_policies_count > 1
