"""The chart, the Compose file and the alert rules, read by the programs that use them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.support import manifests as kubernetes
from tests.support.manifests import CHART, MANIFESTS, ROOT, Manifest
from tests.support.program_environments import environment_of, unavailable
from tools.manifests import KUBERNETES, VALUES, render

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.deploy

TIMEOUT_S: Final = 120
WITHOUT_SCHEMA: Final = frozenset({"PodMonitor", "PrometheusRule"})
"""Kinds of the Prometheus operator."""

TLS: Final = "tls.secretName=pdp-tls"
POSTGRESQL: Final = ("store.type=postgresql", "store.postgresql.secretName=db", TLS)
RECORDS: Final = "records.postgresql.secretName=db"
SIDECAR: Final = ("mode=sidecar", "sidecar.tenant=acme")
APP: Final = ("sidecar.containers[0].name=app", "sidecar.containers[0].image=app")

VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "central without TLS, in a mesh": ("tls.terminatedByMesh=true",),
    "client certificates": (TLS, "tls.clientCaSecretName=pdp-clients"),
    "several servers": (*POSTGRESQL, "replicas=3", "volume.storageClassName=fast"),
    "scaled": (*POSTGRESQL, "autoscaling.enabled=true"),
    "records in PostgreSQL": (*POSTGRESQL, RECORDS, "replicas=3", "autoscaling.enabled=true"),
    "records in PostgreSQL alone": (TLS, RECORDS),
    "a database with an authority of its own": (*POSTGRESQL, "store.postgresql.caSecretName=ca"),
    "watched": (TLS, "monitoring.podMonitor=true", "monitoring.rules=true"),
    "open to all": (TLS, "networkPolicy.enabled=false", "service.type=LoadBalancer"),
    "placed": (
        TLS,
        "nodeSelector.disk=ssd",
        "tolerations[0].key=dedicated",
        "tolerations[0].operator=Exists",
        "priorityClassName=critical",
        "image.pullSecrets[0]=registry",
        "podLabels.team=security",
        "podAnnotations.note=x",
    ),
    "more settings": (
        TLS,
        "settings.PDP_LOG_LEVEL=warning",
        "files[0].setting=PDP_AUDIT_KEY_FILE",
        "files[0].secretName=audit",
        "files[0].key=chain.key",
        "files[1].setting=PDP_RISK_FILE",
        "files[1].configMapName=risk",
        "files[1].key=risk.yaml",
        "secretEnvironment.SPLUNK_HEC_TOKEN.secretName=siem",
        "secretEnvironment.SPLUNK_HEC_TOKEN.key=token",
    ),
    "a sidecar on a socket": (*SIDECAR, *APP, "sidecar.listen=socket"),
}

REFUSED: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "two servers with SQLite": ((TLS, "replicas=2"), "several servers cannot share SQLite"),
    "SQLite that scales": ((TLS, "autoscaling.enabled=true"), "cannot share SQLite"),
    "plain text": ((), "tls.secretName: is required"),
    "two ends of TLS": ((TLS, "tls.terminatedByMesh=true"), "Set one of the two"),
    "PostgreSQL without a Secret": (("store.type=postgresql", TLS), "Name a Secret"),
    "TLS on the native front": ((TLS, "settings.PDP_GRPC_SERVER=native"), "has no TLS"),
    "bounds that cross": (
        (*POSTGRESQL, "autoscaling.enabled=true", "autoscaling.maxReplicas=2"),
        "minReplicas: is above maxReplicas",
    ),
    "development mode": ((TLS, "settings.PDP_AUTH=dev"), "PDP_AUTH"),
    "a password in the values": (
        (TLS, "settings.PDP_DATABASE_URL=postgresql://pdp:secret@db/pdp"),
        "PDP_DATABASE_URL",
    ),
    "an unknown value": ((TLS, "replica=2"), "replica"),
    "a wrong type": ((TLS, "replicas=two"), "replicas"),
    "a sidecar for no tenant": (("mode=sidecar", *APP), "sidecar.tenant: is required"),
    "a follower without a key": (
        (*SIDECAR, *APP, "sidecar.follow.url=https://pdp:50051"),
        "sidecar.follow.secretName: is required",
    ),
    "a follower that trusts any key": (
        (*SIDECAR, *APP, "sidecar.follow.url=https://pdp:50051", "sidecar.follow.secretName=f"),
        "sidecar.follow.signingKey: is required",
    ),
    "a follower without a server": ((*SIDECAR, *APP, "sidecar.follow.secretName=f"), "follow.url"),
}


def program(variable: str) -> Path:
    """Returns a program that make has built."""
    name = os.environ.get(variable)
    if not name:
        unavailable(f"{variable} is not set: run `make test-deploy`")
    return (ROOT / name).resolve()


def run(
    *command: str | Path, cwd: Path = ROOT, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs a program until it ends."""
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def helm() -> Path:
    """The program."""
    return program("PDP_TEST_HELM")


