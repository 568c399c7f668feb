"""Every command of the tutorial runs, and does what the page says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.e2e.test_documentation import ROOT, includes
from tests.support import servers
from tests.support.certificates import new_authority
from tests.support.siem_product import PlannedResponse, Product

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = ROOT / "docs/tutorial.md"
BLOCK: Final = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$|^## (\d+\..*?)$", re.M | re.S)
WEBHOOK: Final = "https://hooks.slack.com/services/T000/B000/example"
MAX_STEPS: Final = 3
WISHES: Final = 10


class Block(NamedTuple):
    """A fenced block of the page: its language, the file that it is saved as, its text."""

    language: str
    file: str
    text: str
    wish: str


def blocks() -> Iterator[Block]:
    wish = ""
    for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        language, file, text, heading = match.groups()
        if heading:
            wish = heading
        else:
            yield Block(language, file or "", text, wish)


class Reader:
    """Does what the page says, in one shell after the other, in one directory."""

    def __init__(self, server: servers.Server, folder: Path, webhook: str) -> None:
        self._server = server
        self._folder = folder
        self._webhook = webhook
        self._variables = folder / "variables.sh"
        self._variables.write_text("")

    def save(self, block: Block) -> None:
        file = self._folder / block.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")

    def run(self, block: Block) -> str:
        """Runs the commands of a block; returns what they print."""
        here = (
            block.text.replace("http://127.0.0.1:8080", self._server.http_url)
            .replace("127.0.0.1:50051", self._server.grpc_address)
            .replace(WEBHOOK, self._webhook)
            .replace(".venv/bin/pdp", f"{shlex.quote(sys.executable)} -m pdp")
        )
        # The variables of one block are those of the next, as in one terminal.
        keep = f"declare -px > {shlex.quote(str(self._variables))}; declare -p BEFORE >> "
        keep += f"{shlex.quote(str(self._variables))} 2>/dev/null || true"
        script = f". {shlex.quote(str(self._variables))} >/dev/null 2>&1 || true\n{here}\n{keep}"
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", script],
            cwd=self._folder,
            env=servers.environment(PDP_SERVER=self._server.grpc_address, PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=servers.TIMEOUT_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert not [line for line in done.stderr.splitlines() if line.startswith("pdp: ")], (
            block.text,
            done.stderr,
        )
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    signer = new_authority()
    ca_file, _ = signer.write(tmp_path, "ca")
    certificate, key = signer.issue("localhost").write(tmp_path, "server")
    settings = {"SSL_CERT_FILE": str(ca_file), "PDP_ALERT_NETWORKS": "127.0.0.0/8,::1/128"}
    folder = tmp_path / "work"
    folder.mkdir()
    with (
        Product(lambda _: PlannedResponse(200, "ok"), (str(certificate), str(key))) as product,
        servers.start(tmp_path / "data", **settings) as server,
    ):
        yield Reader(server, folder, f"https://localhost:{product.port}/services/T/B/x")


def test_every_command_does_what_the_page_says(reader: Reader) -> None:
    printed = ""
    for block in blocks():
        if block.language == "yaml":
            reader.save(block)
        elif block.language == "sh":
            printed = reader.run(block)
            if "pdp test" in block.text:
                assert " 0 failed" in printed, printed
        elif block.language == "json":
            assert includes(json.loads(printed), json.loads(block.text)), printed
        else:
            assert block.language == "text"
            assert printed.startswith(block.text), (block.wish, printed)


def test_each_wish_takes_at_most_three_steps() -> None:
    """A step is a file to write or a block of commands."""
    steps: dict[str, int] = {}
    for block in blocks():
        if block.wish and block.language in {"yaml", "sh"}:
            steps[block.wish] = steps.get(block.wish, 0) + 1
    assert len(steps) == WISHES
    assert {wish: count for wish, count in steps.items() if count > MAX_STEPS} == {}
