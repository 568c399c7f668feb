"""The command line, against a real server and without one."""

from __future__ import annotations

import io
import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest
from typer.main import get_command

from pdp._gen.pdp.v1 import static_policy_pb2
from pdp.cli import main
from pdp.cli.exits import Exit
from pdp.cli.report import Report, Table, show
from pdp.config import Settings
from tests.running import Server, json_of, lines_of, pdp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pdp.callers.remote import Remote

COMMANDS: Final = ("serve", "decide", "simulate", "test", "health", "version")
ATTACK: Final = "1 UNION SELECT password FROM users"

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


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, as JSON."""
        return json.loads(self.out)


Cli = "Callable[..., Ran]"


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: Server
) -> Callable[..., Ran]:
    """Runs a command in this process, with the test's server as the default one."""
    monkeypatch.setenv("PDP_SERVER", server.grpc_address)
    monkeypatch.delenv("PDP_DATABASE_URL", raising=False)

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.run(list(arguments))
        captured = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def closed_port() -> Iterator[str]:
    """An address where nobody listens, and nobody can while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def blocked(remote: Remote, tenant: str) -> str:
    """A tenant that blocks the word rival."""
    message = static_policy_pb2.CreateStaticPolicyRequest(
        name="No rivals", category="custom", pattern="rival", action="block", message="No!"
    )
    remote.call("CreateStaticPolicy", message, tenant)
    return tenant


class TestHelp:
    """--help is documentation, and is tested as such."""

    def test_commands(self, cli: Callable[..., Ran]) -> None:
        """The group lists all commands, each with what it is for."""
        ran = cli("--help")
        assert ran.code == 0
        for name in COMMANDS:
            assert re.search(rf"^  {name}\s+\w", ran.out, re.MULTILINE)

    def test_no_command(self, cli: Callable[..., Ran]) -> None:
        """Without a command there is help."""
        assert "Commands:" in "".join((cli().out, cli().err))

    def test_unknown_command(self, cli: Callable[..., Ran]) -> None:
        """A command that does not exist is a usage error."""
        ran = cli("decied")
        assert ran.code == Exit.USAGE
        assert "No such command 'decied'. Did you mean 'decide'?" in ran.err

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_option_is_documented(self, cli: Callable[..., Ran], name: str) -> None:
        """Every option has words, and is in what --help shows."""
        ran = cli(name, "--help")
        assert ran.code == 0
        group: Any = get_command(main.application())
        for parameter in group.get_command(None, name).params:
            assert parameter.help, parameter.name
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in ran.out
            first_words = " ".join(parameter.help.split()[:3])
            assert first_words in " ".join(ran.out.split())

    @pytest.mark.parametrize(
        ("name", "codes"),
        [
            ("serve", {0, 2, 70, 78, 130}),
            ("decide", {0, 1, 2, 3, 4, 78}),
            ("simulate", {0, 1, 2, 3, 4, 78}),
            ("test", {0, 1, 2, 4, 78}),
            ("health", {0, 1, 2, 4}),
            ("version", {0, 2}),
        ],
    )
    def test_every_exit_code_is_documented(
        self, cli: Callable[..., Ran], name: str, codes: set[int]
    ) -> None:
        """The codes are listed, each with what it means."""
        text = cli(name, "--help").out.partition("Exit codes:")[2]
        listed = re.findall(r"^    (\d+)\s+\w", text, re.MULTILINE)
        assert {int(code) for code in listed} == codes

    @pytest.mark.parametrize("name", sorted(Settings.model_fields))
    def test_every_setting_is_an_option(self, cli: Callable[..., Ran], name: str) -> None:
        """`pdp serve` has an option for each setting, which names its variable and default."""
        text = " ".join(cli("serve", "--help").out.split())
        assert f"--{name.replace('_', '-')} " in text
        default = Settings.model_fields[name].default
        shown = f"default: {default}" if default not in ("", None) else "no default"
        assert f"[env var: PDP_{name.upper()}; {shown}]" in text


class TestDecide:
    """`pdp decide`."""

    def test_allowed(self, cli: Callable[..., Ran]) -> None:
        """An allowed request exits with 0."""
        ran = cli("decide", "--text", "What is the weather?")
        assert ran.code == Exit.OK
        assert lines_of(ran.out)[0] == "ALLOW (allowed)"

    def test_blocked(self, cli: Callable[..., Ran], blocked: str) -> None:
        """A blocked one exits with 1, and says why."""
        ran = cli("decide", "--text", "a rival", "--tenant", blocked)
        assert ran.code == Exit.NO
        assert lines_of(ran.out)[0] == "BLOCK (not allowed)"
        assert "message:  No!" in ran.out
        assert "STATIC_POLICY_BLOCK (status 403)" in ran.out
        assert "pattern found in the text, 2 to 7" in ran.out
        assert "Trace:" not in ran.out
        assert ran.err == ""

    def test_explain(self, cli: Callable[..., Ran]) -> None:
        """The trace has every layer."""
        ran = cli("decide", "--text", "hello", "--explain")
        trace = ran.out.partition("Trace:")[2]
        for layer in ("kill_switch", "limits", "customer", "static", "chain", "dlp", "org"):
            assert layer in trace

    def test_json_is_that_of_http(
        self, cli: Callable[..., Ran], server: Server, blocked: str
    ) -> None:
        """--json writes what the JSON shim answers, to the byte but for what is new each time."""
        ran = cli("decide", "--text", "a rival", "--tenant", blocked, "--explain", "--json")
        assert ran.code == Exit.NO
        answer = httpx2.post(
            f"{server.http_url}/v1/decide",
            json={"content": {"text": "a rival"}, "tenant_id": blocked, "explain": True},
            trust_env=False,
        ).json()
        found = ran.json
        assert list(found) == list(answer)
        for key in ("decision_id", "request_id", "revision"):
            answer[key] = found[key]
        assert found == answer

    def test_all_options(self, cli: Callable[..., Ran], tmp_path: Path, blocked: str) -> None:
        """Options replace fields of the request that a file holds."""
        file = tmp_path / "request.json"
        file.write_text(json.dumps({"request_id": "mine", "content": {"text": "a rival"}}))
        ran = cli(
            *("decide", "--request", str(file), "--text", "hello", "--tenant", blocked),
            *("--action", "database:table:drop", "--tool", "sql", "--arguments", '{"a": ["b"]}'),
            *("--arg", "q=x=y", "--arg", "limit:=10", "--user", "u", "--group", "g"),
            *("--group", "h", "--agent", "cli", "--model", "openai/gpt-4o"),
            *("--direction", "output", "--channel", "api", "--classification", "PII"),
            *("--field", "ssn", "--context", '{"batch_size": 200}', "--min-revision", "1"),
            "--json",
        )
        assert ran.code == Exit.OK, ran.err
        assert ran.json["request_id"] == "mine"
        assert ran.json["pii_detected"] is True

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--arg", f"q={ATTACK}"),
            ("--arg", f'q:={{"deep": ["{ATTACK}"]}}'),
            ("--arguments", json.dumps({"q": ATTACK})),
            ("--arguments", json.dumps({"q": ATTACK}), "--arg", "r=x"),
            ("--arg", f"dotted.name={ATTACK}"),
        ],
    )
    def test_arguments(self, cli: Callable[..., Ran], arguments: tuple[str, ...]) -> None:
        """Arguments can be given one by one, as text or as JSON, or whole."""
        assert cli("decide", *arguments).code == Exit.NO

    def test_standard_input(self, cli: Callable[..., Ran]) -> None:
        """- reads the request from standard input."""
        asked = json.dumps({"content": {"text": ATTACK}})
        assert cli("decide", "--request", "-", stdin=asked).code == Exit.NO

    def test_a_user_without_a_provider(self, cli: Callable[..., Ran]) -> None:
        """A model may be named alone."""
        assert cli("decide", "--model", "gpt-4o").code == Exit.OK

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "nothing to judge"),
            (("--request", "missing.json"), "cannot be read: No such file"),
            (("--arguments", "{"), "--arguments is not JSON"),
            (("--context", "nope"), "--context is not JSON"),
            (("--arg", "novalue"), "is neither NAME=VALUE nor NAME:=JSON"),
            (("--arg", "=x"), "is neither NAME=VALUE nor NAME:=JSON"),
            (("--arg", "x:=nope"), "--arg x is not JSON"),
            (("--txt", "x"), "No such option"),
        ],
    )
    def test_misused(
        self, cli: Callable[..., Ran], arguments: tuple[str, ...], message: str
    ) -> None:
        """Options that make no sense are a usage error, with what is wrong."""
        ran = cli("decide", *arguments)
        assert ran.code == Exit.USAGE
        assert message in ran.err
        assert ran.out == ""

    @pytest.mark.parametrize(
        ("arguments", "stdin", "field"),
        [
            (("--action", "DROP"), "", "action"),
            (("--tenant", "my tenant"), "", "tenant_id"),
            (("--direction", "up"), "", "direction"),
            (("--request", "-"), '{"contnet": {}}', "contnet"),
            (("--request", "-"), '{"a"', "body"),
        ],
    )
    def test_invalid(
        self, cli: Callable[..., Ran], arguments: tuple[str, ...], stdin: str, field: str
    ) -> None:
        """An invalid request exits with 3; with --json the error is written as over HTTP."""
        ran = cli("decide", *arguments, stdin=stdin)
        assert ran.code == Exit.INVALID
        assert ran.err.startswith("pdp: ")
        assert ran.out == ""
        error = cli("decide", *arguments, "--json", stdin=stdin).json["error"]
        assert field in [detail["field"] for detail in error["details"]]

    def test_a_list_is_no_request(self, cli: Callable[..., Ran]) -> None:
        """A request is an object."""
        ran = cli("decide", "--request", "-", stdin="[1]")
        assert ran.code == Exit.USAGE
        assert "holds no JSON object" in ran.err

    @pytest.mark.parametrize("name", ["decide", "simulate"])
    def test_no_server(self, cli: Callable[..., Ran], closed_port: str, name: str) -> None:
        """A server that is not there exits with 4, and says what to do."""
        ran = cli(name, "--text", "hello", "--server", closed_port)
        assert ran.code == Exit.UNAVAILABLE
        assert f"the server at {closed_port} did not answer" in ran.err
        assert "pdp serve --auth dev" in ran.err
        assert "--embedded" in ran.err

    def test_a_server_of_another_kind(self, cli: Callable[..., Ran], server: Server) -> None:
        """What answers, but not in gRPC, is no server of ours."""
        address = server.http_url.removeprefix("http://")
        assert cli("decide", "--text", "x", "--server", address).code == Exit.UNAVAILABLE

    def test_a_revision_that_does_not_come(self, cli: Callable[..., Ran]) -> None:
        """A server that is behind is not there to answer."""
        ran = cli("decide", "--text", "x", "--min-revision", "99999999", "--timeout", "0.2")
        assert ran.code == Exit.UNAVAILABLE

    def test_embedded(self, cli: Callable[..., Ran], tmp_path: Path) -> None:
        """Without a server the same answer comes from the database itself."""
        url = f"sqlite:///{tmp_path}/pdp.db"
        arguments = ("--text", ATTACK, "--json", "--embedded", "--database-url", url)
        embedded = cli("decide", *arguments)
        asked = cli("decide", "--text", ATTACK, "--json")
        assert embedded.code == asked.code == Exit.NO
        assert list(embedded.json) == list(asked.json)
        assert embedded.json["matches"] == asked.json["matches"]
        assert cli("decide", "--action", "X", *arguments).code == Exit.INVALID

    def test_embedded_beside_a_server(
        self, cli: Callable[..., Ran], server: Server, blocked: str
    ) -> None:
        """A server's database can be asked while it serves."""
        url = server.database_url
        ran = cli(
            "decide", "--text", "rival", "--tenant", blocked, "--embedded", "--database-url", url
        )
        assert ran.code == Exit.NO

    def test_embedded_without_a_database(self, cli: Callable[..., Ran]) -> None:
        """A database that cannot be used exits with 78."""
        ran = cli("decide", "--text", "x", "--embedded", "--database-url", "nonsense")
        assert ran.code == Exit.CONFIG
        assert "sqlite:///" in ran.err


