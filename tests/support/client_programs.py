"""Programs in other languages that decide through their client, one request a line.

Each reads DecideRequests in ProtoJSON and writes DecideResponses in ProtoJSON, or errors.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from google.protobuf.json_format import MessageToJson, ParseDict

from pdp._gen.pdp.v1 import decide_pb2
from pdp.cases import ClientTarget
from pdp.client import CallFailed
from pdp.errors import PdpError, Violation
from pdp.jsonpb import decode, encode
from tests.support.doc_blocks import ROOT
from tests.support.program_environments import unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.client.remote import RemoteClient

CLIENTS: Final = ROOT / "clients"
STOP_TIMEOUT_S: Final = 20


class ClientProgram(NamedTuple):
    """The program of one language.

    Attributes:
        folder: its client below `clients`.
        tool: the tool that runs it, which must be installed.
        command: runs the program; the address of the server follows.
    """

    folder: str
    tool: str
    command: tuple[str, ...]


PROGRAMS: Final[Mapping[str, ClientProgram]] = {
    "go": ClientProgram("go", "go", ("go", "run", "./internal/cases")),
    "typescript": ClientProgram("typescript", "node", ("node", "build/tests/cases.js")),
    "java": ClientProgram("java", "java", ("java", "-jar", "target/cases.jar")),
}


class ProgramTarget(ClientTarget):
    """Administers by a client of this process, and decides by a program."""

    def __init__(self, program: ClientProgram, address: str, client: RemoteClient) -> None:
        """Starts the program.

        Args:
            program: the program.
            address: the address of the server.
            client: administers the server.
        """
        super().__init__(client)
        if not shutil.which(program.tool):
            unavailable(f"{program.tool} is not installed")
        self._process = subprocess.Popen(
            [*program.command, address],
            cwd=CLIENTS / program.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def decide(self, tenant_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `CaseTarget.decide`."""
        message = decide_pb2.DecideRequest()
        try:
            decode({"tenant_id": tenant_id, **request}, message)
        except PdpError as error:  # this is no message of the contract, so no client can send it
            raise CallFailed.of(error) from None
        answer = self._ask(MessageToJson(message, indent=None))
        if "error" in answer:
            failure = answer["error"]
            details: Sequence[Any] = failure.get("details") or ()
            violations = [Violation(each["field"], each["reason"]) for each in details]
            raise CallFailed(failure["code"], failure["message"], violations, unavailable=False)
        response = ParseDict(answer, decide_pb2.DecideResponse())
        return encode(response)

    def _ask(self, line: str) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the program: it ends when there are no more requests."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(STOP_TIMEOUT_S) == 0
        self._process.stdout.close()
