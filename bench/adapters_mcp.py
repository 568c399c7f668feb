"""What the MCP proxy adds to a call of a tool over stdio, beside a decision in the same process.

Run it with `python -m bench.adapters_mcp`. It prints the median and the minimum of each: calls one
after the other, of a server that answers at once.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.client.decision_sources import open_local
from pdp.config import load

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS: Final = 2000
WARM_UP: Final = 100

TEXT: Final = "The meeting is on Tuesday at ten, in the large room on the second floor."
PARAMS: Final = {"name": "echo", "arguments": {"text": TEXT}}
SERVER: Final = (
    sys.executable,
    "-c",
    "import json, sys\n"
    "for line in sys.stdin:\n"
    "    message = json.loads(line)\n"
    "    text = message['params']['arguments']['text']\n"
    "    result = {'content': [{'type': 'text', 'text': text}]}\n"
    "    answer = {'jsonrpc': '2.0', 'id': message['id'], 'result': result}\n"
    "    print(json.dumps(answer), flush=True)\n",
)


def call(message_id: int) -> bytes:
    """Returns a call as a line."""
    document = {"jsonrpc": "2.0", "id": message_id, "method": "tools/call", "params": PARAMS}
    return json.dumps(document).encode() + b"\n"


def measure_program(command: Sequence[str]) -> list[float]:
    """Returns the milliseconds of each call of a program."""
    times = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:  # both are pipes
            raise RuntimeError("the program has no pipes")
        for index in range(WARM_UP + CALLS):
            begin = time.perf_counter()
            stdin.write(call(index))
            stdin.flush()
            answer = json.loads(stdout.readline())
            times.append((time.perf_counter() - begin) * 1000)
            if "result" not in answer:
                raise RuntimeError(f"the call failed: {answer}")
        stdin.close()
    return times[WARM_UP:]


async def measure_decisions(folder: str) -> list[float]:
    """Returns the milliseconds of each decision on a call."""
    settings = load({"database_url": f"sqlite:///{folder}/pdp.db"})
    times = []
    async with open_local(settings, "bench") as decisions:
        for index in range(WARM_UP + CALLS):
            payload = pb.Payload(format="mcp.jsonrpc", body=call(index).decode())
            begin = time.perf_counter()
            answer = await decisions.decide(pb.DecideRequest(payload=payload, direction="input"))
            times.append((time.perf_counter() - begin) * 1000)
            if not answer.allowed:
                raise RuntimeError(answer.message)
    return times[WARM_UP:]


def main() -> None:
    """Measures the server alone, the server behind the proxy, and decisions alone."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'pdp.db'}"
        proxy = (sys.executable, "-m", "pdp", "mcp-proxy", "--embedded", "--database-url", url)
        results = {
            "one decision": asyncio.run(measure_decisions(folder)),
            "a call, without the proxy": measure_program(SERVER),
            "a call, through the proxy": measure_program((*proxy, "--", *SERVER)),
        }
    for name, times in results.items():
        print(f"{name:26} median {statistics.median(times):.3f} ms, minimum {min(times):.3f} ms")


if __name__ == "__main__":
    main()
