"""`pdp decide`, against a real server and without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from pdp.cli.exit_codes import Exit
from tests.support.servers import Server, non_empty_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Ran

ATTACK: Final = "1 UNION SELECT password FROM users"


class TestDecide:
    """`pdp decide`."""

    def test_allowed(self, cli: Callable[..., Ran]) -> None:
        """An allowed request exits with 0."""
        ran = cli("decide", "--text", "What is the weather?")
        assert ran.code == Exit.OK
        assert non_empty_lines(ran.out)[0] == "ALLOW (allowed)"

    def test_blocked(self, cli: Callable[..., Ran], blocked: str) -> None:
        """A blocked one exits with 1, and says why."""
        ran = cli("decide", "--text", "a rival", "--tenant", blocked)
        assert ran.code == Exit.NO
        assert non_empty_lines(ran.out)[0] == "BLOCK (not allowed)"
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
        body = {"content": {"text": "a rival"}, "tenant_id": blocked, "explain": True}
        answer = server.request("POST", "/v1/decide", json=body).json()
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
            ((), "there is no request"),
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
        assert ran.code == Exit.INVALID
        assert "--request - holds no JSON object" in ran.err

    def test_what_is_not_json_is_named(self, cli: Callable[..., Ran]) -> None:
        """A command line has no body: the option is what cannot be read."""
        ran = cli("decide", "--request", "-", stdin="{")
        assert ran.code == Exit.INVALID
        assert "pdp: --request - is not JSON: " in ran.err

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
