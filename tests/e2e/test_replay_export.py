"""Replays of an export: the report is that of a server's own replay."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cli.exit_codes import Exit
from pdp.record_files import extras
from pdp.record_files.locations import open_files
from pdp.record_files.manifest import DATA_PATTERN
from tests.support.recorded_databases import OVERLAY, record_decisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult

    Cli = Callable[..., CommandResult]


LAST_REVISION: Final = re.compile(r"at revision (\d+)")


@pytest.fixture(name="shared", scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("records")
    record_decisions(directory)
    return directory


@pytest.fixture(name="home")
def _home(shared: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a database whose records are exported to `out`."""
    monkeypatch.setenv("PDP_DATABASE_URL", f"sqlite:///{shared}/pdp.db")
    exported = cli("audit", "export", "--format", "parquet", "--output", f"{shared}/out")
    assert exported.code == Exit.OK, exported.err
    return shared


def replay(cli: Cli, home: Path, *arguments: str, tenant: str = "acme") -> CommandResult:
    return cli(
        "replay", "--records", f"{home}/out", "--overlay", f"{home}/overlay.json",
        "--tenant", tenant, "--json", *arguments,
    )  # fmt: skip


def embedded(cli: Cli, home: Path, *arguments: str, tenant: str = "acme") -> CommandResult:
    return cli(
        "replay", "--embedded", "--overlay", f"{home}/overlay.json", "--tenant", tenant, "--json",
        *arguments,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tenant", "arguments"),
    [
        ("acme", ()),
        ("acme", ("--outcome", "BLOCK")),
        ("acme", ("--user", "ada", "--examples", "1")),
        ("acme", ("--since", "2020-01-01", "--until", "2100-01-01")),
        ("acme", ("--policy", "sys_sqli_union")),
        ("quiet", ()),
        ("quiet", ("--until", "2000-01-01")),
        ("unknown", ()),
    ],
)
def test_the_report_is_that_of_the_log(
    cli: Cli, home: Path, tenant: str, arguments: tuple[str, ...]
) -> None:
    expected = embedded(cli, home, *arguments, tenant=tenant)
    answer = replay(cli, home, *arguments, "--workers", "1", tenant=tenant)
    assert answer.json == expected.json
    assert answer.code == expected.code


def test_a_report_counts_what_changes(cli: Cli, home: Path) -> None:
    answer = replay(cli, home)
    assert answer.code == Exit.NO
    [change] = answer.json["changes"]
    assert (change["from"], change["to"], change["count"]) == ("ALLOW", "BLOCK", 10)
    assert answer.json["replayed"] == 40
    assert [each["count"] for each in answer.json["gaps"]] == [10]
    assert "the policies of tenant acme at revision" in answer.err


def test_an_earlier_revision_can_be_the_other_side(cli: Cli, home: Path) -> None:
    """The last write of the tenant was a policy that warns, so without it nothing warns."""
    common = ("--tenant", "acme", "--json")
    revision = LAST_REVISION.findall(replay(cli, home).err)[0]
    earlier = ("--revision", str(int(revision) - 1))
    expected = cli("replay", "--embedded", *earlier, *common)
    answer = cli("replay", "--records", f"{home}/out", *earlier, *common)
    assert answer.json == expected.json
    [change] = answer.json["changes"]
    assert (change["from"], change["to"], change["count"]) == ("WARN", "ALLOW", 10)


def test_decisions_that_were_not_recorded_make_a_report_incomplete(cli: Cli, home: Path) -> None:
    """A tenant at level standard records no plain ALLOW, so nothing says that these would stay."""
    answer = replay(cli, home, tenant="quiet")
    assert answer.json["changed"] == 0
    assert answer.json["coverage"]["unrecorded"] == 20
    assert answer.code == Exit.INCOMPLETE
    strict = replay(cli, home, "--strict", tenant="quiet")
    assert strict.code == Exit.INCOMPLETE
    assert "not all decisions of the period were recorded" in strict.err


def test_results_are_kept_and_used_again(cli: Cli, home: Path, tmp_path: Path) -> None:
    results = str(tmp_path / "results")
    first = replay(cli, home, "--results", results)
    records = open_files(f"{home}/out", "--records")
    paths = records.matching(DATA_PATTERN)
    contents = [(path, records.read(path) or b"") for path in paths]
    for path in paths:
        records.remove(path)
    try:
        again = replay(cli, home, "--results", results)
        assert again.json == first.json
        other = tmp_path / "other.json"
        other.write_text(json.dumps(OVERLAY).replace("rival", "hello"))
        anew = replay(cli, home, "--results", results, "--overlay", str(other))
        assert anew.code == Exit.UNAVAILABLE, "another overlay needs the records again"
        assert "cannot be read" in anew.err
    finally:
        for path, content in contents:
            records.write(path, content)


def test_results_are_a_table_and_the_report(cli: Cli, home: Path, tmp_path: Path) -> None:
    import pyarrow.dataset as ds  # noqa: PLC0415 - an extra

    answer = replay(cli, home, "--results", f"{tmp_path}/results")
    [directory] = (tmp_path / "results").iterdir()
    assert f"the results are in {directory}" in answer.err
    report = json.loads((directory / "_report.json").read_text())
    assert report["changed"] == answer.json["changed"] == 10
    table = ds.dataset(directory, format="parquet").to_table()
    assert table.num_rows == 40
    rows = [each for each in table.to_pylist() if each["from"] != each["to"]]
    assert len(rows) == 10
    assert rows[0]["causes"][0]["name"] == "No rivals"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "results").rglob("*"))


def test_faults_of_an_overlay_are_those_of_a_server(cli: Cli, home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("policies:\n  static_policies:\n    - name: X\n      pattern: '('\n")
    answer = replay(cli, home, "--overlay", str(bad))
    expected = embedded(cli, home, "--overlay", str(bad))
    assert (answer.code, answer.json) == (expected.code, expected.json)
    assert answer.code == Exit.INVALID


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "hadoop"), "use local or spark"),
        (("--engine", "spark"), "--engine spark writes its results to --results"),
        (("--results", "r", "--since", "1h"), "give --since and --until as dates"),
        (("--requests", "x.ndjson"), "give --records or --requests, not both"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    cli: Cli, home: Path, arguments: tuple[str, ...], message: str
) -> None:
    answer = replay(cli, home, *arguments)
    assert answer.code == Exit.USAGE
    assert message in answer.err


def test_options_of_an_export_need_one(cli: Cli, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps(OVERLAY))
    answer = cli("replay", "--overlay", str(overlay), "--results", "x")
    assert (answer.code, "--results goes with --records" in answer.err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [("pyarrow", ()), ("pyspark", ("--engine", "spark", "--results", "r"))],
)
def test_without_the_extra_a_message_names_the_command(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, missing: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == missing else object())
    answer = replay(cli, home, *arguments)
    assert answer.code == Exit.CONFIG
    assert f"pip install 'pdp[{'spark' if arguments else 'parquet'}]'" in answer.err


def test_an_export_must_be_there(cli: Cli, home: Path, tmp_path: Path) -> None:
    answer: Any = cli("replay", "--records", str(tmp_path), "--overlay", f"{home}/overlay.json")
    assert answer.code == Exit.CONFIG
    assert "has no export that has finished" in answer.err
