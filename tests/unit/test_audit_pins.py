"""The check of pinned dependencies in `make audit`."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"
HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture(scope="module")
def audit() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("audit", FOLDER / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_files_are_complete(audit: Any) -> None:
    run, faults = audit.pinned((FOLDER / "run.txt").read_text(), "run.txt")
    dev, more = audit.pinned((FOLDER / "dev.txt").read_text(), "dev.txt")
    assert faults + more + audit.differences(run, dev) == []
    assert len(run) > 20


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("a>=1 " + HASH, "not pinned"),
        ("a==1,<2 " + HASH, "not pinned"),
        ("a==1", "no SHA-256"),
        ("a==1 --hash=md5:0", "no SHA-256"),
        ("a @ https://example.org/a.whl " + HASH, "not pinned"),
        ("-e ./a", "not a pinned requirement"),
    ],
)
def test_a_requirement_that_is_not_pinned_is_reported(audit: Any, entry: str, fault: str) -> None:
    good = f"b==2 \\\n    {HASH} \\\n    {HASH}\n    # via c\n"
    versions, faults = audit.pinned(good + entry + "\n", "x.txt")
    assert versions == {"b": "2"}
    assert len(faults) == 1
    assert fault in faults[0]


def test_a_package_that_is_not_pinned_is_reported(audit: Any) -> None:
    assert any(
        "nothing is installed" in each for each in audit.unpinned_packages({"no-such-package": "1"})
    )
    assert any("is not pinned" in each for each in audit.unpinned_packages({}))


def test_a_package_that_may_be_installed_is_reported_if_its_version_differs(audit: Any) -> None:
    installed = {"pytest": metadata.version("pytest")}
    known = {audit.canonicalize_name(each.name): each.version for each in metadata.distributions()}
    required = {name: version for name, version in known.items() if name != "pytest"}
    assert audit.unpinned_packages(required, installed) == []
    assert audit.unpinned_packages(required, {"pytest": "0.1"}) == [
        f"pytest: {installed['pytest']} is installed, 0.1 is pinned"
    ]
    assert audit.unpinned_packages(required, {**installed, "absent-package": "1"}) == []


def test_a_version_that_differs_between_files_is_reported(audit: Any) -> None:
    assert audit.conflicts({"a": "1", "b": "1"}, {"a": "1", "c": "3"}, "bench.txt") == []
    assert audit.conflicts({"a": "1"}, {"a": "2"}, "bench.txt") == [
        "a: 2 in bench.txt, 1 in dev.txt"
    ]
