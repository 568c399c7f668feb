"""Runs every command of `docs/production.md`, from the first to the last."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.e2e.test_documentation import ROOT, blocks
from tests.support import servers

if TYPE_CHECKING:
    from pathlib import Path


def run(language: str, code: str, folder: Path, server: servers.Server | None) -> str:
    """Runs a code block of the page in `folder`; returns its output."""
    here = code.replace(".venv/bin/pdp", f"{shlex.quote(sys.executable)} -m pdp")
    settings = {"PDP_DATA_DIR": str(folder / "pdp-data"), "PYTHONPATH": f"{ROOT}/clients/python"}
    if server is not None:
        here = here.replace("http://127.0.0.1:8080", server.http_url)
        here = here.replace("127.0.0.1:50051", server.grpc_address)
        settings["PDP_SERVER"] = server.grpc_address
    command = ["bash", "-euo", "pipefail", "-c", here]
    if language == "python":
        command = [sys.executable, "-c", here]
    done = subprocess.run(
        command,
        cwd=folder,
        env=servers.environment(**settings),
        capture_output=True,
        text=True,
        timeout=servers.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, (code, done.stderr)
    return done.stdout


def test_the_production_setup_of_the_docs_works(tmp_path: Path) -> None:
    """An admin's key, a server that requires it, a gateway's key, and the gateway's permissions."""
    examples = [block for block in blocks("docs/production.md") if block[0] != "toml"]
    languages = [language for language, _ in examples]
    assert languages == ["sh", "sh", "sh", "sh", "python", "sh", "json"]
    run(*examples[0], tmp_path, None)
    assert stat.S_IMODE(os.stat(tmp_path / "admin.key").st_mode) == 0o600
    assert "pdp serve" in examples[1][1]
    with servers.start(tmp_path / "pdp-data", PDP_AUTH="required") as server:
        assert not any("NO CALLER HAS ACCESS" in line for line in server.lines)
        run(*examples[2], tmp_path, server)
        assert (tmp_path / "gateway.key").read_text().startswith("aa_live_")
        assert run(*examples[3], tmp_path, server).startswith("ALLOW")
        assert run(*examples[4], tmp_path, server).strip() == "My card is [REDACTED]."
        assert json.loads(run(*examples[5], tmp_path, server)) == json.loads(examples[6][1])
