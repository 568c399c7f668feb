"""A real server loads the tenants that were used most recently, and bounds those in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers import start
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import Server


def metric(server: Server, name: str) -> float:
    """Returns the value of a metric without labels."""
    text = server.request("GET", "/metrics").text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                return sample.value
    raise AssertionError(f"the server has no metric {name}")


def add_policy(server: Server, tenant: str) -> None:
    policy = {
        "name": "No rivals",
        "category": "custom",
        "pattern": "rival " * 100,
        "action": "block",
        "description": "x" * 1_000,
    }
    answer = server.request(
        "POST", "/api/v1/static-policies", json=policy, headers={"X-Tenant-ID": tenant}
    )
    assert answer.status_code == 201, answer.text


def decide(server: Server, tenant: str) -> str:
    body = {"tenant_id": tenant, "content": {"text": "rival " * 100}}
    return str(server.request("POST", "/v1/decide", json=body).json()["outcome"])


def test_the_most_recently_used_tenants_are_loaded_at_the_start(tmp_path: Path) -> None:
    with start(tmp_path, PDP_PREWARM_TENANTS="2") as server:
        for tenant in ("first", "second", "third"):
            add_policy(server, tenant)
        assert decide(server, "first") == "BLOCK"
        assert decide(server, "made-up") == "ALLOW"
    with start(tmp_path, PDP_PREWARM_TENANTS="2") as server:
        wait_until(lambda: metric(server, "pdp_tenants_compiled") == 2, "two tenants are loaded")
        misses = metric(server, "pdp_tenant_cache_misses_total")
        assert decide(server, "first") == decide(server, "third") == "BLOCK"
        assert metric(server, "pdp_tenant_cache_misses_total") == misses
        assert decide(server, "second") == "BLOCK"
        assert metric(server, "pdp_tenant_cache_misses_total") == misses + 1


def test_tenants_beyond_the_bound_are_loaded_again(tmp_path: Path) -> None:
    with start(tmp_path, PDP_TENANT_CACHE_MB="1") as server:
        tenants = [f"tenant-{number}" for number in range(90)]
        for tenant in tenants:
            add_policy(server, tenant)
        assert metric(server, "pdp_tenant_cache_evictions_total") > 0
        for tenant in tenants:
            assert decide(server, tenant) == "BLOCK"
        size = metric(server, "pdp_tenant_cache_bytes")
        assert size <= metric(server, "pdp_tenant_cache_limit_bytes") == 1_000_000
        assert 0 < metric(server, "pdp_tenants_compiled") < len(tenants)
