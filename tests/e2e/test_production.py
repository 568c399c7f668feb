"""Runs every command of `docs/production.md` in one shell, from the first to the last."""

from __future__ import annotations

import json
import shlex
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.e2e.test_documentation import ROOT, blocks
from tests.support import servers

if TYPE_CHECKING:
    from pathlib import Path

MARK: Final = "--- the output of the next block ---"
END: Final = "kill %1; wait %1"


def script() -> str:
    """Returns the page as one script, which prints a mark before each block."""
    # The server is in a process group of its own, and ends with the script.
    lines = ["set -m", "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"]
    for language, code in blocks("docs/production.md"):
        if language == "sh":
            lines += [f"echo {shlex.quote(MARK)}", code]
        elif language == "python":
            lines += [f"echo {shlex.quote(MARK)}", f"python - <<'PYTHON'\n{code}PYTHON"]
    return "\n".join([*lines, END])


def test_the_production_setup_of_the_docs_works(tmp_path: Path) -> None:
    """An admin's key, a server with TLS, a gateway's key, and the gateway's permissions."""
    grpc_address, http_address = servers.free_addresses()
    (expected,) = (code for language, code in blocks("docs/production.md") if language == "json")
    page = script()
    for documented, free in (("50051", grpc_address), ("8443", http_address)):
        assert page.count(documented) >= 2
        page = page.replace(documented, free.rpartition(":")[2])
    page = page.replace(".venv/bin/pdp", f"{shlex.quote(sys.executable)} -m pdp")
    page = page.replace("python - ", f"{shlex.quote(sys.executable)} - ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", page],
        cwd=tmp_path,
        env=servers.environment(PYTHONPATH=f"{ROOT}:{ROOT}/clients/python"),
        capture_output=True,
        text=True,
        timeout=servers.TIMEOUT_S,
        check=False,
    )
    log = tmp_path / "server.log"
    assert done.returncode == 0, (done.stdout, done.stderr, log.read_text() if log.exists() else "")
    _, keys, certificate, server, models, gateway, decision, text, refusal = done.stdout.split(
        f"{MARK}\n"
    )
    assert (keys, certificate, server, gateway) == ("", "", "", "")
    assert models.startswith("SERVING\n5 models, 0 switched off")
    assert decision.startswith("ALLOW (allowed)")
    assert text == "My card is [REDACTED].\n"
    assert json.loads(refusal) == json.loads(expected)
    for name in ("admin.key", "gateway.key", "server.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert (tmp_path / "gateway.key").read_text().startswith("aa_live_")
    assert done.stderr.count(f"the server at {grpc_address} answered") == 2
    assert "NO CALLER HAS ACCESS" not in log.read_text()