class TestSimulate:
    """`pdp simulate`."""

    OVERLAY: Final = 'static_policies: [{name: Codes, pattern: "PROJ-[0-9]+", action: block}]'

    def test_layers(self, cli: Callable[..., Ran]) -> None:
        """Every layer is shown, run or not."""
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
    def test_overlay(self, cli: Callable[..., Ran], tmp_path: Path, embedded: bool) -> None:
        """A candidate is in force for this request alone."""
        file = tmp_path / "overlay.yaml"
        file.write_text(self.OVERLAY)
        url = f"sqlite:///{tmp_path}/pdp.db"
        where = ("--embedded", "--database-url", url) if embedded else ()
        ran = cli("simulate", "--text", "ship PROJ-12", "--overlay", str(file), *where)
        assert ran.code == Exit.NO
        assert lines_of(ran.out)[0] == "BLOCK (not allowed)"
        layers = ran.out.partition("Layers:")[2]
        assert re.search(r"static +BLOCK +pattern found in the text, 5 to 12", layers)
        assert cli("decide", "--text", "ship PROJ-12", *where).code == Exit.OK

    def test_overlay_in_json_from_standard_input(self, cli: Callable[..., Ran]) -> None:
        """JSON is YAML."""
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
        self, cli: Callable[..., Ran], overlay: str, code: Exit, message: str
    ) -> None:
        """A fault in the overlay is named with its place."""
        ran = cli("simulate", "--text", "x", "--overlay", "-", stdin=overlay)
        assert ran.code == code
        assert message in ran.err

    def test_one_standard_input(self, cli: Callable[..., Ran]) -> None:
        """It cannot be both."""
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
        cli: Callable[..., Ran],
        suite: Path,
        server: Server,
        remote: bool,
    ) -> None:
        """All passed exits with 0, here and on a server."""
        where = ("--server", server.grpc_address) if remote else ()
        ran = cli("test", str(suite), *where)
        assert ran.code == Exit.OK, ran.out + ran.err
        assert lines_of(ran.out)[0].startswith("1 passed, 0 failed")
        assert re.search(r"Rivals +1 +0 ", ran.out)

    def test_failed(self, cli: Callable[..., Ran], suite: Path) -> None:
        """A failure exits with 1, and shows what was expected and what was there."""
        suite.write_text(SUITE + FAILING)
        ran = cli("test", str(suite))
        assert ran.code == Exit.NO
        shown = [" ".join(line.split()) for line in lines_of(ran.out)]
        assert "FAILED Rivals > expects too much" in shown
        assert "why: it shows what a failure looks like" in shown
        assert '- outcome: "BLOCK"' in shown
        assert '+ outcome: "ALLOW"' in shown
        assert "- risk.score: 90" in shown
        assert "+ risk.score: 0" in shown

    def test_json(self, cli: Callable[..., Ran], suite: Path) -> None:
        """--json has all of it for programs."""
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

    def test_an_unknown_key_fails_its_case(self, cli: Callable[..., Ran], suite: Path) -> None:
        """A typo must not pass for a case that passed."""
        suite.write_text(SUITE + FAILING.replace("outcome", "outcom"))
        ran = cli("test", str(suite))
        assert ran.code == Exit.NO
        assert "expect.outcom: unknown field; did you mean outcome?" in ran.out

    def test_unreadable(self, cli: Callable[..., Ran], suite: Path, tmp_path: Path) -> None:
        """A path that is no suite exits with 2, and nothing is run."""
        suite.write_text("suite: [")
        assert cli("test", str(suite)).code == Exit.USAGE
        ran = cli("test", str(tmp_path / "missing"))
        assert ran.code == Exit.USAGE
        assert "does not exist" in ran.err

    def test_no_server(self, cli: Callable[..., Ran], suite: Path, closed_port: str) -> None:
        """A server that is not there is no failure of a case."""
        ran = cli("test", str(suite), "--server", closed_port)
        assert ran.code == Exit.UNAVAILABLE
        assert "passed" not in ran.out

    def test_nothing_is_left_on_the_server(
        self, cli: Callable[..., Ran], suite: Path, server: Server, tenant: str
    ) -> None:
        """Afterwards the suite's policies are out of force."""
        suite.write_text(SUITE.replace("suite: Rivals", f"suite: {tenant}"))
        before = _changes(server)
        assert cli("test", str(suite), "--server", server.grpc_address).code == Exit.OK
        operations = [
            op for tenant_id, op in _changes(server)[len(before) :] if tenant in tenant_id
        ]
        assert operations == ["create", "delete"]


