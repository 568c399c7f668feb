"""The walk of docs/approvals.md works as the page says, with the credentials of two people."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from pdp.domain import approval
from tests.e2e.test_documentation import ROOT, includes
from tests.support import servers
from tests.support.authenticated_servers import first_admin_key

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = (ROOT / "docs/approvals.md").read_text(encoding="utf-8")
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_walk(tmp_path: Path) -> None:
    """Each JSON block is a part of what the commands before it print last."""
    data, folder = tmp_path / "data", tmp_path / "here"
    data.mkdir()
    folder.mkdir()
    first_admin_key(data)
    with servers.start(data, PDP_AUTH="required") as server:
        printed, expectations = "", 0
        for language, code in BLOCK.findall(PAGE):
            if language == "yaml":
                (folder / "acme.yaml").write_text(code, encoding="utf-8")
            elif language == "sh":
                printed = run(code, server, folder)
            else:
                expectations += 1
                actual = json.loads(printed.splitlines()[-1])
                assert includes(actual, json.loads(code)), (code, actual)
        assert expectations == 3


def run(code: str, server: servers.Server, folder: Path) -> str:
    """Runs a block; the variables and functions of one block are those of the next."""
    state = shlex.quote(str(folder / "state.sh"))
    here = (
        code.replace("http://127.0.0.1:8080", server.http_url)
        .replace("127.0.0.1:50051", server.grpc_address)
        .replace(".venv/bin/pdp", f"{shlex.quote(sys.executable)} -m pdp")
    )
    script = f". {state} >/dev/null 2>&1 || true\nset -e\n{here}\n(declare -px; declare -p "
    script += f"AGENT BOB APPROVAL TOKEN; declare -f) > {state} 2>/dev/null || true"
    done = subprocess.run(
        ["bash", "-uo", "pipefail", "-c", script],
        cwd=folder,
        env=servers.environment(
            PDP_SERVER=server.grpc_address,
            PDP_DATABASE_URL=server.database_url,
            PYTHONPATH=str(ROOT),
        ),
        capture_output=True,
        text=True,
        timeout=servers.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, (code, done.stdout, done.stderr)
    return done.stdout


def test_the_reason_codes_are_those_of_the_page() -> None:
    codes = {
        each.reason_code
        for each in vars(approval).values()
        if type(each) is approval.ApprovalProblem
    }
    named = set(re.findall(r"`((?:TOKEN|APPROVAL)_[A-Z_]+)`", PAGE))
    assert named == codes


def test_the_bounds_are_those_of_the_page() -> None:
    for number in (
        approval.MAX_OPEN_OF_SUBJECT,
        approval.MAX_OPEN_OF_TENANT,
        approval.MAX_KEPT_OF_TENANT,
        approval.MAX_INPUTS,
        approval.MAX_HOLDS,
        approval.KEEP_CLOSED_S // 86_400,
    ):
        assert re.search(rf"\b{number:,}\b", PAGE), number
    assert str(approval.MAX_EXPIRY_S) in PAGE
    assert str(approval.DEFAULT_EXPIRY_S) in PAGE
