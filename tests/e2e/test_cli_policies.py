"""`pdp simulate` and `pdp test`, with a real server and without a server."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import pytest

from pdp.cli.exit_codes import Exit
from pdp.store import open_store
from tests.support.servers import Server, non_empty_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult

SUITE: Final = """
suite: Rivals
policies:
  static_policies:
    - {name: No rivals, category: custom, pattern: "(?i)rival", action: block}
cases:
  - name: blocked
    why: the pattern ignores case
    request: {content: {text: RIVAL}}
    expect: {outcome: BLOCK, matches: [No rivals]}
"""

FAILING: Final = """
  - name: expects too much
    why: it shows what a failure looks like
    request: {content: {text: hello}}
    expect: {outcome: BLOCK, risk: {score: 90}}
"""


class TestSimulate:
    """`pdp simulate`."""

    OVERLAY: Final = 'static_policies: [{name: Codes, pattern: "PROJ-[0-9]+", action: block}]'

    def test_layers(self, cli: Callable[..., CommandResult]) -> None:
        """The output has every layer, whether it ran or not."""
        ran = cli("simulate", "--text", "hello", "--json")
        assert ran.code == Exit.OK
        assert [layer["layer"] for layer in ran.json["layers"]] == [
            "kill_switch",
            "limits",
            "customer",
            "static",
            "chain",
            "dlp",
            "org",
        ]

    @pytest.mark.parametrize("embedded", [False, True])
    def test_overlay(
        self, cli: Callable[..., CommandResult], tmp_path: Path, embedded: bool
    ) -> None:
        """A candidate is in force only for this request."""
        file = tmp_path / "overlay.yaml"
        file.write_text(self.OVERLAY)
        url = f"sqlite:///{tmp_path}/pdp.db"
        where = ("--embedded", "--database-url", url) if embedded else ()
        ran = cli("simulate", "--text", "ship PROJ-12", "--overlay", str(file), *where)
        assert ran.code == Exit.NO
        assert non_empty_lines(ran.out)[0] == "BLOCK (not allowed)"
        layers = ran.out.partition("Layers:")[2]
        assert re.search(r"static +BLOCK +pattern found in the text, 5 to 12", layers)
        assert cli("decide", "--text", "ship PROJ-12", *where).code == Exit.OK

    def test_overlay_in_json_from_standard_input(self, cli: Callable[..., CommandResult]) -> None:
        """An overlay may be JSON, because JSON is YAML."""
        overlay = {"static_policies": [{"name": "N", "pattern": "x", "action": "warn"}]}
        ran = cli("simulate", "--text", "x", "--overlay", "-", "--json", stdin=json.dumps(overlay))
        assert ran.json["decision"]["outcome"] == "WARN"

    @pytest.mark.parametrize(
        ("overlay", "code", "message"),
        [
            ("static_policies: [{name: N, action: warn, pattern: '('}]", Exit.INVALID, "missing )"),
            ("static: []", Exit.INVALID, "overlay.static: unknown field"),
            ("[1]", Exit.USAGE, "holds no mapping"),
            ("a: b: c", Exit.USAGE, "neither YAML nor JSON"),
        ],
    )
    def test_bad_overlays(
        self, cli: Callable[..., CommandResult], overlay: str, code: Exit, message: str
    ) -> None:
        """An error in the overlay is reported with its place."""
        ran = cli("simulate", "--text", "x", "--overlay", "-", stdin=overlay)
        assert ran.code == code
        assert message in ran.err

    def test_one_standard_input(self, cli: Callable[..., CommandResult]) -> None:
        """Standard input cannot be both the request and the overlay."""
        ran = cli("simulate", "--request", "-", "--overlay", "-", stdin="{}")
        assert ran.code == Exit.USAGE
        assert "either the request or the overlay" in ran.err


class TestTest:
    """`pdp test`."""

    @pytest.fixture
    def suite(self, tmp_path: Path) -> Path:
        """A suite that passes."""
        file = tmp_path / "rivals.yaml"
        file.write_text(SUITE)
        return file

    @pytest.mark.parametrize("remote", [False, True])
    def test_passed(
        self,
        cli: Callable[..., CommandResult],
        suite: Path,
        server: Server,
        remote: bool,
    ) -> None:
        """The exit code is 0 if all cases pass, in this process and on a server."""
        where = ("--server", server.grpc_address) if remote else ()
        ran = cli("test", str(suite), *where)
        assert ran.code == Exit.OK, ran.out + ran.err
        assert non_empty_lines(ran.out)[0].startswith("1 passed, 0 failed")
        assert re.search(r"Rivals +1 +0 ", ran.out)

    def test_failed(self, cli: Callable[..., CommandResult], suite: Path) -> None:
        """The exit code is 1 if a case fails; the output has the expected and the actual value."""
        suite.write_text(SUITE + FAILING)
        ran = cli("test", str(suite))
        assert ran.code == Exit.NO
        shown = [" ".join(line.split()) for line in non_empty_lines(ran.out)]
        assert "FAILED Rivals > expects too much" in shown
        assert "why: it shows what a failure looks like" in shown
        assert '- outcome: "BLOCK"' in shown
        assert '+ outcome: "ALLOW"' in shown
        assert "- risk.score: 90" in shown
        assert "+ risk.score: 0" in shown

    def test_skipped_files_are_named(self, cli: Callable[..., CommandResult], suite: Path) -> None:
        """In a directory, files that do not look like suites are not run, and not hidden ones."""
        deep = suite.parent / "deep"
        deep.mkdir()
        (deep / "other.YAML").write_text(SUITE)
        (deep / "more.yml").write_text(SUITE)
        (suite.parent / ".hidden").write_text("")
        ran = cli("test", str(suite.parent))
        assert non_empty_lines(ran.out)[0].startswith("2 passed, 0 failed")
        named = [line for line in non_empty_lines(ran.out) if line.startswith("skipped:")]
        assert [str(deep / "other.YAML") in line for line in named] == [True]
        assert cli("test", str(suite.parent), "--json").json["skipped"] == [
            str(deep / "other.YAML")
        ]
        assert cli("test", str(suite), "--json").json["skipped"] == []

    @pytest.mark.parametrize(("count", "lines"), [(20, 20), (21, 21), (99, 21)])
    def test_the_summary_names_a_bounded_number_of_files(
        self, cli: Callable[..., CommandResult], suite: Path, count: int, lines: int
    ) -> None:
        for number in range(count):
            (suite.parent / f"{number}.txt").touch()
        out = non_empty_lines(cli("test", str(suite.parent)).out)
        assert sum(line.startswith("skipped:") for line in out) == lines
        assert any(f"and {count - 20} more" in line for line in out) is (count > 20)
        assert len(cli("test", str(suite.parent), "--json").json["skipped"]) == count

    def test_json(self, cli: Callable[..., CommandResult], suite: Path) -> None:
        """--json prints the same for programs."""
        suite.write_text(SUITE + FAILING)
        ran = cli("test", str(suite), "--json")
        assert ran.code == Exit.NO
        assert (ran.json["passed"], ran.json["failed"]) == (1, 1)
        failed = ran.json["suites"][0]["cases"][1]
        assert failed["name"] == "expects too much"
        assert failed["differences"][0] == {
            "path": "outcome",
            "expected": "BLOCK",
            "actual": "ALLOW",
        }

    def test_an_unknown_key_fails_its_case(
        self, cli: Callable[..., CommandResult], suite: Path
    ) -> None:
        """A misspelt key must not make a case pass."""
        suite.write_text(SUITE + FAILING.replace("outcome", "outcom"))
        ran = cli("test", str(suite))
        assert ran.code == Exit.NO
        assert "expect.outcom: unknown field; did you mean outcome?" in ran.out

    def test_unreadable(
        self, cli: Callable[..., CommandResult], suite: Path, tmp_path: Path
    ) -> None:
        """The exit code is 2 if a path is not a suite; no case is run."""
        suite.write_text("suite: [")
        assert cli("test", str(suite)).code == Exit.USAGE
        ran = cli("test", str(tmp_path / "missing"))
        assert ran.code == Exit.USAGE
        assert "does not exist" in ran.err

    def test_no_server(
        self, cli: Callable[..., CommandResult], suite: Path, closed_port: str
    ) -> None:
        """A missing server is not a failed case."""
        ran = cli("test", str(suite), "--server", closed_port)
        assert ran.code == Exit.UNAVAILABLE
        assert "passed" not in ran.out

    def test_nothing_is_left_on_the_server(
        self, cli: Callable[..., CommandResult], suite: Path, server: Server, tenant: str
    ) -> None:
        """Afterwards, the policies of the suite are deleted."""
        suite.write_text(SUITE.replace("suite: Rivals", f"suite: {tenant}"))
        before = _changes(server)
        assert cli("test", str(suite), "--server", server.grpc_address).code == Exit.OK
        operations = [
            op for tenant_id, op in _changes(server)[len(before) :] if tenant in tenant_id
        ]
        assert operations == ["create", "delete"]


def _changes(server: Server) -> list[tuple[str, str]]:
    store = open_store(server.database_url)
    with store.view() as reader:
        lines: list[tuple[str, str]] = [
            (change.tenant_id, change.op)
            for since in range(0, reader.revision(), 1000)
            for change in reader.changes(since)
        ]
    store.close()
    return lines