def _changes(server: Server) -> list[tuple[str, str]]:
    from pdp.store.sqlite import SqliteStore  # noqa: PLC0415 - looks under the server's skin

    store = SqliteStore.open(server.database_url)
    with store.read() as reader:
        found: list[tuple[str, str]] = [
            (change.tenant_id, change.op)
            for since in range(0, reader.revision(), 1000)
            for change in reader.changes(since)
        ]
    store.close()
    return found


class TestHealth:
    """`pdp health`."""

    def test_serving(self, cli: Callable[..., Ran]) -> None:
        """A server that serves exits with 0."""
        ran = cli("health")
        assert (ran.code, ran.out) == (Exit.OK, "SERVING\n")

    def test_json(self, cli: Callable[..., Ran], server: Server) -> None:
        """--json names the server."""
        answer = cli("health", "--json").json
        assert answer == {"server": server.grpc_address, "status": "SERVING"}

    def test_no_server(self, cli: Callable[..., Ran], closed_port: str) -> None:
        """No server exits with 4, and says what to do."""
        ran = cli("health", "--server", closed_port)
        assert ran.code == Exit.UNAVAILABLE
        assert "pdp serve" in ran.err


def test_version(cli: Callable[..., Ran]) -> None:
    """The versions of what decisions depend on."""
    versions = cli("version", "--json").json
    assert {"pdp", "python", "re2", "grpc", "protobuf"} <= set(versions)
    assert f"grpc          {versions['grpc']}" in cli("version").out


