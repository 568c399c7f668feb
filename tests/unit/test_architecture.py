"""The rooms of the house: who may import whom, and how large a room's files grow."""

from __future__ import annotations

import ast
import logging.config
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
OWN = [path for path in (ROOT / "pdp").rglob("*.py") if "_gen" not in path.parts]


def test_every_room_imports_what_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # It would switch off all loggers that there are, and other tests read them.
    monkeypatch.setattr(logging.config, "dictConfig", lambda _config: None)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)
    assert status == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


def test_no_code_is_left_for_later() -> None:
    left = [
        path.name
        for path in OWN
        if any(mark in path.read_text(encoding="utf-8") for mark in ("TO" + "DO", "FIX" + "ME"))
    ]
    assert left == []