@pytest.fixture(scope="module")
def validate() -> Path:
    """The program that checks manifests against the schemas of Kubernetes."""
    return environment_of("kubernetes-validate") / "bin/kubernetes-validate"


def template(helm: Path, chart: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Renders a chart."""
    return run(helm, "template", "pdp", chart, "--kube-version", KUBERNETES, *options)


def of_values(sets: tuple[str, ...]) -> list[str]:
    """Returns the options of Helm for values."""
    return [option for each in sets for option in ("--set", each)]


def rendered(helm: Path, *options: str | Path, chart: Path = CHART) -> str:
    """Returns what a chart renders."""
    result = template(helm, chart, *options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def check(validate: Path, text: str) -> list[Manifest]:
    """Checks manifests; returns their objects."""
    result = run(validate, "--strict", "-", stdin=text)
    assert result.returncode == 0, result.stdout + result.stderr
    objects = kubernetes.objects(text)
    passed = (result.stdout + result.stderr).count(" passed for resource ")
    assert passed == sum(each["kind"] not in WITHOUT_SCHEMA for each in objects)
    return objects


@pytest.mark.parametrize("values", sorted(VALUES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_plain_manifests_are_what_the_chart_renders(
    values: Path, helm: Path, validate: Path
) -> None:
    text = render(helm, values)
    assert text == (MANIFESTS / values.name).read_text(encoding="utf-8"), "run `make manifests`"
    check(validate, text)


@pytest.mark.parametrize("sets", VARIANTS.values(), ids=VARIANTS)
def test_variants_are_valid_and_hardened(sets: tuple[str, ...], helm: Path, validate: Path) -> None:
    objects = check(validate, rendered(helm, *of_values(sets)))
    kubernetes.check_hardened(objects)
    kubernetes.check_mounts(objects)


@pytest.mark.parametrize(("sets", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_or_is_unsafe_is_refused(
    sets: tuple[str, ...], message: str, helm: Path
) -> None:
    result = template(helm, CHART, *of_values(sets))
    assert result.returncode != 0
    assert message in result.stderr
    assert result.stdout == ""


def test_a_wrong_manifest_would_be_noticed(helm: Path, validate: Path) -> None:
    objects = kubernetes.objects(rendered(helm, *of_values((TLS,))))
    kubernetes.workload(objects)["spec"]["replicas"] = "two"
    result = run(validate, "--strict", "-", stdin=yaml.safe_dump_all(objects))
    assert result.returncode != 0


def test_helm_finds_no_fault(helm: Path) -> None:
    result = run(helm, "lint", "--strict", CHART, *of_values((TLS,)))
    assert result.returncode == 0, result.stdout


def test_several_servers_have_volumes_and_are_not_ended_together(helm: Path) -> None:
    objects = kubernetes.objects(rendered(helm, *of_values(VARIANTS["several servers"])))
    assert kubernetes.workload(objects)["kind"] == "StatefulSet"
    assert kubernetes.environment(objects)["PDP_DATABASE_URL"] == "secret"
    assert kubernetes.of_kind(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_servers_that_share_their_records_need_no_volumes(helm: Path) -> None:
    objects = kubernetes.objects(rendered(helm, *of_values(VARIANTS["records in PostgreSQL"])))
    deployment = kubernetes.workload(objects)
    assert deployment["kind"] == "Deployment"
    assert "volumeClaimTemplates" not in deployment["spec"]
    assert kubernetes.environment(objects)["PDP_AUDIT_URL"] == "secret"
    scaler = kubernetes.of_kind(objects, "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["kind"] == "Deployment"


def test_a_server_with_a_file_of_policies_keeps_its_volume(helm: Path) -> None:
    sets = VARIANTS["records in PostgreSQL alone"]
    objects = kubernetes.objects(rendered(helm, *of_values(sets)))
    assert kubernetes.workload(objects)["kind"] == "StatefulSet"
    assert kubernetes.environment(objects)["PDP_AUDIT_URL"] == "secret"


def test_a_digest_is_used_in_place_of_the_tag(helm: Path) -> None:
    digest = "sha256:" + "0" * 64
    sets = (TLS, "image.repository=registry.example/pdp", f"image.digest={digest}", "image.tag=x")
    objects = kubernetes.objects(rendered(helm, *of_values(sets)))
    assert kubernetes.server(objects)["image"] == f"registry.example/pdp@{digest}"


def test_the_rules_of_the_chart_are_the_alert_rules(helm: Path) -> None:
    objects = kubernetes.objects(rendered(helm, *of_values(VARIANTS["watched"])))
    rules = yaml.safe_load((CHART / "files/alerts.yaml").read_text(encoding="utf-8"))
    assert kubernetes.of_kind(objects, "PrometheusRule")["spec"] == rules
    (endpoint,) = kubernetes.of_kind(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["path"], endpoint["scheme"]) == ("/metrics", "https")


def test_another_chart_includes_the_sidecar(helm: Path, validate: Path, tmp_path: Path) -> None:
    """The example of the chart's README, with the chart as a dependency."""
    page = (CHART / "README.md").read_text(encoding="utf-8")
    example = page.partition("## A sidecar in your own chart")[2]
    blocks = [block.partition("\n")[2] for block in example.split("```")[1::2]]
    dependency, values, pod_template = blocks[:3]
    chart = tmp_path / "shop"
    (chart / "templates").mkdir(parents=True)
    shutil.copytree(CHART, chart / "charts/pdp")
    own = f"apiVersion: v2\nname: shop\nversion: 1.0.0\n{dependency}"
    (chart / "Chart.yaml").write_text(own, encoding="utf-8")
    (chart / "values.yaml").write_text(values, encoding="utf-8")
    (chart / "templates/deployment.yaml").write_text(pod_template, encoding="utf-8")
    objects = check(validate, rendered(helm, chart=chart))
    assert [each["kind"] for each in objects] == ["Deployment"]
    kubernetes.check_hardened(objects)
    kubernetes.check_mounts(objects)
    assert kubernetes.environment(objects)["PDP_LOCAL_TENANT"] == "acme"


def test_compose_loads_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "deploy/compose"
    shutil.copytree(ROOT / "deploy/compose", folder)
    loader = program("PDP_TEST_COMPOSE")
    refused = run(loader, "compose.yaml", cwd=folder)
    assert refused.returncode != 0
    assert "POSTGRES_PASSWORD is missing a value" in refused.stderr
    # This loader reads no variables of the environment.
    file = folder / "compose.yaml"
    text = re.sub(r"\$\{\w+_PASSWORD:\?[^}]*\}", "abc", file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    loaded = run(loader, "-format", "json", "compose.yaml", cwd=folder)
    assert loaded.returncode == 0, loaded.stderr
    services: dict[str, Any] = json.loads(loaded.stdout)["services"]
    for name in ("pdp-1", "pdp-2"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        url = services[name]["environment"]["PDP_DATABASE_URL"]
        assert url == "postgresql://pdp:abc@postgres:5432/pdp?sslmode=disable"


def test_prometheus_can_parse_all_expressions() -> None:
    rules = yaml.safe_load((CHART / "files/alerts.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text(encoding="utf-8"))
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    drawn = [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]
    script = (
        "import json, sys, promql_parser\n"
        "for each in json.load(sys.stdin): promql_parser.parse(each)\n"
    )
    python = environment_of("promql-parser") / "bin/python"
    good = run(python, "-c", script, stdin=json.dumps([*alerts, *drawn]))
    assert good.returncode == 0, good.stderr
    bad = run(python, "-c", script, stdin=json.dumps(["rate(pdp_calls_total[5m)"]))
    assert bad.returncode != 0
    assert len(alerts) > 10
    assert len(drawn) > 20
