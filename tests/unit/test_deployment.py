"""The files in `deploy`, the Dockerfile, and the server agree with each other."""

from __future__ import annotations

import copy
import json
import math
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest
import yaml

from pdp import config, environment
from pdp.server.state import Readiness
from pdp.store.postgres.addresses import connection_string
from pdp.transport.http.builtin_routes import builtin_routes
from pdp.usage.shared.address import parse_server
from tests.support import manifests as kubernetes
from tests.support.manifests import CHART, MANIFESTS, ROOT, Manifest

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final = DEPLOY / "compose"
FILES: Final = [
    path
    for path in DEPLOY.rglob("*")
    if path.is_file() and path.suffix in {".json", ".md", ".tpl", ".txt", ".yaml"}
]
NAMES: Final = [path.name for path in sorted(MANIFESTS.glob("*.yaml"))]

OF_COMPOSE: Final = frozenset({"PDP_IMAGE"})
"""Variables of the Compose file itself."""

PROMETHEUS: Final = "http://prometheus:9090"


@pytest.fixture(params=NAMES)
def manifest(request: pytest.FixtureRequest) -> list[Manifest]:
    """The objects of each plain manifest."""
    return kubernetes.objects((MANIFESTS / request.param).read_text(encoding="utf-8"))


def values(name: str = "") -> Any:
    """Returns the default values of the chart, or a file of values over them."""
    loaded = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    more = yaml.safe_load((CHART / "ci" / name).read_text(encoding="utf-8")) if name else {}
    return merged(loaded, more)


def merged(base: Any, more: Any) -> Any:
    """Returns the values with others over them, as Helm merges them."""
    if not isinstance(base, dict) or not isinstance(more, dict):
        return copy.deepcopy(more)
    return {**base, **{key: merged(base.get(key), value) for key, value in more.items()}}


SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def refusals(document: Any) -> list[str]:
    """Returns the paths of the values that the schema refuses."""
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(document)
    return sorted(".".join(map(str, each.absolute_path)) for each in found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_exists(path: Path) -> None:
    """A file that names a setting that does not exist would be refused by the server."""
    named = set(re.findall(r"\bPDP_[A-Z0-9_]*[A-Z0-9]\b", path.read_text(encoding="utf-8")))
    known = environment.SETTINGS | environment.CLIENT | OF_COMPOSE
    prefixes = {"PDP_FOLLOW", "PDP_TLS"} if path.name == "values.schema.json" else set()
    assert named - known - prefixes == set()


def test_the_manifests_are_those_of_the_chart() -> None:
    assert sorted(path.name for path in (CHART / "ci").glob("*.yaml")) == NAMES
    assert len(NAMES) == 4


def test_pods_have_no_rights_and_no_secrets_in_plain_text(manifest: list[Manifest]) -> None:
    kubernetes.check_hardened(manifest)
    kubernetes.check_mounts(manifest)


def test_the_server_accepts_the_settings_of_the_manifests(
    manifest: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "PDP_DATABASE_URL": "postgresql://pdp:secret@postgres/pdp",
        "PDP_LIMITS_URL": "valkeys://:secret@valkey:6379/0",
    }
    given = {**kubernetes.environment(manifest)}
    for name, value in given.items():
        monkeypatch.setenv(name, secrets.get(name, value))
    assert not environment.unknown_variables(given)
    config.check_auth(config.load({}))


def test_ports_are_those_of_the_server(manifest: list[Manifest]) -> None:
    """Containers listen on the default ports, and Services lead to them by their names."""
    defaults = {
        name: config.split_address(config.Settings.model_fields[f"{name}_listen"].default)[1]
        for name in ("grpc", "http")
    }
    settings = kubernetes.environment(manifest)
    for name, port in defaults.items():
        address = settings[f"PDP_{name.upper()}_LISTEN"]
        assert address.startswith("unix:") or config.split_address(address)[1] == port
    ports = kubernetes.server(manifest).get("ports", ())
    assert {each["name"]: each["containerPort"] for each in ports} in ({}, defaults)
    for service in (each for each in manifest if each["kind"] == "Service"):
        assert {each["targetPort"]: each["port"] for each in service["spec"]["ports"]} == defaults
        labels = kubernetes.workload(manifest)["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()


def test_probes_are_routes_of_the_server_or_its_command(manifest: list[Manifest]) -> None:
    routes = builtin_routes(None, Readiness())  # type: ignore[arg-type] # only the paths are used
    container = kubernetes.server(manifest)
    probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
    assert {"livenessProbe", "startupProbe"} <= probes.keys()
    for probe in probes.values():
        if "exec" in probe:
            assert probe["exec"] == {"command": ["pdp", "health"]}
        else:
            assert probe["httpGet"]["path"] in routes
            assert probe["httpGet"]["port"] == "http"


def test_there_is_time_to_drain(manifest: list[Manifest]) -> None:
    drain = float(kubernetes.environment(manifest)["PDP_DRAIN_S"])
    container = kubernetes.server(manifest)
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert kubernetes.pod(manifest)["terminationGracePeriodSeconds"] > drain + before


def test_servers_with_sqlite_are_one(manifest: list[Manifest]) -> None:
    workload = kubernetes.workload(manifest)
    if kubernetes.environment(manifest).get("PDP_DATABASE_URL") is None:
        assert workload["spec"]["replicas"] == 1
        assert all(each["kind"] != "HorizontalPodAutoscaler" for each in manifest)
    else:
        scaler = kubernetes.of_kind(manifest, "HorizontalPodAutoscaler")["spec"]
        assert "replicas" not in workload["spec"]
        target = {key: scaler["scaleTargetRef"][key] for key in ("kind", "name")}
        assert target == {"kind": workload["kind"], "name": workload["metadata"]["name"]}
        assert scaler["minReplicas"] > 1


def test_versions_are_those_of_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == chart["version"] == project["version"]
    for path in MANIFESTS.glob("*.yaml"):
        image = kubernetes.server(kubernetes.objects(path.read_text(encoding="utf-8")))["image"]
        assert image == f"pdp:{project['version']}"


@pytest.mark.parametrize("name", ["", *NAMES])
def test_the_schema_accepts_the_values_that_ship(name: str) -> None:
    assert refusals(values(name)) == []


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"mode": "dev"}, "mode"),
        ({"replicas": "two"}, "replicas"),
        ({"replicas": 0}, "replicas"),
        ({"store": {"type": "mysql"}}, "store.type"),
        ({"store": {"postgresql": {"url": "postgresql://pdp:secret@db/pdp"}}}, "store.postgresql"),
        ({"image": {"digest": "latest"}}, "image.digest"),
        ({"settings": {"PDP_AUTH": "dev"}}, "settings"),
        ({"settings": {"PDP_DATABASE_URL": "postgresql://pdp:secret@db/pdp"}}, "settings"),
        ({"settings": {"PDP_API_KEY": "aa_live_1"}}, "settings"),
        ({"settings": {"PDP_TLS_CERT_FILE": "/x"}}, "settings"),
        ({"settings": {"HTTP_PROXY": "http://proxy"}}, "settings"),
        ({"files": [{"setting": "PDP_AUDIT_KEY_FILE", "key": "k"}]}, "files.0"),
        ({"files": [{"setting": "PDP_AUTH", "secretName": "s", "key": "k"}]}, "files.0.setting"),
        (
            {"secretEnvironment": {"SPLUNK_HEC_TOKEN": "secret"}},
            "secretEnvironment.SPLUNK_HEC_TOKEN",
        ),
        ({"secretEnvironment": {"PDP_AUTH": {"secretName": "s", "key": "k"}}}, "secretEnvironment"),
        ({"sidecar": {"follow": {"url": "http://pdp:50051"}}}, "sidecar.follow.url"),
        ({"sidecar": {"follow": {"signingKey": "short"}}}, "sidecar.follow.signingKey"),
        ({"sidecar": {"tenant": "a b"}}, "sidecar.tenant"),
        ({"tls": {"secretname": "x"}}, "tls"),
    ],
)
def test_the_schema_refuses_wrong_values(wrong: Any, path: str) -> None:
    assert set(refusals(merged(values(), wrong))) == {path}


def test_every_value_has_a_default_and_is_in_the_readme() -> None:
    assert SCHEMA["properties"].keys() - {"global"} == values().keys()
    page = (CHART / "README.md").read_text(encoding="utf-8")
    assert [key for key in values() if f"`{key}" not in page] == []


