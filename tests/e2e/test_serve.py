"""The process `pdp serve`: start, refusal to start, drain and end."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import grpc
import httpx2
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from pdp.cli.exit_codes import Exit
from pdp.client.remote import RemoteClient, open_channel
from tests.support.kubernetes import THREE_SERVICES
from tests.support.servers import (
    COMMAND,
    SERVE,
    TIMEOUT_S,
    Server,
    environment,
    launch,
    run_pdp,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def start_error(
    tmp_path: Path, *flags: str, command: Sequence[str] | None = None, **settings: str
) -> str:
    """Starts a server that must not start; returns its only line on stderr."""
    with launch(tmp_path, *flags, command=command, **settings) as server:
        assert server.wait() == Exit.CONFIG, server.lines
    (line,) = server.lines
    assert line.startswith("pdp: ")
    return line


class TestStart:
    """What a server logs and does when it serves."""

    def test_the_announcement_has_addresses_and_revision(self, server: Server) -> None:
        """The announcement has the addresses, the content and the duration of the start."""
        announcement = server.announcement
        assert announcement["grpc"].startswith("127.0.0.1:")
        assert announcement["http"].startswith("http://127.0.0.1:")
        assert announcement["docs"] == f"{announcement['http']}/docs"
        assert announcement["console"] == f"{announcement['http']}/console/"
        assert announcement["database"] == f"sqlite:///{server.data_dir}/pdp.db"
        assert announcement["system_policies"] >= 40
        assert announcement["revision"] >= announcement["system_policies"]
        assert announcement["seconds"] > 0
        assert announcement["workers"] == 1

    def test_development_mode_is_logged_as_a_warning(self, server: Server) -> None:
        """The log warns clearly that every caller is an admin."""
        assert any("DEVELOPMENT MODE" in line and "admin" in line for line in server.lines)

    def test_the_announcement_does_not_depend_on_the_log_level(self, tmp_path: Path) -> None:
        """The log level does not hide the announcement."""
        with start(tmp_path, PDP_LOG_LEVEL="error") as server:
            assert server.announcement["grpc"]
            assert any("DEVELOPMENT MODE" in line for line in server.lines)

    def test_the_announcement_on_a_terminal_is_text(self, tmp_path: Path) -> None:
        """On a terminal, log entries are readable lines instead of JSON."""
        ours, theirs = pty.openpty()
        settings = {"PDP_GRPC_LISTEN": "127.0.0.1:0", "PDP_HTTP_LISTEN": "127.0.0.1:0"}
        process = subprocess.Popen(
            [*COMMAND, "serve", "--auth", "dev", "--data-dir", str(tmp_path)],
            env=environment(**settings),
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while b"!!" not in shown:
            shown += os.read(ours, 4096)
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
        os.close(ours)
        text = shown.decode()
        for part in (
            "is SERVING",
            "gRPC      127.0.0.1:",
            "Docs      http://",
            "Console   http://",
            "DEVELOPMENT MODE",
        ):
            assert part in text

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
    def test_public_pages_are_served(self, server: Server, path: str) -> None:
        """What is not an RPC is there too."""
        assert server.request("GET", path).status_code == 200

    def test_the_console_can_be_switched_off(self, server: Server, tmp_path: Path) -> None:
        """The list of routes names the console only if it is served."""
        assert server.request("GET", "/").json()["console"] == "/console/"
        with start(tmp_path, PDP_CONSOLE="off") as other:
            assert "console" not in other.request("GET", "/").json()

    def test_a_second_start_installs_nothing(self, tmp_path: Path) -> None:
        """A second start uses the existing database, and installs nothing again."""
        with start(tmp_path) as server:
            first = server.announcement["revision"]
        with start(tmp_path) as server:
            assert server.announcement["revision"] == first

    def test_unix_sockets(self, tmp_path: Path) -> None:
        """Both transports can listen on Unix sockets."""
        grpc_socket, http_socket = f"unix:{tmp_path}/grpc.sock", f"unix:{tmp_path}/http.sock"
        with start(tmp_path, PDP_GRPC_LISTEN=grpc_socket, PDP_HTTP_LISTEN=http_socket) as server:
            assert server.grpc_address == grpc_socket
            assert server.http_url == http_socket
            assert run_pdp("health", "--server", grpc_socket).returncode == Exit.OK
            transport = httpx2.HTTPTransport(uds=f"{tmp_path}/http.sock")
            with httpx2.Client(transport=transport, base_url="http://localhost") as client:
                assert client.get("/healthz").status_code == 200

    def test_a_stale_socket_is_replaced(self, tmp_path: Path) -> None:
        """A server replaces the socket that a killed server left."""
        path = tmp_path / "http.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        with start(tmp_path, PDP_HTTP_LISTEN=f"unix:{path}") as server:
            assert server.http_url == f"unix:{path}"

    @pytest.mark.parametrize("alive", [True, False])
    def test_other_sockets_and_files_are_not_replaced(self, tmp_path: Path, alive: bool) -> None:
        """A server replaces neither a socket with a listener nor a regular file."""
        path = tmp_path / "http.sock"
        with socket.socket(socket.AF_UNIX) as other:
            if alive:
                other.bind(str(path))
                other.listen()
            else:
                path.write_text("mine")
            line = start_error(tmp_path, PDP_HTTP_LISTEN=f"unix:{path}")
        assert "PDP_HTTP_LISTEN" in line
        assert path.exists()

    def test_variables_of_kubernetes_are_accepted(self, tmp_path: Path) -> None:
        """Variables of Kubernetes Services and ignored variables cause no warning."""
        ignored = {"PDP_NEWER": "1", "PDP_IGNORE_SETTINGS": "PDP_NEWER"}
        with start(tmp_path, **THREE_SERVICES, **ignored, PDP_LOG_LEVEL="INFO") as server:
            assert not [line for line in server.lines if "no such setting" in line]

    def test_flags_override_variables_which_override_the_file(self, tmp_path: Path) -> None:
        """A flag overrides the environment, which overrides the file."""
        file = tmp_path / "pdp.toml"
        records = tmp_path / "records.db"
        file.write_text(
            f'data_dir = "{tmp_path}/file"\ndrain_s = 3\naudit_url = "sqlite:///{records}"\n'
        )
        flags = ("--config", str(file), "--data-dir", f"{tmp_path}/flag")
        with start(tmp_path / "environment", *flags, PDP_DRAIN_S="0.5") as server:
            assert server.database_url == f"sqlite:///{tmp_path}/flag/pdp.db"
            server.process.terminate()
            assert server.wait_for_event("draining")["seconds"] == 0.5
        assert records.exists()


class TestRefusal:
    """If the server cannot start, it prints one line with the reason and exits with 78."""

    @pytest.mark.parametrize("name", ["PDP_GRPC_LISTEN", "PDP_HTTP_LISTEN"])
    def test_development_mode_needs_a_loopback_address(self, tmp_path: Path, name: str) -> None:
        """Development mode is refused on an address that other machines can reach."""
        line = start_error(tmp_path, **{name: "0.0.0.0:0"})
        assert line.startswith(f"pdp: {name}: 0.0.0.0:0 is not a loopback address")

    @pytest.mark.parametrize(
        ("name", "value", "advice"),
        [
            ("PDP_TLS_CERT", "server.crt", "Did you mean PDP_TLS_CERT_FILE"),
            ("PDP_WORKER", "2", "Did you mean PDP_WORKERS?"),
            ("PDP_HTTP_PORT", "80", "Did you mean PDP_HTTP_LISTEN?"),
            ("PDP_PORT", "8080", "`pdp serve --help` lists the settings."),
        ],
    )
    @pytest.mark.parametrize("flags", [(), ("--auth", "dev")], ids=["no flags", "flags"])
    def test_unknown_variables_are_refused(
        self, tmp_path: Path, flags: tuple[str, ...], name: str, value: str, advice: str
    ) -> None:
        """An unknown variable is refused as a misspelt setting, also beside those of Kubernetes."""
        line = start_error(tmp_path, *flags, **{**THREE_SERVICES, name: value})
        assert line.startswith(f"pdp: {name}: no such setting. {advice}")
        assert "PDP_IGNORE_SETTINGS" in line

    def test_other_commands_warn_of_unknown_variables(self) -> None:
        """A command other than `pdp serve` warns of an unknown variable, and continues."""
        injected = {"PDP_SERVICE_HOST": "10.0.0.1", "PDP_PORT": "tcp://10.0.0.1:8080"}
        answer = run_pdp("version", cwd=None, PDP_TLS_CERT="server.crt", **injected)
        assert answer.returncode == Exit.OK
        (line,) = answer.stderr.splitlines()
        assert line.startswith("pdp: warning: PDP_TLS_CERT: no such setting.")
        assert run_pdp("version", cwd=None, **injected).stderr == ""

    def test_health_warns_of_unknown_variables(self, closed_port: str) -> None:
        """`pdp health` without options also warns, although it starts without the parser."""
        answer = run_pdp("health", PDP_SERVER=closed_port, PDP_WORKER="2")
        assert answer.stderr.startswith("pdp: warning: PDP_WORKER: no such setting.")

    def test_tokens_need_an_audience(self, tmp_path: Path) -> None:
        """Tokens require an audience: tokens for other services would be valid otherwise."""
        line = start_error(tmp_path, PDP_AUTH="required", PDP_JWT_ISSUER="https://id.example")
        assert "PDP_JWT_AUDIENCE" in line

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"PDP_JWT_JWKS": "{}/missing.json"}, "PDP_JWT_JWKS"),
            ({"PDP_JWT_JWKS": "http://id.example/keys"}, "PDP_JWT_JWKS"),
            ({"PDP_JWT_SECRET_FILE": "{}/missing"}, "PDP_JWT_SECRET_FILE"),
        ],
    )
    def test_unreadable_token_keys_are_refused(
        self, tmp_path: Path, settings: dict[str, str], message: str
    ) -> None:
        """If a key file cannot be read, the server does not start."""
        environment = {name: value.format(tmp_path) for name, value in settings.items()}
        issuer = {"PDP_JWT_ISSUER": "https://id.example", "PDP_JWT_AUDIENCE": "pdp"}
        assert message in start_error(tmp_path, PDP_AUTH="required", **issuer, **environment)

    def test_credentials_are_required_by_default(self, tmp_path: Path) -> None:
        """By default the server requires credentials, and says how to create the first key."""
        listen = {"PDP_GRPC_LISTEN": "127.0.0.1:0", "PDP_HTTP_LISTEN": "127.0.0.1:0"}
        process = subprocess.Popen(
            [*COMMAND, "serve"],
            env=environment(PDP_DATA_DIR=str(tmp_path), **listen),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        with Server(process, tmp_path) as server:
            assert server.wait_for_event("serving")["auth"] == "required"
            assert any("pdp keys create --role admin" in line for line in server.lines)

    def test_an_unknown_setting_is_refused(self, tmp_path: Path) -> None:
        """The message names the unknown key of the file."""
        file = tmp_path / "pdp.toml"
        file.write_text("grpc_lisen = '127.0.0.1:0'")
        assert "grpc_lisen" in start_error(tmp_path, "--config", str(file))

    def test_a_setting_out_of_bounds_is_refused(self, tmp_path: Path) -> None:
        """The message names the variable of the setting, also if a flag set it."""
        assert "PDP_WORKERS" in start_error(tmp_path, "--workers", "0")

    def test_a_missing_settings_file_is_refused(self, tmp_path: Path) -> None:
        """A configuration file that was named must exist."""
        assert "does not exist" in start_error(tmp_path, "--config", str(tmp_path / "missing"))

    def test_an_unknown_option_is_refused(self, tmp_path: Path) -> None:
        """An option that does not exist is a usage error."""
        with launch(tmp_path, "--colour", "red") as server:
            assert server.wait() == Exit.USAGE

    def test_a_file_of_another_program_is_refused(self, tmp_path: Path) -> None:
        """The server does not change a file that is not its database."""
        file = tmp_path / "notes.txt"
        file.write_text("my notes\n" * 1000)
        line = start_error(tmp_path, PDP_DATABASE_URL=f"sqlite:///{file}")
        assert "not a database of this product" in line
        assert file.read_text() == "my notes\n" * 1000

    def test_an_invalid_database_url_is_refused(self, tmp_path: Path) -> None:
        """The message for an invalid address shows valid forms."""
        assert "sqlite:///" in start_error(tmp_path, PDP_DATABASE_URL="postgres://db/pdp")

    def test_a_missing_risk_file_is_refused(self, tmp_path: Path) -> None:
        """The server reads the risk file before it serves."""
        assert "cannot be read" in start_error(tmp_path, PDP_RISK_FILE=str(tmp_path / "missing"))

    @pytest.mark.parametrize("name", ["PDP_GRPC_LISTEN", "PDP_HTTP_LISTEN"])
    def test_a_port_in_use_is_refused(self, tmp_path: Path, name: str) -> None:
        """The message has the address in use and the setting to change."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            # The fork server, which others are forked from, does not let gRPC log anything.
            line = start_error(tmp_path, command=SERVE, **{name: address})
        assert address in line
        assert name in line


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[tuple[Server, Any, threading.Event]]:
    """A server with an open stream: the server, the answers and the event that ends the stream."""
    going_on = threading.Event()

    def requests() -> Iterator[decide_pb2.DecideStreamRequest]:
        yield decide_pb2.DecideStreamRequest()
        going_on.wait(TIMEOUT_S)
        yield decide_pb2.DecideStreamRequest()

    with start(tmp_path, PDP_DRAIN_S="60") as server, open_channel(server.grpc_address) as channel:
        answers = decide_pb2_grpc.DecideServiceStub(channel).DecideStream(requests())
        next(answers)
        try:
            yield server, answers, going_on
        finally:
            going_on.set()


