"""`pdp health`, `pdp decide` and the Python client over TLS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pdp.cli.exit_codes import Exit
from tests.support.servers import TIMEOUT_S, run_pdp
from tests.support.tls_servers import TlsServer, tls_server

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS: Final = Path(__file__).parents[2] / "clients" / "python"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A server with a certificate; clients need none."""
    with tls_server(tmp_path_factory.mktemp("tls")) as started:
        yield started


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A server that requires client certificates."""
    with tls_server(tmp_path_factory.mktemp("tls"), mutual=True) as started:
        yield started


class TestCommands:
    """`pdp health`, `pdp decide` and the Python client."""

    def test_health_over_tls(self, mutual: TlsServer) -> None:
        """TLS settings come from options, or from the environment, as in a container check."""
        address, folder = mutual.server.grpc_address, mutual.folder
        environment = {
            "PDP_SERVER": address,
            "PDP_TLS_CA_FILE": str(folder / "ca.crt"),
            "PDP_TLS_CLIENT_CERT_FILE": str(folder / "client.crt"),
            "PDP_TLS_CLIENT_KEY_FILE": str(folder / "client.key"),
        }
        probe = run_pdp("health", **environment)  # type: ignore[arg-type] # settings are texts
        assert (probe.returncode, probe.stdout) == (Exit.OK, "SERVING\n")
        assert run_pdp("health", "--server", address).returncode == Exit.UNAVAILABLE
        assert run_pdp("health", "--server", address, "--tls").returncode == Exit.UNAVAILABLE

    @pytest.mark.parametrize("command", ["health", "decide"])
    def test_a_plaintext_command_is_told_of_tls(self, secured: TlsServer, command: str) -> None:
        """A server answered, so the error does not advise to start another one."""
        flags = ["--text", "hello"] if command == "decide" else []
        ran = run_pdp(command, *flags, "--server", secured.server.grpc_address)
        assert ran.returncode == Exit.UNAVAILABLE
        assert "--tls-ca-file" in ran.stderr
        assert "--auth dev" not in ran.stderr
        ran = run_pdp(command, *flags, "--tls", "--server", secured.server.grpc_address)
        assert "--tls-ca-file" in ran.stderr
        assert "--auth dev" not in ran.stderr

    def test_decide_over_tls(self, secured: TlsServer) -> None:
        """A name that the certificate lacks is refused, unless an option sets the right name."""
        _, _, port = secured.server.grpc_address.rpartition(":")
        ca = str(secured.folder / "ca.crt")
        flags = ("--server", f"localhost:{port}", "--tls-ca-file", ca, "--text", "hello")
        assert run_pdp("decide", *flags).returncode == Exit.OK
        wrong = run_pdp("decide", *flags, "--tls-server-name", "pdp.example")
        assert wrong.returncode == Exit.UNAVAILABLE

    @pytest.mark.parametrize("command", ["health", "decide"])
    def test_unusable_files_are_reported(self, command: str) -> None:
        """The message names the invalid file, and the command sends no request."""
        flags = ["--text", "hello"] if command == "decide" else []
        missing = run_pdp(command, *flags, "--tls-ca-file", "missing.pem")
        assert missing.returncode == Exit.CONFIG
        assert "missing.pem cannot be read" in missing.stderr
        half = run_pdp(command, *flags, "--tls-client-cert-file", "x.pem")
        assert half.returncode == Exit.CONFIG
        assert "belong together" in half.stderr

    def test_the_python_client_over_tls(self, mutual: TlsServer) -> None:
        """The channels of the client take the same files."""
        names = ("ca.crt", "client.crt", "client.key")
        files = [str(mutual.folder / name) for name in names]
        ran = subprocess.run(
            [sys.executable, "-c", _CLIENT, mutual.server.grpc_address, *files],
            env={**os.environ, "PYTHONPATH": str(CLIENTS)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert ran.stdout.split() == ["True", "True", "refused"], ran.stderr


_CLIENT: Final = """
import asyncio, sys
import pdp_client as pdp

address, ca, cert, key = sys.argv[1:]
files = {"ca_file": ca, "client_cert_file": cert, "client_key_file": key}
request = pdp.DecideRequest(content=pdp.Content(text="hello"))
with pdp.connect(address, **files) as channel:
    print(pdp.DecideServiceStub(channel).Decide(request, timeout=60).allowed)

async def again():
    async with pdp.connect_async(address, **files) as channel:
        return await pdp.DecideServiceStub(channel).Decide(request, timeout=60)

print(asyncio.run(again()).allowed)
try:
    pdp.connect(address, client_cert_file=cert)
except ValueError:
    print("refused")
"""
