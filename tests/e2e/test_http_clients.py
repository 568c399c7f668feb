"""HTTP clients of other languages, each as its users run it: Java, Go and Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.support.servers import Server

PROGRAMS: Final = Path(__file__).parent.parent / "support" / "http_clients"
COMMANDS: Final = {
    "java": ("java", str(PROGRAMS / "Client.java")),
    "go": ("go", "run", str(PROGRAMS / "client.go")),
    "node": ("node", str(PROGRAMS / "client.mjs")),
}
RESPONSES: Final = {"java": 2, "go": 4, "node": 5}
"""How many requests each program sends for one body."""

COMPILE_TIMEOUT_S: Final = 500
"""The Go compiler may have to compile its standard library first."""

ALLOWED: Final = {"content": {"text": "hello" * 20_000}}  # larger than a network packet
BLOCKED: Final = {"tool": "run_sql", "arguments": {"q": "SELECT 1; DROP TABLE users;"}}


@pytest.mark.programs
@pytest.mark.parametrize("language", COMMANDS)
def test_a_body_reaches_the_server_from_the_clients_of_other_languages(
    server: Server, language: str, tmp_path: Path
) -> None:
    """Java's client offers h2c with every request over plaintext; its body counts all the same."""
    command = COMMANDS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    bodies = [json.dumps(ALLOWED), json.dumps(BLOCKED)]
    # Nothing is downloaded: neither another toolchain nor modules.
    offline = {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GO111MODULE": "off"}
    result = subprocess.run(
        (*command, f"{server.http_url}/v1/decide", *bodies),
        env={**os.environ, **offline},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    responses = [line.partition(" ") for line in result.stdout.splitlines()]
    assert [status for status, _, _ in responses] == ["200"] * 2 * RESPONSES[language]
    allowed = [json.loads(body)["allowed"] for _, _, body in responses]
    assert allowed == [True] * RESPONSES[language] + [False] * RESPONSES[language]
