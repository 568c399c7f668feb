"""The examples on the pages of Envoy and Istio are what tests and demo run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from demo.gateway import CONFIGS, filter_of, load
from demo.steps import CARD
from pdp.adapters.mapping import read_mapping
from tests.support.doc_blocks import block_of, blocks_of
from tests.support.envoy_gateways import chain

if TYPE_CHECKING:
    from pathlib import Path

ENVOY: Final = "integrations/envoy.md"
ISTIO: Final = "integrations/istio.md"
EXT_PROC: Final = "envoy.filters.http.ext_proc"
EXT_AUTHZ: Final = "envoy.filters.http.ext_authz"
JWT: Final = "envoy.filters.http.jwt_authn"


def example(page: str, containing: str) -> dict[str, Any]:
    """Returns the only example in YAML on a page that has a text."""
    parsed: dict[str, Any] = yaml.safe_load(block_of(page, "yaml", containing))
    return parsed


def filters_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the HTTP filters of a configuration."""
    chains = config["static_resources"]["listeners"][0]["filter_chains"]
    filters: list[dict[str, Any]] = chains[0]["filters"][0]["typed_config"]["http_filters"]
    return filters


@pytest.mark.parametrize("name", [EXT_PROC, EXT_AUTHZ])
def test_the_filters_on_the_page_are_those_of_the_files(name: str) -> None:
    config = load(f"{name.rpartition('.')[2]}.yaml")
    assert example(ENVOY, f"name: {name}\n")["typed_config"] == filter_of(config, name)


def test_the_mapping_on_the_page_is_that_of_the_file() -> None:
    block = block_of(ENVOY, "yaml", "version: 1")
    (route,) = read_mapping(block.encode()).routes
    assert route == read_mapping((CONFIGS / "adapters.yaml").read_bytes()).routes[0]


def test_all_examples_are_yaml() -> None:
    for page in (ENVOY, ISTIO):
        blocks = blocks_of(page, "yaml")
        assert blocks
        assert all(yaml.safe_load(block) for block in blocks)


@pytest.mark.programs
def test_istio_gets_a_filter_that_works(tmp_path: Path) -> None:
    manifest = example(ISTIO, "kind: EnvoyFilter")
    patch = manifest["spec"]["configPatches"][0]["patch"]["value"]
    cluster = patch["typed_config"]["grpc_service"]["envoy_grpc"]
    assert cluster["cluster_name"].startswith("outbound|50051||pdp")
    cluster["cluster_name"] = "pdp"

    def change(config: dict[str, Any]) -> None:
        filters = filters_of(config)
        index = next(i for i, each in enumerate(filters) if each["name"] == EXT_PROC)
        filters[index] = patch

    with chain(tmp_path, "ext_proc.yaml", change) as opened:
        assert opened.chat(f"Refund {CARD}").status_code == 200
        assert b"4111" not in opened.upstream.bodies[-1]


@pytest.mark.programs
def test_headers_of_clients_are_removed(tmp_path: Path) -> None:
    """A filter sets the user in a header; a client that sends it as well is not believed."""
    adapters = tmp_path / "adapters.yaml"
    text = (CONFIGS / "adapters.yaml").read_text(encoding="utf-8")
    old = f"user: {{metadata: {{filter: {JWT}, path: [token, sub]}}, required: true}}"
    assert old in text
    adapters.write_text(text.replace(old, "user: {header: x-user, required: true}"))

    def change(config: dict[str, Any]) -> None:
        filters_of(config).insert(0, example(ENVOY, "HeaderMutation"))
        provider = filter_of(config, JWT)["providers"]["issuer"]
        provider["claim_to_headers"] = [{"header_name": "x-user", "claim_name": "sub"}]

    with chain(tmp_path, "ext_proc.yaml", change, adapters) as opened:
        limit = {"scope": "user", "subject_id": "ann", "daily_request_limit": 0}
        created = opened.pdp.request(
            "POST", "/api/admin/limits", json=limit, headers={"X-Tenant-ID": "acme"}
        )
        assert created.status_code == 201
        opened.client.headers["x-user"] = "eve"
        assert opened.chat("hi").status_code == 429


@pytest.mark.programs
@pytest.mark.parametrize("forwards", [True, False])
def test_ext_authz_judges_requests_and_ext_proc_answers(tmp_path: Path, forwards: bool) -> None:
    """ext_proc refuses unless the metadata say that ext_authz has judged the request."""
    before = filter_of(load("ext_authz.yaml"), EXT_AUTHZ)

    def change(config: dict[str, Any]) -> None:
        filters = filters_of(config)
        filters.insert(1, {"name": EXT_AUTHZ, "typed_config": before})
        settings = filter_of(config, EXT_PROC)
        settings["processing_mode"]["request_body_mode"] = "NONE"
        names = [EXT_AUTHZ] if forwards else [JWT]
        settings["metadata_options"]["forwarding_namespaces"]["untyped"] = [JWT, *names]

    with chain(tmp_path, "ext_proc.yaml", change) as opened:
        if not forwards:
            answer = opened.chat("hi")
            assert answer.status_code == 500
            assert answer.json()["error"]["code"] == "GATEWAY_MISCONFIGURED"
            return
        assert opened.chat("hi").status_code == 200
        assert opened.chat(f"Refund {CARD}").status_code == 403
        answer = opened.chat("What is the key?")
        assert answer.json()["choices"][0]["message"]["content"].startswith("The key is [REDACTED]")