def test_the_build_context_has_what_the_dockerfile_copies() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert set(copied) == allowed
    assert all((ROOT / each).exists() for each in copied)


def test_the_image_has_the_extras_that_the_chart_needs() -> None:
    """It has no pip, so users cannot add packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {
        extra
        for extra, packages in project["optional-dependencies"].items()
        if any(each.startswith(("opentelemetry", "psycopg", "valkey")) for each in packages)
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^IMAGE_EXTRAS := (.+)$", makefile, re.MULTILINE)
    assert needed <= set(line.split())


def test_base_images_are_arguments() -> None:
    """Users pin them by digest."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", dockerfile, re.MULTILINE)
    assert len(stages) == len(re.findall(r"^FROM ", dockerfile, re.MULTILINE))
    earlier: set[str] = set()
    for base, stage in stages:
        assert base in earlier or re.fullmatch(r"\$\{(PYTHON|RUST)_IMAGE\}", base), base
        earlier.add(stage)


def test_the_arithmetic_of_the_scaling_page_is_right() -> None:
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    section = page.partition("## Processes")[2].partition("\n## ")[0]
    rows = [
        [int(cell.replace(",", "")) for cell in line.split("|")[2:-1]]
        for line in section.splitlines()
        if re.search(r"\| \d+ \|", line)
    ]
    assert len(rows) > 5
    for cost, *processes in rows:
        rates = (1_000, 10_000, 100_000)
        assert processes == [math.ceil(rate * cost / 1e6 / 0.6) for rate in rates], cost


def compose() -> Any:
    """Returns the Compose file."""
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))


def test_the_files_that_compose_mounts_exist() -> None:
    mounts = [
        volume.partition(":")[0]
        for service in compose()["services"].values()
        for volume in service["volumes"]
    ]
    files = [each for each in mounts if each.startswith(".")]
    assert len(files) == 5
    assert [each for each in files if not (COMPOSE / each).exists()] == []
    assert {each for each in mounts if not each.startswith(".")} == compose()["volumes"].keys()


def test_the_servers_accept_the_urls_of_compose() -> None:
    settings = compose()["services"]["pdp-1"]["environment"]
    database, counters = (
        re.sub(r"\$\{[^}]+\}", "secret", settings[name])
        for name in ("PDP_DATABASE_URL", "PDP_LIMITS_URL")
    )
    assert connection_string(database, "PDP_DATABASE_URL")
    assert str(parse_server(counters)) == "valkey:6379/0"


def test_compose_publishes_ports_on_loopback_only() -> None:
    services = compose()["services"]
    ports = [each for service in services.values() for each in service.get("ports", ())]
    assert len(set(ports)) == len(ports) == 6
    assert all(each.startswith("127.0.0.1:") for each in ports)


def test_compose_names_images_by_variables_and_has_no_password() -> None:
    for name, service in compose()["services"].items():
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z0-9/.:-]+\}", service["image"]), name
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable or "URL" in variable:
                assert re.search(r"\$\{[A-Z]+_PASSWORD:\?", value), variable


def test_prometheus_and_grafana_find_what_compose_starts() -> None:
    services = compose()["services"]
    prometheus = yaml.safe_load((COMPOSE / "prometheus.yaml").read_text(encoding="utf-8"))
    (scraped,) = prometheus["scrape_configs"]
    servers = {f"{name}:8080" for name in services if name.startswith("pdp-")}
    assert {each for group in scraped["static_configs"] for each in group["targets"]} == servers
    folder = "/etc/prometheus"
    mounted = [each.split(":")[1] for each in services["prometheus"]["volumes"]]
    assert [f"{folder}/{each}" in mounted for each in prometheus["rule_files"]] == [True]
    source = COMPOSE / "grafana/datasources/prometheus.yaml"
    (datasource,) = yaml.safe_load(source.read_text(encoding="utf-8"))["datasources"]
    assert datasource["url"] == PROMETHEUS
    provider = COMPOSE / "grafana/dashboards/pdp.yaml"
    (dashboards,) = yaml.safe_load(provider.read_text(encoding="utf-8"))["providers"]
    path = dashboards["options"]["path"]
    assert any(each.split(":")[1].startswith(path) for each in services["grafana"]["volumes"])
