"""The check of pinned dependencies in `make audit`."""

from __future__ import annotations

import importlib.util
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