class TestEnd:
    """How a server ends."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_ends_an_idle_server(self, tmp_path: Path, number: signal.Signals) -> None:
        """If no call is running, a signal ends the server with 0."""
        with start(tmp_path) as server:
            server.process.send_signal(number)
            assert server.wait() == Exit.OK

    def test_running_calls_are_completed(self, stream: tuple[Server, Any, threading.Event]) -> None:
        """Running calls are completed; new ones are refused."""
        server, answers, going_on = stream
        watch = _health_of(server)
        server.process.terminate()
        server.wait_for_event("draining")
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()  # a watch is a running call too
        assert run_pdp("health", "--server", server.grpc_address).returncode != Exit.OK
        going_on.set()
        assert next(answers).response.allowed
        assert server.wait() == Exit.OK

    def test_the_time_for_running_calls_is_limited(self, tmp_path: Path) -> None:
        """Calls that exceed the drain time are cut off."""
        with (
            start(tmp_path, PDP_DRAIN_S="0") as server,
            RemoteClient(server.grpc_address) as remote,
        ):
            remote.call("Decide", decide_pb2.DecideRequest())
            waiting = threading.Event()
            with open_channel(server.grpc_address) as channel:
                stub = decide_pb2_grpc.DecideServiceStub(channel)
                answers = stub.DecideStream(iter(_first_then_wait(waiting)))
                next(answers)
                server.process.terminate()
                assert server.wait() == Exit.OK
                with pytest.raises(grpc.RpcError):
                    next(answers)
                waiting.set()

    def test_a_second_signal_ends_the_server_at_once(
        self, stream: tuple[Server, Any, threading.Event]
    ) -> None:
        """A second signal ends the server at once."""
        server, _, _ = stream
        server.process.terminate()
        server.wait_for_event("draining")
        server.process.terminate()
        assert server.wait() == 128 + signal.SIGTERM


def _first_then_wait(waiting: threading.Event) -> Iterator[decide_pb2.DecideStreamRequest]:
    yield decide_pb2.DecideStreamRequest()
    waiting.wait(TIMEOUT_S)


def _health_of(server: Server) -> Any:
    """Returns the watch on the server's health, after its first status SERVING."""
    stub = health_pb2_grpc.HealthStub(open_channel(server.grpc_address))
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    return watch
