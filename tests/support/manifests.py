"""The objects in the manifests of Kubernetes, and what must be true of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy/helm/pdp"
MANIFESTS: Final = ROOT / "deploy/kubernetes"

SECRET_SETTINGS: Final = frozenset(
    {"PDP_API_KEY", "PDP_AUDIT_URL", "PDP_DATABASE_URL", "PDP_LIMITS_URL", "PDP_TOKEN"}
)
"""Settings whose value may have a password."""

Manifest = dict[str, Any]


def objects(text: str) -> list[Manifest]:
    """Returns the objects of a manifest."""
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(manifests: Sequence[Manifest], kind: str) -> Manifest:
    """Returns the only object of a kind, or the first one of several."""
    return next(each for each in manifests if each["kind"] == kind)


def workload(manifests: Sequence[Manifest]) -> Manifest:
    """Returns the Deployment or StatefulSet."""
    (found,) = (each for each in manifests if each["kind"] in {"Deployment", "StatefulSet"})
    return found


def pod(manifests: Sequence[Manifest]) -> Manifest:
    """Returns the `spec` of the pods."""
    spec: Manifest = workload(manifests)["spec"]["template"]["spec"]
    return spec


def containers(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yields all containers of the pods."""
    spec = pod(manifests)
    yield from [*spec.get("initContainers", ()), *spec["containers"]]


def server(manifests: Sequence[Manifest]) -> Manifest:
    """Returns the container of the server."""
    (found,) = (each for each in containers(manifests) if each["name"] == "pdp")
    return found


def environment(manifests: Sequence[Manifest]) -> dict[str, str]:
    """Returns the variables of the server; those from Secrets have the value `secret`."""
    return {each["name"]: each.get("value", "secret") for each in server(manifests)["env"]}


def check_hardened(manifests: Sequence[Manifest]) -> None:
    """Checks that the pods have no rights that they do not need, and no secret in plain text."""
    spec = pod(manifests)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = server(manifests)["securityContext"]
    assert own["runAsNonRoot"] is own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["seccompProfile"] == {"type": "RuntimeDefault"}
    assert server(manifests)["resources"]["limits"]["memory"]
    for entry in server(manifests)["env"]:
        assert (entry["name"] in SECRET_SETTINGS) <= ("valueFrom" in entry), entry["name"]
    assert environment(manifests)["PDP_AUTH"] in {"required", "local-pep"}


def check_mounts(manifests: Sequence[Manifest]) -> None:
    """Checks that each mount has a volume, and each volume is mounted."""
    claims = workload(manifests)["spec"].get("volumeClaimTemplates", ())
    volumes = {each["name"] for each in pod(manifests)["volumes"]}
    volumes |= {each["metadata"]["name"] for each in claims}
    mounted = {
        mount["name"] for each in containers(manifests) for mount in each.get("volumeMounts", ())
    }
    assert mounted == volumes
