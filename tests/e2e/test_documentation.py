"""The examples of the README and the docs work, on a real server."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdp.config import Settings
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """Returns the fenced blocks of a page, each with its language."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def readme_examples() -> Iterator[Any]:
    """Yields each example of the README, with the JSON that follows it, if any."""
    examples = blocks("README.md")
    for index, (language, code) in enumerate(examples):
        if language not in {"sh", "python"}:
            continue
        following = examples[index + 1] if index + 1 < len(examples) else ("", "")
        expected = json.loads(following[1]) if following[0] == "json" else None
        title = " ".join(code.split()[:3])
        yield pytest.param(language, code, expected, id=f"{index}-{title}")


def includes(actual: Any, expected: Any) -> bool:
    """Returns whether `actual` has all of `expected`; lists are compared item by item."""
    if isinstance(expected, dict):
        return all(key in actual and includes(actual[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return all(includes(*pair) for pair in zip(actual, expected, strict=False))
    return bool(actual == expected)


def run(language: str, code: str, server: servers.Server) -> subprocess.CompletedProcess[str]:
    """Runs an example on the server and database of the test."""
    here = (
        code.replace("http://127.0.0.1:8080", server.http_url)
        .replace("127.0.0.1:50051", server.grpc_address)
        .replace("sqlite:///var/pdp.db", server.database_url)
        .replace(".venv/bin/pdp", f"{shlex.quote(sys.executable)} -m pdp")
    )
    command = ["bash", "-euo", "pipefail", "-c", here]
    if language == "python":
        command = [sys.executable, "-c", here]
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'clients/python'}"}
    return subprocess.run(
        command,
        env=servers.environment(PDP_SERVER=server.grpc_address, **paths),
        capture_output=True,
        text=True,
        timeout=servers.TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def example_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A server for the examples of the README, which build on each other."""
    with servers.start(tmp_path_factory.mktemp("example_server")) as started:
        yield started


def test_the_readmes_examples_work_from_top_to_bottom(example_server: servers.Server) -> None:
    examples = [example.values for example in readme_examples()]
    assert len(examples) >= 7
    for language, code, expected in examples:
        done = run(language, code, example_server)
        if "pdp decide" in code:
            assert done.returncode in {0, 1}, (code, done.stderr)
        else:
            assert done.returncode == 0, (code, done.stderr)
        assert done.stdout.strip(), code
        if expected is not None:
            assert includes(json.loads(done.stdout), expected), (expected, done.stdout)
        if "--explain" in code and "--arg" in code:
            shown = next(text for kind, text in blocks("README.md") if kind == "text")
            assert done.stdout.endswith(f"\n{shown}"), done.stdout
        if "--customer" in code:
            assert done.stdout.startswith("BLOCK (not allowed)"), done.stdout
            assert "ORG_RISK_BLOCK" in done.stdout
            assert "65 static sys_pii_credit_card, 30 customer bulk" in done.stdout


def test_the_policy_of_the_readme_blocks_its_text(example_server: servers.Server) -> None:
    body = {"name": "No rivals", "category": "custom", "pattern": "rival", "action": "block"}
    script = (
        f"curl -s {example_server.http_url}/api/v1/static-policies -H 'X-Tenant-ID: readme' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))} >/dev/null\n"
        ".venv/bin/pdp decide --tenant readme --text 'a rival' --json"
    )
    done = run("sh", script, example_server)
    assert done.returncode == 1
    assert json.loads(done.stdout)["outcome"] == "BLOCK"


def test_the_example_client_works(example_server: servers.Server) -> None:
    code = (ROOT / "clients/python/decide.py").read_text(encoding="utf-8")
    done = run("python", code.replace("sys.argv[1]", "'1 UNION SELECT 2'"), example_server)
    assert done.returncode == 1
    assert done.stdout.startswith("OUTCOME_BLOCK ")


def test_the_example_of_a_stream_works(example_server: servers.Server) -> None:
    code = (ROOT / "clients/python/stream.py").read_text(encoding="utf-8")
    for text, stopped in (("A harmless answer, in pieces.", False), ("1 UNION SELECT 2", True)):
        stdin = f"import io\nimport sys\n\nsys.stdin = io.StringIO({text!r})\n"
        done = run("python", code.replace("import sys\n", stdin), example_server)
        assert done.returncode == int(stopped), done.stderr
        assert done.stdout == ("" if stopped else text)


def test_the_documented_suite_passes(tmp_path: Path) -> None:
    suite = next(
        code for language, code in blocks("docs/testing-policies.md") if language == "yaml"
    )
    (tmp_path / "suite.yaml").write_text(suite, encoding="utf-8")
    answer = servers.run_pdp("test", str(tmp_path), "--json")
    assert answer.returncode == 0, answer.stdout
    assert servers.json_output(answer)["passed"] == 3


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    flag = name.replace("_", "-")
    assert f"| `--{flag}` | `PDP_{name.upper()}` | `{name}` |" in page


PAGES = [Path("README.md"), *(path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_have_targets(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target
