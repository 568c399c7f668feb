"""The metrics of a real server, and the dashboards and pages that refer to them."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx2
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support import servers
from tests.support.tls_servers import tls_server

if TYPE_CHECKING:
    from tests.support.servers import Server

Labels = frozenset[tuple[str, str]]
NONE: Final[Labels] = frozenset()

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
SECURED: Final = frozenset(
    {
        "pdp_api_keys",
        "pdp_tls_reloads_total",
        "pdp_tls_reload_failures_total",
        "pdp_tls_certificate_expires_at_seconds",
    }
)
"""Metrics that exist only if the server requires credentials or uses TLS."""

SHARED: Final = frozenset(
    {
        "pdp_limits_connections_lost_total",
        "pdp_limits_counted_alone_total",
        "pdp_limits_refusals_total",
        "pdp_limits_shared",
        "pdp_limits_timeouts_total",
    }
)
"""Metrics that exist only with shared counters of limits; test_shared_limits.py reads them."""

SAVING: Final = frozenset(
    {
        "pdp_saved_policies_age_seconds",
        "pdp_saved_policies_refused_total",
        "pdp_saved_policies_revision",
        "pdp_stale_decisions_total",
    }
)
"""Metrics that exist only if the server saves policies in files."""


def scraped(server: Server) -> dict[str, dict[Labels, float]]:
    """Returns the samples by name, each by its labels."""
    text = server.request("GET", "/metrics").text
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def names(server: Server) -> set[str]:
    """Returns the metrics' names, those of counters with `_total`, histograms' without an end."""
    return names_in(server.request("GET", "/metrics").text)


def names_in(page: str) -> set[str]:
    """Returns the metrics' names in a page of metrics."""
    return set(re.findall(r"^# TYPE (\w+)", page, re.MULTILINE))


def decide(server: Server, tenant: str, text: str) -> None:
    body = {"tenant_id": tenant, "content": {"text": text}}
    answer = server.request("POST", "/v1/decide", json=body)
    assert answer.status_code == 200


def test_decisions_are_counted_by_outcome_and_layer(server: Server, tenant: str) -> None:
    before = scraped(server)
    decide(server, tenant, "1 UNION SELECT password FROM users")
    after = scraped(server)

    def risen(name: str, **labels: str) -> bool:
        key = frozenset(labels.items())
        return after[name][key] > before.get(name, {}).get(key, 0)

    assert risen("pdp_decisions_total", outcome="BLOCK", reason_code="STATIC_POLICY_BLOCK")
    assert risen("pdp_matches_total", layer="static", action="block")
    assert risen("pdp_calls_total", transport="http", method="Decide", code="OK")
    assert risen("pdp_call_seconds_count", transport="http", method="Decide")


def test_metrics_change_with_the_policies(server: Server, tenant: str) -> None:
    before = scraped(server)
    policy = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}
    with server.client(tenant) as client:
        created = client.post("/api/v1/static-policies", json=policy)
    assert created.status_code == 201
    after = scraped(server)
    for name in (
        "pdp_snapshot_revision",
        "pdp_compilations_total",
        "pdp_compilation_seconds_total",
    ):
        assert after[name][NONE] > before[name][NONE], name
    assert (
        after["pdp_compilation_seconds_total"][NONE] > before["pdp_compilation_seconds_total"][NONE]
    )
    assert after["pdp_snapshot_age_seconds"][NONE] >= 0


def test_every_metric_is_documented(server: Server) -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(pdp_\w+)` \|", page, re.MULTILINE))
    assert names(server) == documented - SECURED - SHARED - SAVING


def test_a_server_that_saves_policies_has_metrics_of_them(tmp_path: Path) -> None:
    with servers.start(tmp_path, PDP_SNAPSHOT_DIR=str(tmp_path / "saved")) as server:
        assert names(server) >= SAVING


def test_the_dashboard_uses_existing_metrics(server: Server) -> None:
    dashboard: dict[str, Any] = json.loads(
        (DOCS / "grafana-dashboard.json").read_text(encoding="utf-8")
    )
    drawn = {
        name.removesuffix("_bucket")
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"pdp_\w+", target["expr"])
    }
    assert drawn <= names(server)
    assert len(drawn) > 20


def test_alert_rules_use_existing_metrics(server: Server, tmp_path: Path) -> None:
    """Some exist only with TLS, some only on a follower."""
    rules = yaml.safe_load((ROOT / "deploy/helm/pdp/files/alerts.yaml").read_text(encoding="utf-8"))
    used = {
        name.removesuffix("_bucket")
        for group in rules["groups"]
        for rule in group["rules"]
        for name in re.findall(r"pdp_\w+", rule["expr"])
    }
    key_file = tmp_path / "key"
    key_file.write_text("a key", encoding="utf-8")
    following = {
        "PDP_FOLLOW": f"http://{servers.free_addresses()[0]}",  # no server, which it survives
        "PDP_FOLLOW_KEY_FILE": str(key_file),
        "PDP_AUTH": "local-pep",
        "PDP_LOCAL_TENANT": "acme",
    }
    with servers.start(tmp_path / "follower", **following) as follower:
        existing = names(server) | names(follower)
    with tls_server(tmp_path) as secured:
        context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
        url = f"{secured.server.http_url}/metrics"
        existing |= names_in(httpx2.get(url, verify=context, trust_env=False).text)
    assert used - existing == set()
    assert len(used) > 10