class TestProcess:
    """The command as a process of its own."""

    def test_decide(self, server: Server) -> None:
        """Exit code, standard output and standard error are what scripts rely on."""
        answer = pdp("decide", "--text", ATTACK, "--json", "--server", server.grpc_address)
        assert answer.returncode == Exit.NO
        assert json_of(answer)["outcome"] == "BLOCK"
        assert answer.stderr == ""

    def test_health_without_options(self, server: Server) -> None:
        """The short way that containers take reads the environment too."""
        answer = pdp("health", PDP_SERVER=server.grpc_address)
        assert (answer.returncode, answer.stdout) == (Exit.OK, "SERVING\n")

    def test_embedded_writes_nothing_but_the_answer(self, tmp_path: Path) -> None:
        """Logs do not mix with JSON."""
        answer = pdp("decide", "--text", "x", "--json", "--embedded", PDP_DATA_DIR=str(tmp_path))
        assert json_of(answer)["outcome"] == "ALLOW"
        assert answer.stderr == ""
        assert (tmp_path / "pdp.db").exists()


class Terminal(io.StringIO):
    """Text that goes to a terminal."""

    def isatty(self) -> bool:
        """Returns true."""
        return True


class TestReport:
    """What people see."""

    REPORT: Final = Report(
        "BLOCK \x1b[2J",
        "bold red",
        [("message", "two\nlines\x07")],
        [Table("Matches", ("policy", "reason"), [["p[1]", "x\x9b"]]), Table("None", ("a",), [])],
    )

    @pytest.mark.parametrize("file", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
    def test_nothing_that_a_terminal_obeys(
        self, file: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Texts of policies and requests cannot move the cursor, or paint."""
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        show(self.REPORT, file)
        written = file.getvalue()
        assert "BLOCK \\x1b[2J" in written
        assert "two\\nlines\\x07" in written
        assert "p[1]" in written
        assert "x\\x9b" in written
        assert "None" not in written
        assert ("\x1b[" in written) is file.isatty()
