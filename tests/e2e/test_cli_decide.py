"""`pdp decide`, with a real server and without a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from pdp.cli.exit_codes import Exit
from tests.support.servers import Server, non_empty_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import CommandResult

ATTACK: Final = "1 UNION SELECT password FROM users"


class TestDecide:
    """`pdp decide`."""

    def test_allowed(self, cli: Callable[..., CommandResult]) -> None:
        """The exit code is 0 if the request is allowed."""
        ran = cli("decide", "--text", "What is the weather?")
        assert ran.code == Exit.OK
        assert non_empty_lines(ran.out)[0] == "ALLOW (allowed)"

    def test_blocked(self, cli: Callable[..., CommandResult], blocked: str) -> None:
        """The exit code is 1 if the request is blocked, and the output says why."""
        ran = cli("decide", "--text", "a rival", "--tenant", blocked)
        assert ran.code == Exit.NO
        assert non_empty_lines(ran.out)[0] == "BLOCK (not allowed)"
        assert "message:  No!" in ran.out
        assert "STATIC_POLICY_BLOCK (status 403)" in ran.out
        assert "pattern found in the text, 2 to 7" in ran.out
        assert "Trace:" not in ran.out
        assert ran.err == ""

    def test_explain(self, cli: Callable[..., CommandResult]) -> None:
        """The trace has every layer."""
        ran = cli("decide", "--text", "hello", "--explain")
        trace = ran.out.partition("Trace:")[2]
        for layer in ("kill_switch", "limits", "customer", "static", "chain", "dlp", "org"):
            assert layer in trace

    def test_json_is_the_same_as_over_http(
        self, cli: Callable[..., CommandResult], server: Server, blocked: str
    ) -> None:
        """--json prints the same as HTTP, except for ids and the revision."""
        ran = cli("decide", "--text", "a rival", "--tenant", blocked, "--explain", "--json")
        assert ran.code == Exit.NO
        body = {"content": {"text": "a rival"}, "tenant_id": blocked, "explain": True}
        answer = server.request("POST", "/v1/decide", json=body).json()
        printed = ran.json
        assert list(printed) == list(answer)
        for key in ("decision_id", "request_id", "revision"):
            answer[key] = printed[key]
        assert printed == answer

    def test_all_options(
        self, cli: Callable[..., CommandResult], tmp_path: Path, blocked: str
    ) -> None:
        """Options override fields of the request in a file."""
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
    def test_arguments(self, cli: Callable[..., CommandResult], arguments: tuple[str, ...]) -> None:
        """Arguments can be given one by one, as text or JSON, or all at once."""
        assert cli("decide", *arguments).code == Exit.NO

    def test_standard_input(self, cli: Callable[..., CommandResult]) -> None:
        """- reads the request from standard input."""
        request = json.dumps({"content": {"text": ATTACK}})
        assert cli("decide", "--request", "-", stdin=request).code == Exit.NO

    def test_a_payload(self, cli: Callable[..., CommandResult], tmp_path: Path) -> None:
        """A file or standard input holds what goes to the model."""
        body = json.dumps({"messages": [{"role": "user", "content": ATTACK}]})
        file = tmp_path / "chat.json"
        file.write_text(body)
        ran = cli("decide", "--payload", str(file), "--history", "latest")
        assert ran.code == Exit.NO
        assert "(in /messages/0/content)" in ran.out
        assert "payload:  openai.chat_completions" in " ".join(ran.out.split(" "))
        assert cli("decide", "--payload", "-", "--format", "text", stdin="hello").code == Exit.OK

    def test_a_model_without_a_provider(self, cli: Callable[..., CommandResult]) -> None:
        """A model may be named without its provider."""
        assert cli("decide", "--model", "gpt-4o").code == Exit.OK

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "there is no request"),
            (("--request", "missing.json"), "cannot be read: No such file"),
            (("--payload", "missing.json"), "cannot be read: No such file"),
            (("--arguments", "{"), "--arguments is not JSON"),
            (("--context", "nope"), "--context is not JSON"),
            (("--arg", "novalue"), "is neither NAME=VALUE nor NAME:=JSON"),
            (("--arg", "=x"), "is neither NAME=VALUE nor NAME:=JSON"),
            (("--arg", "x:=nope"), "--arg x is not JSON"),
            (("--txt", "x"), "No such option"),
        ],
    )
    def test_usage_errors(
        self, cli: Callable[..., CommandResult], arguments: tuple[str, ...], message: str
    ) -> None:
        """Invalid options are a usage error, and the message says what is wrong."""
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
        self, cli: Callable[..., CommandResult], arguments: tuple[str, ...], stdin: str, field: str
    ) -> None:
        """The exit code is 3 if the request is invalid; --json prints the error as over HTTP."""
        ran = cli("decide", *arguments, stdin=stdin)
        assert ran.code == Exit.INVALID
        assert ran.err.startswith("pdp: ")
        assert ran.out == ""
        error = cli("decide", *arguments, "--json", stdin=stdin).json["error"]
        assert field in [detail["field"] for detail in error["details"]]

    def test_a_list_is_not_a_request(self, cli: Callable[..., CommandResult]) -> None:
        """A request must be an object."""
        ran = cli("decide", "--request", "-", stdin="[1]")
        assert ran.code == Exit.INVALID
        assert "--request - holds no JSON object" in ran.err

    def test_invalid_json_is_reported_with_its_option(
        self, cli: Callable[..., CommandResult]
    ) -> None:
        """The error names the option, because a command has no body."""
        ran = cli("decide", "--request", "-", stdin="{")
        assert ran.code == Exit.INVALID
        assert "pdp: --request - is not JSON: " in ran.err

    @pytest.mark.parametrize("name", ["decide", "simulate"])
    def test_no_server(
        self, cli: Callable[..., CommandResult], closed_port: str, name: str
    ) -> None:
        """The exit code is 4 if there is no server, and the error says what to do."""
        ran = cli(name, "--text", "hello", "--server", closed_port)
        assert ran.code == Exit.UNAVAILABLE
        assert f"the server at {closed_port} did not answer" in ran.err
        assert "pdp serve --auth dev" in ran.err
        assert "--embedded" in ran.err

    @pytest.mark.parametrize("name", ["decide", "simulate", "health"])
    def test_the_server_of_the_environment(
        self,
        cli: Callable[..., CommandResult],
        server: Server,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
    ) -> None:
        """Without --server and PDP_SERVER, commands follow PDP_GRPC_LISTEN."""
        monkeypatch.delenv("PDP_SERVER", raising=False)
        monkeypatch.setenv("PDP_GRPC_LISTEN", server.grpc_address)
        ran = cli(name, *(() if name == "health" else ("--text", "hello")))
        assert ran.code == Exit.OK, ran.err
        if name != "health":
            assert ran.err == f"pdp: the server at {server.grpc_address} answered\n"

    def test_an_error_says_which_server_answered(
        self, cli: Callable[..., CommandResult], server: Server
    ) -> None:
        ran = cli("decide", "--action", "X", "--server", server.grpc_address)
        assert ran.code == Exit.INVALID
        assert f"The server at {server.grpc_address} answered." in ran.err
        assert "--auth dev" not in ran.err

    def test_a_service_that_does_not_speak_grpc(
        self, cli: Callable[..., CommandResult], server: Server
    ) -> None:
        """An HTTP port is not a server."""
        address = server.http_url.removeprefix("http://")
        ran = cli("decide", "--text", "x", "--server", address)
        assert ran.code == Exit.UNAVAILABLE
        assert "--auth dev" not in ran.err

    def test_a_revision_that_is_not_reached(self, cli: Callable[..., CommandResult]) -> None:
        """The exit code is 4 if the server does not reach the revision in time."""
        ran = cli("decide", "--text", "x", "--min-revision", "99999999", "--timeout", "0.2")
        assert ran.code == Exit.UNAVAILABLE

    def test_embedded(self, cli: Callable[..., CommandResult], tmp_path: Path) -> None:
        """The result is the same without a server."""
        url = f"sqlite:///{tmp_path}/pdp.db"
        arguments = ("--text", ATTACK, "--json", "--embedded", "--database-url", url)
        embedded = cli("decide", *arguments)
        remote = cli("decide", "--text", ATTACK, "--json")
        assert embedded.code == remote.code == Exit.NO
        assert list(embedded.json) == list(remote.json)
        assert embedded.json["matches"] == remote.json["matches"]
        assert cli("decide", "--action", "X", *arguments).code == Exit.INVALID

    def test_embedded_beside_a_server(
        self, cli: Callable[..., CommandResult], server: Server, blocked: str
    ) -> None:
        """The database of a running server can be used."""
        url = server.database_url
        ran = cli(
            "decide", "--text", "rival", "--tenant", blocked, "--embedded", "--database-url", url
        )
        assert ran.code == Exit.NO

    def test_embedded_without_a_database(self, cli: Callable[..., CommandResult]) -> None:
        """The exit code is 78 if the database cannot be used."""
        ran = cli("decide", "--text", "x", "--embedded", "--database-url", "nonsense")
        assert ran.code == Exit.CONFIG
        assert "sqlite:///" in ran.err
