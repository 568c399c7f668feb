"""The Python client: its exports, large responses, documentation page and distributions."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support import servers

if TYPE_CHECKING:
    from tests.support.servers import Server

CLIENT: Final = Path(__file__).parents[2] / "clients/python"


def python(code: str, *arguments: str) -> list[str]:
    """Runs a program that uses the client; returns its output lines."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=servers.environment(PYTHONPATH=str(CLIENT)),
        capture_output=True,
        text=True,
        timeout=servers.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


_EXPORTS: Final = """
import importlib, pathlib
import pdp_client
from pdp_client._gen.pdp import v1

for path in pathlib.Path(v1.__path__[0]).glob("*_pb2.py"):
    file = importlib.import_module(f"{v1.__name__}.{path.stem}").DESCRIPTOR
    if path.stem == "options_pb2":  # used only by the contracts
        continue
    names = [*file.message_types_by_name, *file.enum_types_by_name]
    names += [f"{name}Stub" for name in file.services_by_name]
    print(*(f"missing {name}" for name in names if not hasattr(pdp_client, name)), sep="\\n")
    print(*(f"exported {name}" for name in names if hasattr(pdp_client, name)), sep="\\n")
"""


def test_every_service_and_message_is_exported() -> None:
    lines = [line for line in python(_EXPORTS) if line]
    assert "exported AuditServiceStub" in lines
    assert [line for line in lines if line.startswith("missing")] == []


_LARGE: Final = """
import asyncio, sys
import pdp_client as pdp

text = "4012888888881881 " + "x" * 900_000
items = [pdp.DecideRequest(content=pdp.Content(text=text)) for _ in range(6)]
request = pdp.DecideBatchRequest(requests=items)
with pdp.connect(sys.argv[1]) as channel:
    print(pdp.DecideServiceStub(channel).DecideBatch(request, timeout=60).ByteSize() > 2**22)

async def main():
    async with pdp.connect_async(sys.argv[1]) as channel:
        answer = await pdp.DecideServiceStub(channel).DecideBatch(request, timeout=60)
        print(answer.ByteSize() > 2**22)

asyncio.run(main())
"""


def test_a_response_can_exceed_4_mib(server: Server) -> None:
    """The response to the largest batch exceeds the default limit of gRPC."""
    assert python(_LARGE, server.grpc_address) == ["True", "True"]


@pytest.mark.parametrize(
    ("index", "written"),
    [
        pytest.param(0, ["send 'What is the weather?' to the model of the request"], id="decision"),
        pytest.param(1, ["hello"], id="held"),
        pytest.param(2, ["1234567890123456789"], id="numbers"),
        pytest.param(3, ["INVALID_ARGUMENT INVALID_ARGUMENT", "None"], id="error"),
        pytest.param(4, [], id="tls"),
    ],
)
def test_the_examples_of_its_page_work(server: Server, index: int, written: list[str]) -> None:
    page = (CLIENT / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[index]
    assert python(code.replace("127.0.0.1:50051", server.grpc_address)) == written


_BESIDE: Final = """
from google.protobuf import descriptor_pool
import pdp_client
import pdp._gen.pdp.v1.decide_pb2

try:
    descriptor_pool.Default().FindFileByName("buf/validate/validate.proto")
except KeyError:
    print("free")
"""


def test_the_stubs_leave_the_rules_to_other_packages() -> None:
    """The SDKs of other products register their own version of `buf/validate/validate.proto`."""
    assert python(_BESIDE) == ["free"]


def build(package: Path, target: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Builds a distribution of the client into `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder],
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Returns a copy of the client in a repository with one contract."""
    copy = tmp_path / "clients/python"
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("__pycache__", "protos"))
    contract = tmp_path / "proto/pdp/v1/decide.proto"
    contract.parent.mkdir(parents=True)
    contract.write_text("// a contract\n", encoding="utf-8")
    return copy


def test_distributions_hold_the_contracts_and_their_imports(package: Path, tmp_path: Path) -> None:
    tree = tmp_path / "dist/protos"
    shutil.copytree(tmp_path / "proto", tree)
    (tree / "buf/validate").mkdir(parents=True)
    (tree / "buf/validate/validate.proto").touch()
    # The contract of another product, which the server implements, is not in the tree.
    (tmp_path / "proto/other").mkdir()
    (tmp_path / "proto/other/adapter.proto").touch()
    assert build(package, "sdist", tmp_path).returncode == 0
    shutil.unpack_archive(next(tmp_path.glob("*.tar.gz")), tmp_path / "sdist", filter="data")
    for source in (package, next((tmp_path / "sdist").iterdir())):
        folder = tmp_path / f"wheel of {source.name}"
        assert build(source, "wheel", folder).returncode == 0
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            names = {name for name in wheel.namelist() if name.startswith("pdp_client/protos")}
        assert names == {
            "pdp_client/protos/pdp/v1/decide.proto",
            "pdp_client/protos/buf/validate/validate.proto",
        }


def test_a_build_without_the_tree_says_how_to_write_it(package: Path, tmp_path: Path) -> None:
    built = build(package, "wheel", tmp_path)
    assert built.returncode != 0
    assert "is missing or stale: run 'make protos'" in built.stderr
