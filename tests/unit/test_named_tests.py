"""Pages that name tests: each named test must exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("SECURITY.md", "docs/faults.md")
NAMED = re.compile(r"`((?:unit|e2e|contract)/test_\w+\.py(?:::\w+)*|console/e2e/\w+\.test\.ts)`")
NO_CLAIM = {"| **cannot** | |"}


@cache
def names_in(path: Path) -> frozenset[str]:
    """Returns the names of the tests in a file; a method has the form `Class::name`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{each.name}" for each in node.body if hasattr(each, "name")}
    return frozenset(name for name in names if name.rpartition("::")[2].startswith("test_"))


def rows_of(page: str) -> list[str]:
    """Returns the rows of the tables of a page, without the heads."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and line not in NO_CLAIM]
    heads = {rows[index - 1] for index, row in enumerate(rows) if set(row) <= set("|- ")}
    return [row for row in rows if row not in heads and not set(row) <= set("|- ")]


@pytest.mark.parametrize("page", PAGES)
def test_every_row_names_tests_that_exist(page: str) -> None:
    rows = rows_of(page)
    assert len(rows) > 20
    without_test = [row for row in rows if not NAMED.search(row)]
    assert without_test == []
    missing = []
    for reference in {match for row in rows for match in NAMED.findall(row)}:
        file, _, name = reference.partition("::")
        path = ROOT / file if file.startswith("console/") else ROOT / "tests" / file
        if not path.exists() or (name and name not in names_in(path)):
            missing.append(reference)
    assert missing == []
