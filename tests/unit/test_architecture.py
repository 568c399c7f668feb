"""The architecture: which packages may import which, and the size of functions."""

from __future__ import annotations

import ast
import logging.config
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
OWN = [path for path in (ROOT / "pdp").rglob("*.py") if "_gen" not in path.parts]


def test_packages_import_only_what_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # Otherwise it would disable all existing loggers, which other tests read.
    monkeypatch.setattr(logging.config, "dictConfig", lambda _config: None)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)
    assert status == EXIT_STATUS_SUCCESS


MAX_FUNCTION_LINES = 50
MAX_NESTING = 4
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def nesting(node: ast.AST, depth: int = 0) -> int:
    """Returns the depth of nested blocks; an `elif` is not deeper than its `if`."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and [child] == node.orelse
        inner = depth + (isinstance(child, NESTING) and not is_elif)
        deepest = max(deepest, nesting(child, inner))
    return deepest


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short_and_not_deeply_nested(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name
            assert nesting(node) <= MAX_NESTING, node.name


def test_no_class_name_is_used_in_two_modules() -> None:
    places: dict[str, list[str]] = {}
    for path in OWN:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_no_modules_import_each_other_even_for_types_only() -> None:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in OWN
    }
    imports: dict[str, set[str]] = {}
    for module, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                targets = {name if name in paths else node.module for name in names}
                imports.setdefault(module, set()).update(targets & paths.keys() - {module})
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the modules


def test_no_code_has_a_note_for_later() -> None:
    unfinished = [
        path.name
        for path in OWN
        if any(mark in path.read_text(encoding="utf-8") for mark in ("TO" + "DO", "FIX" + "ME"))
    ]
    assert unfinished == []
