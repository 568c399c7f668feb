"""The lists that name every policy system: complete, and listed in docs/architecture.md."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pdp._gen.pdp.v1
import pdp.domain
from pdp._gen.pdp.v1 import simulate_pb2
from pdp.admin.simulation.overlay import apply_overlay
from pdp.admin.workspace import Workspace
from pdp.bootstrap.policies import create_publisher, open_policies
from pdp.cases.sections import SECTIONS
from pdp.domain import approval, compliance_bundle
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.layers import LAYERS
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.engine import layers
from pdp.engine.combine import _IDLE_REASONS
from pdp.policy_files.shape import SECTIONS as FILE_SECTIONS
from pdp.server.wiring import wire
from pdp.transport.methods import FILES, methods

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("<!-- begin of the lists")[2].partition("<!-- end of the lists -->")[0]

NOT_POLICIES = {
    "ApiKeyService": "credentials decide nothing about a request's content",
    "SiemService": "it sends test events",
    "SimulateService": "it writes nothing",
    "DecideService": "it writes nothing",
}
"""Services with RPCs that write, whose entities are not policies; each with the reason."""


def kinds() -> Iterator[tuple[str, str]]:
    """Yields the kinds of entities that modules of `pdp.domain` declare, each with its module."""
    for module in pkgutil.iter_modules(pdp.domain.__path__, "pdp.domain."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if re.fullmatch(r"([A-Z]+_)?KIND", name) and isinstance(value, str):
                yield module.name, value


def test_every_kind_of_entity_can_be_read() -> None:
    declared = {kind for _, kind in kinds()}
    assert len(declared) > 10
    # The versions of compliance bundles are kept for their history, and decide nothing. Approvals
    # are no policies.
    no_policies = {compliance_bundle.SNAPSHOT_KIND, *approval.KINDS}
    assert declared - no_policies == set(ENTITY_CLASSES)


def test_every_layer_is_compiled_and_has_its_place_in_a_trace() -> None:
    builders = (*layers.GATES, *layers.BUILDERS, *layers.CLOSERS)
    names = tuple(builder.__module__.rpartition(".")[2] for builder in builders)
    assert names == LAYERS
    assert set(_IDLE_REASONS) == set(LAYERS)


def test_every_service_of_the_contracts_is_served() -> None:
    folder = pdp._gen.pdp.v1
    modules = [
        importlib.import_module(each.name)
        for each in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}.")
        if each.name.endswith("_pb2")
    ]
    with_services = {each.DESCRIPTOR.name for each in modules if each.DESCRIPTOR.services_by_name}
    assert {each.DESCRIPTOR.name for each in FILES} == with_services


async def test_every_rpc_has_a_handler(tmp_path: Path) -> None:
    store = open_policies(f"sqlite:///{tmp_path}/pdp.db")
    publisher = create_publisher(store, DEFAULT_RISK_TABLE)
    workspace = Workspace(store, publisher)
    wiring = wire(publisher, workspace)
    workspace.close()
    store.close()
    assert set(wiring.endpoints) == {method.path for method in methods()}


def test_every_part_of_an_overlay_is_applied() -> None:
    parameters = inspect.signature(apply_overlay).parameters.values()
    keywords = {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
    parts = {field.name for field in simulate_pb2.Overlay.DESCRIPTOR.fields}
    assert keywords == parts - {"policies_mode"}, "it says how policies are made"


def test_decision_cases_can_use_every_policy_system() -> None:
    requests = {section.request.DESCRIPTOR.full_name for section in FILE_SECTIONS.values()}
    creates = {section.create for section in SECTIONS.values()}
    by_service: dict[str, set[str]] = {}
    for method in methods():
        service = method.path.split("/")[1].rpartition(".")[2]
        by_service.setdefault(service, set()).add(method.name)
        if method.request.DESCRIPTOR.full_name in requests:
            creates.add(method.name)
    writing = {
        service
        for service, names in by_service.items()
        if any(re.match(r"(Create|Put|Replace|Update|Activate|Disable)", name) for name in names)
    }
    missing = {service for service in writing if not by_service[service] & creates}
    assert missing == set(NOT_POLICIES) & writing


@pytest.mark.parametrize("row", [line for line in TABLE.splitlines() if line.startswith("| `")])
def test_the_page_names_lists_that_exist(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    text = (ROOT / cells[1].strip("`")).read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+)`", cells[0]):
        assert re.search(rf"^(def |message )?{name}\b", text, re.MULTILINE), name


def test_the_page_has_all_lists() -> None:
    names = set(re.findall(r"`(\w+)`", TABLE))
    assert names >= {
        "ENTITY_CLASSES", "LAYERS", "GATES", "BUILDERS", "CLOSERS", "_IDLE_REASONS", "FILES",
        "wire", "Overlay", "apply_overlay", "SECTIONS",
    }  # fmt: skip
