"""The comparison with other decision points: its cases, its verdicts and its page."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bench.pages import quote
from bench.peers import content, everything, machine, programs, report
from bench.peers.cases import cases, policies
from bench.peers.in_process import decider
from bench.peers.load_runs import REFUSED_MS
from bench.peers.ours import PATH, create_database, decode, policies_document
from bench.peers.processes import Tree
from bench.peers.target import Target
from bench.peers.verdicts import losses, milliseconds, verdicts
from pdp.embedded import Engine

if TYPE_CHECKING:
    from pathlib import Path


def _row(target: str, size: int, us: float, p99: float = 1.0) -> dict[str, Any]:
    run = {"offered": 100.0, "rate": 100.0, "p50_ms": 0.5, "p99_ms": p99}
    runs = {"same": [run], "own": [run]}
    return {"target": target, "policies": size, "cpu_us": [us], "memory_mib": 50.0, **runs}


def _results(**parts: Any) -> dict[str, Any]:
    return {
        "busy_share": 0.02,
        "busy_share_after": 0.03,
        "machine": {"CPU": "a CPU", "cores": "2"},
        "plan": {"rounds": "1"},
        "products": [{"name": "Cerbos", "version": "0.55.0", "settings": "audit log off"}],
        "missing": {"LLM Guard": "no models"},
        **parts,
    }


def test_this_product_gives_the_answers_that_all_products_must_give(tmp_path: Path) -> None:
    everyone = policies(3)
    requests = cases(everyone, 120)
    url = create_database(policies_document(everyone), tmp_path / "db")
    with Engine.open(url) as engine:
        decide = decider(engine)
        assert [decide(each) for each in requests] == [each.allowed for each in requests]


def test_each_rule_denies_some_requests_and_most_of_them_pass() -> None:
    everyone = policies(800)
    requests = cases(everyone, 1_000)
    denied = [each for each in requests if not each.allowed]
    assert 0.3 < len(denied) / len(requests) < 0.5
    assert any(each.action.endswith(":delete") for each in denied)
    assert any(each.tool == "shell" for each in denied)
    limits = {each.customer: each.batch_limit for each in everyone}
    assert any(each.batch_size > limits[each.customer] for each in denied)
    assert len({each.customer for each in requests}) == 800


@pytest.mark.parametrize(("size", "customers"), [(1, 1), (1_000, 1_000), (8_000, 1_000)])
def test_requests_are_spread_over_the_policies(size: int, customers: int) -> None:
    named = [each.customer for each in cases(policies(size), 1_000)]
    assert len(set(named)) == customers
    assert named[-1] == f"customer_{999 * max(1, size // 1_000) % size:05d}"


def test_the_detectors_that_ship_find_what_is_in_the_prompts() -> None:
    for name, snapshot in content.snapshots().items():
        content.check_findings(name, content.dlp_finder(snapshot))
    with pytest.raises(RuntimeError, match="misses"):
        content.check_findings("none", lambda _text: [])
    find = content.dlp_finder(content.snapshots()[content.OURS_SAME_TYPES])
    with pytest.raises(RuntimeError, match="finds"):
        content.check_findings("all", lambda text: [*find(text), ("US_SSN", 0, 5)])


def test_prompts_have_the_size_that_the_page_names() -> None:
    assert {len(each.text) for each in content.prompts()} == {2_000}
    for prompt in content.prompts():
        for _, start, end in prompt.entities:
            assert prompt.text[start:end] == prompt.text[start:end].strip()
    assert all(each.content.text for each in everything.requests())


def test_bodies_of_grpc_have_their_frame(tmp_path: Path) -> None:
    target = Target("x", "grpc", 1, PATH, lambda text: text.encode(), decode, Tree(os.getpid()))
    target.write_bodies(tmp_path / "bodies", ["ab", "c"])
    frame = b"\0" + struct.pack(">I", 2) + b"ab"
    assert (tmp_path / "bodies").read_bytes().startswith(struct.pack(">I", 7) + frame)


@pytest.mark.parametrize(
    ("us", "cerbos", "opa"), [(20.0, True, True), (21.0, False, True), (56.0, False, False)]
)
def test_a_target_is_reached_at_its_bound(us: float, cerbos: bool, opa: bool) -> None:
    rows = [_row("PDP, gRPC (native)", 1, us), _row("Cerbos, gRPC", 1, 100)]
    rows.append(_row("OPA, HTTP", 1, 100))
    found = {each.target: each.reached for each in verdicts(_results(attributes=rows))}
    assert found["at least 5 times the requests of Cerbos per CPU-second"] is cerbos
    assert found["at least 1.8 times the requests of OPA per CPU-second"] is opa


def test_more_policies_must_not_cost_more_than_a_tenth() -> None:
    for us, reached in ((110.0, True), (112.0, False)):
        rows = [_row("PDP, gRPC (native)", 1, 100), _row("PDP, gRPC (native)", 8_000, us)]
        (verdict,) = verdicts(_results(attributes=rows))
        assert verdict.reached is reached


def test_latencies_are_compared_with_the_best_other_product() -> None:
    rows = [_row("PDP, gRPC (native)", 1, 100, p99=2.0), _row("Cerbos, gRPC", 1, 100, p99=9.0)]
    rows.append(_row("OPA, HTTP", 1, 100, p99=1.9))
    late = [each for each in verdicts(_results(attributes=rows)) if "p99" in each.target]
    assert [each.reached for each in late] == [False, False]
    assert all("OPA, HTTP 1.90 ms" in each.measured for each in late)
    busy = _results(attributes=rows) | {"busy_share_after": 0.5}
    assert [each.reached for each in verdicts(busy) if "p99" in each.target] == [None, None]
    assert "not judged" in report.page(busy)


def test_a_refused_request_has_an_endless_latency() -> None:
    assert milliseconds(REFUSED_MS) == "∞"
    assert milliseconds(12.5) == "12.50"


def test_the_page_says_what_was_lost() -> None:
    rows = [_row("PDP, gRPC (native)", 1, 100), _row("OPA, HTTP", 1, 99)]
    results = _results(attributes=rows)
    assert losses(results) == [
        "Over a socket, one policy: OPA, HTTP takes 99 µs of CPU, and PDP, gRPC (native) 100 µs."
    ]
    page = report.page(results)
    assert "- Over a socket, one policy: OPA, HTTP" in page
    assert "LLM Guard: no models." in page
    assert "busy machine" not in page
    rows[1]["cpu_us"] = [101.0]
    assert losses(results) == []
    assert "No other product needs less CPU" in report.page(results)


@pytest.mark.parametrize(("share", "busy"), [(0.1, False), (0.11, True)])
def test_the_page_says_if_the_machine_was_busy(share: float, busy: bool) -> None:
    page = report.page(_results() | {"busy_share": share})
    assert ("Measured on a busy machine" in page) is busy


def test_a_part_that_was_not_measured_is_named_as_such() -> None:
    assert report.page(_results()).count("Not measured in this run.") == 5


def test_the_time_of_a_process_is_read_from_proc() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tree = Tree(process.pid)
        assert tree.pids() == [process.pid]
        used = tree.cpu_s()
        memory = tree.memory_mib()
        process.communicate(b"\n")
    assert 0.1 < used < 60
    assert memory > 1
    assert 0 <= machine.busy_share(0.05) <= 1


def test_the_machine_is_described_without_names() -> None:
    described = machine.description()
    assert {"CPU", "cores", "kernel", "memory", "Python"} == described.keys()
    assert os.uname().nodename not in " ".join(described.values())


def test_the_readme_quotes_the_run_between_its_markers(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(
        "before\n<!-- benchmarks: by hand -->\nold\n<!-- end of benchmarks -->\nafter\n"
    )
    for text in ("new", "newer"):
        quote(file, "benchmarks", text)
    page = file.read_text()
    assert "before\n" in page
    assert "-->\nnewer\n<!--" in page
    assert page.endswith("after\n")
    assert "old" not in page
    with pytest.raises(ValueError, match="no place for growth"):
        quote(file, "growth", "x")


def test_the_sentence_for_the_readme_names_all_products() -> None:
    rows = [_row("PDP, gRPC (native)", 1, 80), _row("OPA, HTTP", 1, 95)]
    assert "take 80 µs" in report.sentence(_results(attributes=rows))
    assert "OPA 95" in report.sentence(_results(attributes=rows))
    assert report.sentence(_results(attributes=rows[:1])) == ""
    assert report.sentence(_results()) == ""


def test_the_readme_has_a_place_for_both_quotes() -> None:
    readme = (programs.ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("benchmarks", "growth"):
        assert f"<!-- {name}: " in readme
        assert f"<!-- end of {name} -->" in readme
