"""The family of a static policy: of every system policy, and of no tenant's policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain.static_policy import FAMILIES
from tests.support.rest.packs import created_json, ok_json

if TYPE_CHECKING:
    import httpx2

POLICIES: Final = "/api/v1/static-policies"
DRAFT: Final = {"name": "Mine", "category": "security", "pattern": "mine", "action": "log"}


def listed(client: httpx2.Client) -> list[dict[str, Any]]:
    first = ok_json(client.get(POLICIES, params={"page_size": 100}))
    pages = range(2, first["pagination"]["total_pages"] + 1)
    others = (ok_json(client.get(POLICIES, params={"page_size": 100, "page": n})) for n in pages)
    return [*first["policies"], *(each for page in others for each in page["policies"])]


def test_every_system_policy_has_a_family(client: httpx2.Client) -> None:
    families = {each["id"]: each["family"] for each in listed(client) if each["system"]}
    assert set(families.values()) == FAMILIES
    assert families["sys_sqli_union"] == "sql"
    assert families["sys_command_delete_root"] == "command"
    effective = ok_json(client.get(f"{POLICIES}/effective"))["effective_policies"]
    assert {each["id"]: each["family"] for each in effective} == families
    assert ok_json(client.get(f"{POLICIES}/sys_sqli_union"))["family"] == "sql"


def test_a_tenants_policy_has_none(client: httpx2.Client) -> None:
    created = created_json(client.post(POLICIES, json=DRAFT))["policy"]
    assert "family" not in created
    own = [each for each in listed(client) if not each["system"]]
    effective = ok_json(client.get(f"{POLICIES}/effective"))["effective_policies"]
    own += [each for each in effective if each["source"] == "tenant"]
    own.append(ok_json(client.get(f"{POLICIES}/{created['id']}")))
    assert len(own) == 3
    assert not [each for each in own if "family" in each]
