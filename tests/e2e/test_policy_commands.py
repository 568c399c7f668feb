"""`pdp policies sync`, `fmt`, `init` and `schema`, `pdp test` on policy files, and overlays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import pytest

from pdp.cli.exit_codes import Exit
from pdp.policy_files.text import read_text
from tests.support.servers import non_empty_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult
    from tests.support.servers import Server

    Cli = Callable[..., CommandResult]

RIVALS: Final = """policies:
  static_policies:
    - {name: No rivals, category: custom, pattern: rival, action: block}
    - {name: Codes, category: custom, pattern: 'PROJ-[0-9]+', action: warn}
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A directory with a policy file."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "rivals.yaml").write_text(RIVALS)
    return folder


class TestSync:
    """`pdp policies sync`."""

    def test_a_second_run_changes_nothing(
        self, cli: Cli, policies: Path, server: Server, tenant: str
    ) -> None:
        where = ("--tenant", tenant, "--server", server.grpc_address)
        dry = cli("policies", "sync", str(policies), *where, "--dry-run")
        assert (dry.code, non_empty_lines(dry.out)[:2]) == (
            Exit.NO,
            ["+ static_policies: No rivals", "+ static_policies: Codes"],
        )
        first = cli("policies", "sync", str(policies), *where, "--json")
        assert (first.code, len(first.json["changes"])) == (Exit.OK, 2)
        second = cli("policies", "sync", str(policies), *where, "--json")
        assert (second.code, second.json["changes"]) == (Exit.OK, [])
        assert second.json["revision"] == first.json["revision"]
        assert cli("policies", "sync", str(policies), *where, "--dry-run").code == Exit.OK

    def test_only_prune_removes_policies(
        self, cli: Cli, policies: Path, server: Server, tenant: str
    ) -> None:
        """It removes policies of all sections that the directory does not have."""
        where = ("--tenant", tenant, "--server", server.grpc_address)
        (policies / "limits.yml").write_text(
            "policies: {limits: [{scope: user, subject_id: ann, requests_per_minute: 3}]}"
        )
        cli("policies", "sync", str(policies), *where)
        (policies / "limits.yml").unlink()
        assert cli("policies", "sync", str(policies), *where, "--dry-run").code == Exit.OK
        pruned = cli("policies", "sync", str(policies), *where, "--prune")
        assert non_empty_lines(pruned.out)[0] == "- limits: user ann"

    def test_a_fault_has_its_file_and_line(
        self, cli: Cli, policies: Path, server: Server, tenant: str
    ) -> None:
        """It is printed once, and nothing is changed."""
        (policies / "more.yaml").write_text(
            "policies:\n  static_policies:\n"
            "    - {name: A, category: custom, pattern: '(', action: block}\n"
            "    - {name: B, category: custom, pattern: b, action: explode}\n"
        )
        ran = cli(
            "policies", "sync", str(policies), "--tenant", tenant, "--server", server.grpc_address
        )
        assert ran.code == Exit.INVALID
        first, second = ran.err.splitlines()
        place = f"pdp: {policies}/more.yaml:3: policies.static_policies[0].pattern: "
        assert first.startswith(place)
        assert second.startswith(f"{policies}/more.yaml:4: policies.static_policies[1].action: ")

    def test_the_tenant_must_be_known(self, cli: Cli, policies: Path, server: Server) -> None:
        ran = cli("policies", "sync", str(policies), "--server", server.grpc_address)
        assert ran.code == Exit.USAGE
        assert "no file names a tenant" in ran.err

    def test_secrets_come_from_the_environment(
        self,
        cli: Cli,
        policies: Path,
        server: Server,
        tenant: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (policies / "org.yaml").write_text(
            "policies:\n  org_policy:\n    alert_rules:\n      - name: All\n"
            "        notify: {slack_webhook_url: '${TEST_WEBHOOK}'}\n"
        )
        where = ("--tenant", tenant, "--server", server.grpc_address)
        refusal = cli("policies", "sync", str(policies), *where)
        assert f"{policies}/org.yaml:5: " in refusal.err
        assert "${TEST_WEBHOOK} is not set" in refusal.err
        monkeypatch.setenv("TEST_WEBHOOK", "https://hooks.slack.com/x")
        assert cli("policies", "sync", str(policies), *where).code == Exit.OK
        shown = cli("policies", "export", "-", "--tenant", tenant, "--server", server.grpc_address)
        assert "${ALERT_ALL_WEBHOOK}" in shown.out
        assert "hooks.slack.com" not in shown.out


COMMENTED: Final = """# about all
# yaml-language-server: $schema=mine.json
policies:
    limits:  # of users
    - {subject_id: ann, scope: user, requests_per_minute: 3}   # ann's
    # the rivals

    static_policies:
    - pattern: "a#b"   # no comment in quotes
      name:  No rivals
      # before the action
      action: block
      category: custom
      description: |
        # no comment either
        two lines
tenant: acme
# the end
"""

FORMATTED: Final = """# yaml-language-server: $schema=mine.json
tenant: acme
# about all
policies:
  # the rivals
  static_policies:
    - name: No rivals
      description: |
        # no comment either
        two lines
      category: custom
      pattern: 'a#b'  # no comment in quotes
      # before the action
      action: block

  # of users
  limits:
    # ann's
    - scope: user
      subject_id: ann
      requests_per_minute: 3
# the end
"""


class TestFmt:
    """`pdp policies fmt`."""

    def test_comments_stay_with_what_they_are_about(self, cli: Cli, tmp_path: Path) -> None:
        file = tmp_path / "p.yaml"
        file.write_text(COMMENTED)
        before = read_text(file.read_bytes()).policies
        checked = cli("policies", "fmt", str(file), "--check")
        assert (checked.code, file.read_text()) == (Exit.NO, COMMENTED)
        assert cli("policies", "fmt", str(file)).out == f"{file}: formatted\n"
        assert file.read_text() == FORMATTED
        assert read_text(file.read_bytes()).policies == before
        assert cli("policies", "fmt", str(file), "--check").code == Exit.OK

    def test_other_files_are_refused(self, cli: Cli, tmp_path: Path) -> None:
        file = tmp_path / "p.yaml"
        file.write_text("a: 1\n")
        ran = cli("policies", "fmt", str(file))
        assert (ran.code, file.read_text()) == (Exit.INVALID, "a: 1\n")
        assert str(file) in ran.err


class TestInit:
    """`pdp policies init` and `schema`."""

    def test_the_starting_set_passes_its_tests_and_can_be_applied(
        self, cli: Cli, tmp_path: Path, server: Server, tenant: str
    ) -> None:
        folder = tmp_path / "acme"
        assert cli("policies", "init", str(folder)).code == Exit.OK
        assert cli("policies", "fmt", "--check", str(folder / "policies.yaml")).code == Exit.OK
        ran = cli("test", str(folder), "--coverage")
        assert ran.code == Exit.OK, ran.out + ran.err
        assert "coverage: 100%" in ran.out
        where = ("--tenant", tenant, "--server", server.grpc_address)
        assert cli("policies", "sync", str(folder), *where).code == Exit.OK
        schema = (folder / "pdp-policies.schema.json").read_text()
        assert cli("policies", "schema").out == schema

    def test_it_replaces_no_file(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "policies.yaml").write_text("mine")
        ran = cli("policies", "init", str(tmp_path))
        assert ran.code == Exit.USAGE
        assert [each.name for each in tmp_path.iterdir()] == ["policies.yaml"]


SUITE: Final = """policies_file: ../policies/rivals.yaml
cases:
  - request: {content: {text: a rival}}
    expect: {outcome: BLOCK}
  - name: "50% of: cases"
    request: {content: {text: hello}}
    expect: {outcome: BLOCK}
"""


class TestSuites:
    """`pdp test` on policy files."""

    @pytest.fixture
    def suite(self, tmp_path: Path, policies: Path) -> Path:
        """A suite on the policy file of `policies`, with a case that fails."""
        file = tmp_path / "tests" / "suite.yaml"
        file.parent.mkdir()
        file.write_text(SUITE)
        return file

    @pytest.mark.parametrize("remote", [False, True])
    def test_a_suite_runs_on_a_policy_file(
        self, cli: Cli, suite: Path, server: Server, remote: bool
    ) -> None:
        """A case needs only request and expect; a failure has its file and line."""
        where = ("--server", server.grpc_address) if remote else ()
        ran = cli("test", str(suite), *where)
        assert ran.code == Exit.NO
        assert "1 passed, 1 failed" in ran.out
        assert f"{suite}:5" in ran.out

    def test_coverage_names_what_no_case_reached(self, cli: Cli, suite: Path) -> None:
        ran = cli("test", str(suite), "--coverage", "--json")
        coverage = ran.json["coverage"]
        assert coverage["policies"] == 2
        (unreached,) = coverage["unreached"]
        assert (unreached["section"], unreached["name"]) == ("static_policies", "Codes")
        assert unreached["place"].endswith("rivals.yaml:4")

    def test_coverage_knows_every_kind_of_rule(self, cli: Cli, suite: Path) -> None:
        suite.write_text(
            """policies:
  overrides: [{policy_id: sys_pii_credit_card, action: block}]
  dlp: [{detector_name: T, detector_type: regex, entity_type: T, action_tier: redact,
         config_json: {pattern: 'T-[0-9]'}}]
  limits: [{scope: user, subject_id: ann, requests_per_minute: 0}]
  packs: [{name: P, rules: [{name: R, action: {type: ALLOW}, conditions: {content_regex: 'r1'}},
                            {name: R, action: {type: ALLOW}, conditions: {content_regex: 'r2'}}]}]
  chain: {packs: [P]}
  customer_policies: [{customer_id: c, policies: {custom_rules:
    {one: {condition: 'action = "a:b:c"', score_impact: 1},
     two: {condition: 'action = "d:e:f"', score_impact: 1}}}}]
cases:
  - {request: {content: {text: "4111111111111111 T-1 r2"}}, expect: {}}
  - {request: {subject: {user_id: ann}, content: {text: x}}, expect: {}}
  - {request: {customer_id: c, action: "a:b:c"}, expect: {}}
"""
        )
        ran = cli("test", str(suite), "--coverage", "--json")
        assert ran.code == Exit.OK, ran.out + ran.err
        coverage = ran.json["coverage"]
        assert coverage["policies"] == 7
        assert [each["name"] for each in coverage["unreached"]] == ["P > R", "c > two"]

    def test_junit(self, cli: Cli, suite: Path, tmp_path: Path) -> None:
        file = tmp_path / "junit.xml"
        cli("test", str(suite), "--junit", str(file))
        (element,) = ET.parse(file).getroot()  # noqa: S314 - the command wrote it
        assert (element.get("tests"), element.get("failures")) == ("2", "1")
        passed, failed = element
        assert (passed.get("name"), len(passed)) == ("case 1", 0)
        assert failed.get("line") == "5"
        assert failed[0].get("message") == 'outcome: expected "BLOCK", got "ALLOW"'

    def test_annotations_of_github(self, cli: Cli, suite: Path) -> None:
        ran = cli("test", str(suite), "--github")
        assert ran.out.splitlines()[-1] == (
            f"::error file={suite},line=5,title=suite > 50%25 of%3A cases::"
            'outcome: expected "BLOCK", got "ALLOW"'
        )

    def test_refused_policies_are_reported_once(
        self, cli: Cli, suite: Path, policies: Path
    ) -> None:
        """With the file and the line, also if only the tenant's policies show the fault."""
        text = "policies:\n  chain:\n    packs: [Nothing]\n"
        (policies / "rivals.yaml").write_text(text)
        ran = cli("test", str(suite), "--github")
        assert ran.code == Exit.NO
        assert "0 passed, 2 failed" in ran.out
        assert ran.out.count('policies.chain.packs[0]: there is no policy pack "Nothing"') == 2
        assert "rivals.yaml,line=3," in ran.out
        (policies / "rivals.yaml").write_text("policies:\n  chain:\n    pcks: []\n")
        ran = cli("test", str(suite))
        assert ran.code == Exit.USAGE
        assert "rivals.yaml:3: policies.chain.pcks: unknown field" in ran.err
        assert ran.err.count("unknown field") == 1

    def test_warnings_about_policies_are_shown(self, cli: Cli, suite: Path, policies: Path) -> None:
        """They do not fail the run."""
        broad = RIVALS.replace("pattern: rival", "pattern: '.'")
        (policies / "rivals.yaml").write_text(broad)
        suite.write_text("policies_file: ../policies/rivals.yaml\ncases: [{expect: {}}]\n")
        ran = cli("test", str(suite), "--github")
        assert ran.code == Exit.OK
        field = "policies.static_policies[0].pattern"
        assert f"rivals.yaml:3: {field}: matches nearly everywhere" in ran.out
        assert "::warning file=" in ran.out


class TestOverlays:
    """A policy file as an overlay."""

    @pytest.mark.parametrize("command", ["simulate", "replay"])
    def test_an_overlay_is_a_policy_file(
        self, cli: Cli, policies: Path, tenant: str, tmp_path: Path, command: str
    ) -> None:
        """Nothing is written."""
        overlay = ("--tenant", tenant, "--overlay", str(policies / "rivals.yaml"))
        if command == "simulate":
            ran = cli("simulate", "--text", "a rival", *overlay)
            assert non_empty_lines(ran.out)[0] == "BLOCK (not allowed)"
        else:
            requests = tmp_path / "requests.ndjson"
            requests.write_text(json.dumps({"content": {"text": "a rival"}}))
            ran = cli("replay", *overlay, "--requests", str(requests))
            assert "1 of 1 decisions would change" in ran.out
        assert ran.code == Exit.NO
        assert cli("decide", "--tenant", tenant, "--text", "a rival").code == Exit.OK

    def test_an_overlay_can_remove_policies(self, cli: Cli, blocked: str, tmp_path: Path) -> None:
        file = tmp_path / "overlay.yaml"
        ask = ("simulate", "--tenant", blocked, "--text", "a rival", "--overlay", str(file))
        file.write_text("policies: {static_policies: []}\n")
        assert cli(*ask).code == Exit.NO
        file.write_text("policies: {static_policies: []}\npolicies_mode: replace\n")
        assert cli(*ask).code == Exit.OK

    def test_a_suite_is_an_overlay_too(self, cli: Cli, tenant: str, tmp_path: Path) -> None:
        """Of a suite, its policies count, without models."""
        file = tmp_path / "suite.yaml"
        model = "  models: [{provider: p, model_id: m, display_name: M, tier: haiku}]\n"
        file.write_text(f"suite: S\n{RIVALS}{model}cases: []\n")
        ran = cli("simulate", "--tenant", tenant, "--text", "rival", "--overlay", str(file))
        assert ran.code == Exit.NO

    @pytest.mark.parametrize("command", [("simulate", "--text", "x"), ("replay",)])
    def test_a_fault_has_its_file_line_and_path(
        self, cli: Cli, tmp_path: Path, command: tuple[str, ...]
    ) -> None:
        file = tmp_path / "overlay.yaml"
        file.write_text("policies:\n  chain:\n    packs: [Nothing]\n")
        ran = cli(*command, "--overlay", str(file))
        assert ran.code == Exit.INVALID
        path = "overlay.policies.chain.packs[0]"
        assert f'{file}:3: {path}: there is no policy pack "Nothing"' in ran.err
