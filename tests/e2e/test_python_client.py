"""The Python client: what it exports, what it can receive, and what its page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support import servers

if TYPE_CHECKING:
    from tests.support.servers import Server

CLIENT: Final = Path(__file__).parents[2] / "clients/python"


def python(code: str, *arguments: str) -> list[str]:
    """Runs a program that uses the client; returns the lines that it writes."""
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
    if path.stem == "options_pb2":  # for the contracts themselves
        continue
    names = [*file.message_types_by_name, *file.enum_types_by_name]
    names += [f"{name}Stub" for name in file.services_by_name]
    print(*(f"missing {name}" for name in names if not hasattr(pdp_client, name)), sep="\\n")
    print(*(f"found {name}" for name in names if hasattr(pdp_client, name)), sep="\\n")
"""


def test_every_service_and_message_is_there() -> None:
    lines = [line for line in python(_EXPORTS) if line]
    assert "found AuditServiceStub" in lines
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


def test_an_answer_may_be_larger_than_4_mib(server: Server) -> None:
    """As large as a batch that the server takes, which is more than gRPC's own bound."""
    assert python(_LARGE, server.grpc_address) == ["True", "True"]


@pytest.mark.parametrize(
    ("index", "written"),
    [
        pytest.param(0, ["OUTCOME_ALLOW True"], id="decision"),
        pytest.param(1, ["INVALID_ARGUMENT INVALID_ARGUMENT", "False"], id="error"),
        pytest.param(2, [], id="tls"),
    ],
)
def test_the_examples_of_its_page(server: Server, index: int, written: list[str]) -> None:
    page = (CLIENT / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[index]
    assert python(code.replace("127.0.0.1:50051", server.grpc_address)) == written
