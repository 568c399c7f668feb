"""The command line: help, reports, and the small commands."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.main import get_command

from pdp.cli import main
from pdp.cli.exit_codes import Exit
from pdp.cli.output.report import Report, Table, show
from pdp.config import Settings
from tests.support.servers import (
    COMMAND,
    TIMEOUT_S,
    Server,
    environment,
    json_output,
    run_interpreter,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult

COMMANDS: Final = ("serve", "decide", "simulate", "test", "health", "version")
ATTACK: Final = "1 UNION SELECT password FROM users"


class TestHelp:
    """--help is documentation, and is tested like documentation."""

    def test_commands(self, cli: Callable[..., CommandResult]) -> None:
        """The group lists all commands with a description."""
        ran = cli("--help")
        assert ran.code == 0
        for name in COMMANDS:
            assert re.search(rf"^  {name}\s+\w", ran.out, re.MULTILINE)

    def test_no_command(self, cli: Callable[..., CommandResult]) -> None:
        """Without a command, the help is printed."""
        assert "Commands:" in "".join((cli().out, cli().err))

    def test_unknown_command(self, cli: Callable[..., CommandResult]) -> None:
        """A command that does not exist is a usage error."""
        ran = cli("decied")
        assert ran.code == Exit.USAGE
        assert "No such command 'decied'. Did you mean 'decide'?" in ran.err

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_option_is_documented(self, cli: Callable[..., CommandResult], name: str) -> None:
        """Every option has a description, and --help shows it."""
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
            ("replay", {0, 1, 2, 3, 4, 5, 78}),
            ("test", {0, 1, 2, 4, 78}),
            ("health", {0, 1, 2, 4, 78}),
            ("backup", {0, 1, 2, 4, 78}),
            ("restore", {0, 1, 2, 3, 4, 78}),
            ("version", {0, 2}),
        ],
    )
    def test_every_exit_code_is_documented(
        self, cli: Callable[..., CommandResult], name: str, codes: set[int]
    ) -> None:
        """--help lists the exit codes with their meaning."""
        text = cli(name, "--help").out.partition("Exit codes:")[2]
        listed = re.findall(r"^    (\d+)\s+\w", text, re.MULTILINE)
        assert {int(code) for code in listed} == codes

    @pytest.mark.parametrize(
        "group",
        [
            *("", "conditions", "keys", "models", "audit", "approvals", "siem", "policies"),
            "adapters",
        ],
    )
    def test_lists_of_commands_are_whole_sentences(
        self, cli: Callable[..., CommandResult], group: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a terminal of 80 columns, no description is cut off."""
        monkeypatch.setenv("COLUMNS", "80")
        listed = cli(*group.split(), "--help").out.partition("Commands:\n")[2].partition("\n\n")[0]
        sentences = listed.rstrip().splitlines()
        assert len(sentences) > 1
        assert [line for line in sentences if not re.search(r"[^.]\.$", line)] == []

    def test_every_value_is_named(self) -> None:
        """No option shows a Python type as its value."""
        group: Any = get_command(main.application())
        commands = [group.get_command(None, name) for name in group.list_commands(None)]
        commands += [inner for each in commands for inner in getattr(each, "commands", {}).values()]
        options = [
            (command.name, parameter.opts[0])
            for command in commands
            for parameter in command.params
            if parameter.param_type_name == "option" and not parameter.is_flag
            if parameter.metavar in {None, "VALUE"}
        ]
        assert len(commands) > 20
        assert options == []

    @pytest.mark.parametrize("name", sorted(Settings.model_fields))
    def test_every_setting_is_an_option(self, cli: Callable[..., CommandResult], name: str) -> None:
        """`pdp serve` has an option for each setting, with its variable and its default."""
        text = " ".join(cli("serve", "--help").out.split())
        assert f"--{name.replace('_', '-')} " in text
        default = Settings.model_fields[name].default
        shown = f"default: {default}" if default not in ("", None) else "no default"
        assert f"[env var: PDP_{name.upper()}; {shown}]" in text


class TestHealth:
    """`pdp health`."""

    def test_serving(self, cli: Callable[..., CommandResult]) -> None:
        """The exit code is 0 if the server is serving."""
        ran = cli("health")
        assert (ran.code, ran.out) == (Exit.OK, "SERVING\n")

    def test_json(self, cli: Callable[..., CommandResult], server: Server) -> None:
        """--json names the server."""
        answer = cli("health", "--json").json
        assert answer == {"server": server.grpc_address, "status": "SERVING"}

    def test_no_server(self, cli: Callable[..., CommandResult], closed_port: str) -> None:
        """The exit code is 4 if there is no server, and the error says what to do."""
        ran = cli("health", "--server", closed_port)
        assert ran.code == Exit.UNAVAILABLE
        assert "pdp serve" in ran.err


