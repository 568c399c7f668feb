"""The container image: built from the Dockerfile, and run as a cluster would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.cli.exit_codes import Exit
from tests.support import manifests as kubernetes
from tests.support.container_images import Container, Image, built_image
from tests.support.manifests import MANIFESTS
from tests.support.servers import TIMEOUT_S, Server, free_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.image

FRONTS: Final = {"grpcio": "grpcio", "native": "native"}
"""The gRPC front of each target of the Dockerfile."""

MAX_MB: Final = 145
"""What the image has beside its base at most, in megabytes."""

INJECTION: Final = "1 UNION SELECT password FROM users"


@pytest.fixture(scope="module", params=FRONTS)
def image(request: pytest.FixtureRequest) -> Iterator[Image]:
    """The image of each target."""
    with built_image(request.param) as built:
        yield built


@pytest.fixture
def front(request: pytest.FixtureRequest) -> str:
    """The gRPC front that the image has."""
    return FRONTS[request.node.callspec.params["image"]]


@pytest.fixture
def container(image: Image, tmp_path: Path) -> Container:
    """A container that does not run yet."""
    return Container(image, tmp_path)


@contextmanager
def running(container: Container, *arguments: str, **settings: str) -> Iterator[Server]:
    """Runs a container until the block ends."""
    process = subprocess.Popen(
        container.command(*arguments, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with Server(process, container.data_dir) as server:
        server.announcement = server.wait_for_event("serving")
        yield server


@contextmanager
def serving(container: Container, front: str) -> Iterator[tuple[Server, str]]:
    """Runs a server with a key; yields both."""
    created = container.run("pdp", "keys", "create", "--role", "pep", "--tenant", "acme")
    assert created.returncode == 0, created.stderr
    grpc_address, http_address = free_addresses()
    settings = {"PDP_GRPC_LISTEN": grpc_address, "PDP_HTTP_LISTEN": http_address}
    with running(container, PDP_GRPC_SERVER=front, **settings) as server:
        yield server, created.stdout.splitlines()[-1]


def metadata(key: str) -> tuple[tuple[str, str], ...]:
    return (("x-api-key", key), ("x-tenant-id", "acme"))


def test_it_serves_with_its_own_settings_and_reports_its_health(
    image: Image, tmp_path: Path
) -> None:
    """Nothing is set: it requires credentials, on its default ports."""
    isolated = Container(image, tmp_path, isolated=True)
    with running(isolated) as server:
        assert server.announcement["grpc"] == "127.0.0.1:50051"
        healthy = isolated.execute(*image.health_check)
        assert healthy.returncode == 0, healthy.stderr
        refused = isolated.execute("pdp", "decide", "--text", "hello")
        assert refused.returncode not in {0, Exit.UNAVAILABLE}
        assert "PDP_API_KEY" in refused.stderr


def test_it_runs_with_the_settings_and_the_volume_of_the_sidecar(
    image: Image, tmp_path: Path
) -> None:
    """The volume belongs to root and is open to the group of the pod, as Kubernetes mounts it."""
    manifest = kubernetes.objects((MANIFESTS / "sidecar.yaml").read_text(encoding="utf-8"))
    settings = kubernetes.environment(manifest)
    container = Container(image, tmp_path, isolated=True)
    os.chown(container.data_dir, 0, kubernetes.pod(manifest)["securityContext"]["fsGroup"])
    container.data_dir.chmod(0o2775)
    with running(container, **settings):
        assert container.execute(*image.health_check).returncode == 0
        decided = container.execute("pdp", "decide", "--text", INJECTION)
        assert decided.returncode == Exit.NO, decided.stderr
        own = container.data_dir / Path(settings["PDP_DATA_DIR"]).name
        assert own.stat().st_mode & 0o777 == 0o700


def test_its_health_check_fails_if_nothing_serves(container: Container, image: Image) -> None:
    address, _ = free_addresses()
    result = container.run(*image.health_check, PDP_GRPC_LISTEN=address)
    assert result.returncode == Exit.UNAVAILABLE, result.stderr


def test_it_decides_over_grpc_and_http(container: Container, front: str) -> None:
    with serving(container, front) as (server, key):
        request = pb.DecideRequest(tenant_id="acme", content=pb.Content(text=INJECTION))
        with grpc.insecure_channel(server.grpc_address) as channel:
            stub = decide_pb2_grpc.DecideServiceStub(channel)
            response = stub.Decide(request, metadata=metadata(key), timeout=TIMEOUT_S)
        assert response.outcome == pb.OUTCOME_BLOCK
        body = {"content": {"text": "hello"}}
        with server.client(**dict(metadata(key))) as client:
            answer = client.post("/v1/decide", json=body)
        assert answer.json()["outcome"] == "ALLOW", answer.text


def test_it_runs_without_rights_and_writes_only_its_data(
    container: Container, image: Image, front: str
) -> None:
    with serving(container, front):
        status = container.execute("cat", "/proc/1/status").stdout
        facts = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        user = image.config["User"]
        assert facts["Uid"].split() == [user] * 4
        assert int(user) > 0
        assert int(facts["CapBnd"], 16) == int(facts["CapEff"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        for folder in ("/", "/opt/pdp", "/etc", "/var/lib"):
            assert container.execute("touch", f"{folder}/x").returncode != 0, folder
        for folder in ("/tmp", "/var/lib/pdp"):  # noqa: S108 - of the container
            assert container.execute("touch", f"{folder}/x").returncode == 0, folder
    assert (container.data_dir / "pdp.db").stat().st_uid == int(user)


def test_a_call_under_way_is_answered_when_the_container_stops(
    container: Container, front: str
) -> None:
    """A text in chunks began before SIGTERM and ends after it. The exit code is 0."""
    chunks: SimpleQueue[pb.DecideStreamRequest | None] = SimpleQueue()
    first = pb.DecideStreamRequest(
        request=pb.DecideRequest(tenant_id="acme"), chunk=pb.StreamChunk(text="word " * 1000)
    )
    last = pb.DecideStreamRequest(chunk=pb.StreamChunk(text="and an end.", last=True))
    with (
        serving(container, front) as (server, key),
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        stub = decide_pb2_grpc.DecideServiceStub(channel)
        answers = stub.DecideStream(iter(chunks.get, None), metadata=metadata(key), timeout=60)
        chunks.put(first)
        assert not next(answers).release.closed
        container.stop()
        server.wait_for_event("draining")
        chunks.put(last)
        assert next(answers).release.closed
        chunks.put(None)
        assert list(answers) == []
        assert server.wait() == 0


def test_its_bill_of_materials_lists_what_is_installed(image: Image, front: str) -> None:
    (site_packages,) = image.root.glob("opt/pdp/lib/python3*/site-packages")
    script = (
        "import importlib.metadata, json, sys;"
        "found = importlib.metadata.distributions(path=sys.argv[1:]);"
        "print(json.dumps([[each.name.lower(), each.version] for each in found]))"
    )
    printed = subprocess.check_output([sys.executable, "-c", script, str(site_packages)])
    installed = {(name, version) for name, version in json.loads(printed)}
    bom: dict[str, Any] = json.loads((image.root / "opt/pdp/share/pdp/sbom.cdx.json").read_bytes())
    listed = [bom["metadata"]["component"], *bom["components"]]
    assert {(each["name"].lower(), each["version"]) for each in listed} == installed
    names = {name for name, _ in installed}
    assert ("pygrpc-native" in names) == (front == "native")
    assert names.isdisjoint({"pip", "setuptools", "wheel", "hatchling"})


def test_it_is_small(image: Image, front: str) -> None:
    """Prints the sizes; they are in docs/deployment.md."""
    own = (image.size - image.base_size) / 1e6
    print(f"{front}: {own:.0f} MB over a base of {image.base_size / 1e6:.0f} MB")
    assert own < MAX_MB + (10 if front == "native" else 0)
