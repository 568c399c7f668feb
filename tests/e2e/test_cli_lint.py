"""`pdp policies lint` and `promote`, on a server and on a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp.cli.exit_codes import Exit
from tests.support import servers
from tests.support.rest.packs import ok_json
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

FILE: Final = """\
tenant: acme
policies:
  static_policies:
    - {name: Zinc, category: custom, pattern: zinc, action: block, mode: monitor}
    - {name: Argon, category: custom, pattern: argon, action: block, severity: high}
  packs:
    - name: House
      rules:
        - {name: All, action: {type: ALLOW}}
        - {name: Opus, conditions: {models: [opus]}, action: {type: BLOCK}}
  chain:
    packs: [House]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("lint")
    with servers.start(folder) as started:
        (folder / "policies.yaml").write_text(FILE)
        run(started, "import", str(folder / "policies.yaml"))
        yield started


def run(server: servers.Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return servers.run_pdp("policies", *arguments, "--server", server.grpc_address)


def lint(server: servers.Server) -> dict[str, Any]:
    done = run(server, "lint", "--tenant", "acme", "--json")
    assert done.returncode == Exit.NO, done.stderr
    answer: dict[str, Any] = servers.json_output(done)
    return answer


def found(server: servers.Server) -> set[tuple[str, str]]:
    return {(each["finding"], each["name"]) for each in lint(server)["findings"]}


def test_lint_names_what_is_in_the_way(server: servers.Server) -> None:
    [shadowed] = [each for each in lint(server)["findings"] if each["finding"] == "shadowed"]
    assert (shadowed["name"], shadowed["other_name"]) == ("Opus", "All")
    assert shadowed["example"]["model"] == {"model": "opus"}
    text = run(server, "lint", "--tenant", "acme")
    assert text.returncode == Exit.NO
    assert 'shadowed: policy_rule Opus: rule "All" of pack "House"' in text.stdout


def test_a_policy_is_unmatched_until_a_record_has_it(server: servers.Server) -> None:
    assert ("unmatched", "Argon") in found(server)
    with server.client("acme") as client:
        body = {"content": {"text": "argon"}}
        assert ok_json(client.post("/v1/decide", json=body))["outcome"] == "BLOCK"
        wait_until(lambda: ok_json(client.get("/api/admin/audit/records"))["records"], "a record")
    assert ("unmatched", "Argon") not in found(server)
    assert ("unmatched", "Zinc") in found(server)


def test_promote_enforces_a_monitored_policy(server: servers.Server) -> None:
    body = {"content": {"text": "zinc"}}
    with server.client("acme") as client:
        before = ok_json(client.post("/v1/decide", json=body))
        assert (before["outcome"], before["matches"][0]["would_be"]) == ("ALLOW", "BLOCK")
        done = run(server, "promote", "Zinc", "--tenant", "acme")
        assert done.returncode == 0, done.stderr
        assert '"monitor" -> "enforce"' in done.stdout
        assert ok_json(client.post("/v1/decide", json=body))["outcome"] == "BLOCK"
    again = run(server, "promote", "Zinc", "--tenant", "acme")
    assert again.returncode == Exit.INVALID
    assert "no policy of acme in monitor mode has the name 'Zinc'" in again.stderr


def test_lint_works_on_a_database(tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(FILE)
    database = ("--database-url", f"sqlite:///{tmp_path}/pdp.db")
    imported = servers.run_pdp("policies", "import", str(tmp_path / "policies.yaml"), *database)
    assert imported.returncode == 0, imported.stderr
    done = servers.run_pdp("policies", "lint", "--tenant", "acme", "--json", *database)
    assert done.returncode == Exit.NO
    answer = servers.json_output(done)
    assert answer["records"] is False
    assert [each["finding"] for each in answer["findings"]] == ["shadowed"]
