"""`pdp policies import` with many files: each tenant on its own, in one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pdp.cli.exit_codes import Exit
from tests.support.policy_files import export, policies_in
from tests.support.servers import run_pdp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.policy_files import Run

TEMPLATE = """tenant: {tenant}
policies:
  static_policies:
    - {{name: {name}, category: custom, pattern: "{pattern}", action: block}}
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `pdp policies` on a database of its own."""
    url = f"sqlite:///{tmp_path}/pdp.db"
    return lambda *arguments: run_pdp("policies", *arguments, "--database-url", url)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the file of a tenant into one directory."""
    directory = tmp_path / "tenants"
    directory.mkdir()

    def write_file(tenant: str, *, pattern: str = "rival", name: str = "") -> Path:
        file = directory / (name or f"{tenant}.yaml")
        file.write_text(TEMPLATE.format(tenant=tenant, name="No rivals", pattern=pattern))
        return file

    return write_file


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_directory_is_imported_tenant_by_tenant(
    tmp_path: Path, run: Run, write: Callable[..., Path]
) -> None:
    files = [write(f"t{each}") for each in range(3)]
    (files[0].parent / "README.md").write_text("not a policy file")
    shown = run("import", str(files[0].parent))
    assert shown.returncode == Exit.OK
    assert shown.stdout.splitlines()[-1] == "3 tenants changed, 0 unchanged, 0 failed"
    for file, line in zip(files, shown.stdout.splitlines(), strict=False):
        assert line.startswith(f"{file}: 1 policies of {file.stem} changed, revision ")
    for file in files:
        exported = policies_in(export(run, tmp_path, file.stem, f"{file.stem}.out"))
        assert [each["name"] for each in exported["static_policies"]] == ["No rivals"]
    again = run("import", *map(str, files))
    assert again.stdout == "0 tenants changed, 3 unchanged, 0 failed\n"


def test_a_file_that_fails_does_not_stop_the_others(
    tmp_path: Path, run: Run, write: Callable[..., Path]
) -> None:
    files = [
        write("t0"),
        write("t1", pattern="("),
        write("t0", name="t2.yaml"),
        write("t3"),
    ]
    missing = tmp_path / "missing.yaml"
    shown = run("import", *map(str, files), str(missing), "--json")
    assert shown.returncode == Exit.INVALID
    answers = lines(shown.stdout)
    assert [answer.get("tenant") for answer in answers] == ["t0", None, None, "t3", None]
    assert answers[1]["error"]["code"] == "INVALID_PATTERN"
    assert f"t0 is the tenant of {files[0]} already" in answers[2]["error"]["message"]
    added = {"change": "added", "section": "static_policies", "name": "No rivals", "fields": []}
    assert answers[3]["changes"] == [added]
    assert [line.split(":")[1].strip() for line in shown.stderr.splitlines()] == [
        str(files[1]),
        str(files[2]),
        str(missing),
    ]


def test_a_dry_run_shows_all_differences_and_changes_nothing(
    run: Run, write: Callable[..., Path]
) -> None:
    directory = write("t0").parent
    write("t1")
    assert run("import", str(directory)).returncode == Exit.OK
    write("t1", pattern="competitor")
    shown = run("import", str(directory), "--dry-run")
    assert shown.returncode == Exit.OK
    assert shown.stdout.startswith("~ static_policies: No rivals\n")
    assert '    pattern: "rival" -> "competitor"\n' in shown.stdout
    assert "of t0" not in shown.stdout
    assert shown.stdout.endswith("1 tenants would change, 1 unchanged, 0 failed\n")
    assert run("import", str(directory), "--dry-run").stdout == shown.stdout


def test_a_list_of_files(tmp_path: Path, run: Run, write: Callable[..., Path]) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{write('t0')}\n\n{write('t1')}\n{write('t0')}\n")
    shown = run("import", "--files-from", str(listed), "--json")
    assert shown.returncode == Exit.OK
    assert [each["tenant"] for each in lines(shown.stdout)] == ["t0", "t1"]


def test_what_cannot_be_imported_as_many(
    tmp_path: Path, run: Run, write: Callable[..., Path]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments in (
        [str(empty)],
        [],
        [str(write("t0")), str(write("t1")), "--tenant", "x"],
        ["--files-from", str(tmp_path / "missing")],
    ):
        shown = run("import", *arguments)
        assert shown.returncode == Exit.USAGE, arguments
        assert shown.stdout == ""
