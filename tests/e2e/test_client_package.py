"""The distributions of the Python client: built, installed into a new environment, and used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support import servers
from tests.support.program_environments import unavailable

if TYPE_CHECKING:
    from tests.support.servers import Server

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = ROOT / "clients/python"
INSTALL_TIMEOUT_S: Final = 300


def run(*command: str | Path, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=servers.environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )


def build(source: Path, target: str, folder: Path) -> Path:
    """Builds a distribution into a folder, and returns it."""
    done = run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=source)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel that was built from a source distribution."""
    copy = tmp_path / "repository/clients/python"
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    for tree in ("proto", "dist/protos"):  # `make protos` adds what the contracts import
        shutil.copytree(ROOT / "proto", tmp_path / "repository" / tree)
    source = build(copy, "sdist", tmp_path / "sdist")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    return build(unpacked, "wheel", tmp_path / "wheel")


def first_example() -> str:
    """Returns the first example of the page."""
    page = (CLIENT / "README.md").read_text(encoding="utf-8")
    match = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert match
    return match[1]


@pytest.mark.programs
def test_an_installed_wheel_gets_a_decision(wheel: Path, tmp_path: Path, server: Server) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0")
    done = run(python, *install, "--only-binary", ":all:", wheel, cwd=tmp_path)
    if done.returncode != 0:
        unavailable(f"what the client needs cannot be installed: {done.stderr[-200:]}")
    code = first_example().replace("127.0.0.1:50051", server.grpc_address)
    done = run(python, "-I", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("send 'What is the weather?'")
    # The client needs no other package than those that it names.
    imports = "import pdp_client.integrations.asgi, pdp_client.integrations.openai"
    imports += ", pdp_client.integrations.anthropic, pdp_client.integrations.grpc_interceptors"
    done = run(python, "-I", "-c", imports, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_first_example_is_short_and_works(server: Server) -> None:
    code = first_example()
    assert len(code.splitlines()) <= 12
    code = code.replace("127.0.0.1:50051", server.grpc_address)
    done = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(CLIENT))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "send 'What is the weather?' to the model of the request\n"


def test_further_examples_of_the_page_work(server: Server) -> None:
    """The first five are run by the tests of `test_python_client`."""
    page = (CLIENT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[5:]
    outputs = []
    for code in blocks:
        started = code.replace("127.0.0.1:50051", server.grpc_address)
        done = run(sys.executable, "-c", started, cwd=ROOT, PYTHONPATH=str(CLIENT))
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs == [
        "REDACT True\n",
        "My card is [REDACTED]!\n",
        "ALLOW\n",
        "['a note on card [REDACTED]']\n",
    ]


def test_the_example_programs_work(server: Server) -> None:
    done = run(
        sys.executable,
        CLIENT / "examples/batch.py",
        "hello",
        "card 4111 1111 1111 1111",
        "1 UNION SELECT password FROM users",
        cwd=ROOT,
        PYTHONPATH=str(CLIENT),
        PDP_SERVER=server.grpc_address,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["ALLOW  hello", "REDACT card [REDACTED]"]
    assert done.stdout.splitlines()[2].startswith("BLOCK ")