def test_version(cli: Callable[..., CommandResult]) -> None:
    """It prints the versions of the main dependencies."""
    versions = cli("version", "--json").json
    assert {"pdp", "python", "re2", "grpc", "protobuf"} <= set(versions)
    assert f"grpc          {versions['grpc']}" in cli("version").out
    assert cli("--version").out == f"pdp {versions['pdp']}\n"


def test_verifying_a_missing_log_fails(cli: Callable[..., CommandResult], tmp_path: Path) -> None:
    """The command must not create a new, empty log, which would be intact."""
    url = f"sqlite:///{tmp_path}/pdp.db"
    assert cli("decide", "--text", "hello", "--embedded", "--database-url", url).code == Exit.OK
    assert cli("audit", "verify", "--embedded", "--database-url", url).code == Exit.OK
    for file in tmp_path.glob("audit.db*"):
        file.unlink()
    ran = cli("audit", "verify", "--embedded", "--database-url", url)
    assert (ran.code, ran.out) == (Exit.CONFIG, "")
    assert f"there is no log of decision records at {tmp_path / 'audit.db'}" in ran.err


@pytest.mark.parametrize(
    "command",
    [
        "keys list",
        "keys rotate 1",
        "keys revoke 1",
        "policies export acme.yaml --tenant acme",
        "policies rollback --tenant acme --to 1",
        "audit verify --embedded",
        "audit search --embedded",
        "replay --revision 1 --embedded",
    ],
)
def test_commands_that_read_do_not_create_a_database(
    cli: Callable[..., CommandResult], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new, empty database would look as if everything were fine."""
    monkeypatch.chdir(tmp_path)
    ran = cli(*command.split(), "--database-url", "sqlite:///mistyped/pdp.db")
    assert (ran.code, ran.out) == (Exit.CONFIG, "")
    place = tmp_path / "mistyped" / "pdp.db"
    assert f"there is no database at {place}; name it with --database-url" in ran.err
    assert list(tmp_path.iterdir()) == []


class TestProcess:
    """The command in its own process."""

    def test_decide(self, server: Server) -> None:
        """Scripts rely on the exit code, standard output and standard error."""
        answer = run_interpreter(
            "decide", "--text", ATTACK, "--json", "--server", server.grpc_address
        )
        assert answer.returncode == Exit.NO
        assert json_output(answer)["outcome"] == "BLOCK"
        assert answer.stderr == ""

    @pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
    def test_output_is_utf_8_in_every_locale(self, server: Server, flags: tuple[str, ...]) -> None:
        """The output is UTF-8, whatever the locale."""
        arguments = ("decide", "--text", "grüße 4111111111111111", "--server", server.grpc_address)
        answer = run_interpreter(*arguments, *flags, PYTHONIOENCODING="ascii")
        assert (answer.returncode, answer.stderr) == (Exit.OK, "")
        assert "grüße [REDACTED]" in answer.stdout

    def test_no_standard_output(self, server: Server) -> None:
        """With closed standard output, only the exit code has the result."""
        for text, code in (("hello", Exit.OK), (ATTACK, Exit.NO)):
            command = (*COMMAND, "decide", "--text", text, "--server", server.grpc_address)
            answer = subprocess.run(
                ["bash", "-c", f"{shlex.join(command)} >&-"],
                env=environment(),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            assert (answer.returncode, answer.stderr) == (code, "")

    def test_health_without_options(self, server: Server) -> None:
        """The fast path for containers also reads the environment."""
        answer = run_interpreter("health", PDP_SERVER=server.grpc_address)
        assert (answer.returncode, answer.stdout) == (Exit.OK, "SERVING\n")

    def test_embedded_writes_nothing_but_the_answer(self, tmp_path: Path) -> None:
        """Logs are not mixed with JSON."""
        answer = run_interpreter(
            "decide", "--text", "x", "--json", "--embedded", PDP_DATA_DIR=str(tmp_path)
        )
        assert json_output(answer)["outcome"] == "ALLOW"
        assert answer.stderr == ""
        assert (tmp_path / "pdp.db").exists()


class Terminal(io.StringIO):
    """An output that claims to be a terminal."""

    def isatty(self) -> bool:
        """Returns true."""
        return True


class TestReport:
    """Reports for people."""

    REPORT: Final = Report(
        "BLOCK \x1b[2J",
        "bold red",
        [("message", "two\nlines\x07")],
        [Table("Matches", ("policy", "reason"), [["p[1]", "x\x9b"]]), Table("None", ("a",), [])],
    )

    @pytest.mark.parametrize("file", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
    def test_control_characters_are_escaped(
        self, file: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Texts of policies and requests cannot move the cursor or set colours."""
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
