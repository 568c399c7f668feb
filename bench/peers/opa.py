"""Open Policy Agent: the Data API over HTTP, with an optimised bundle."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bench.peers.cases import BLOCKED_ACTION, BLOCKED_VERB, SENSITIVE
from bench.peers.processes import command_output, running
from bench.peers.target import Target, http_answers
from demo.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.peers.cases import Case, Policy

MAX_OPTIMIZED: Final = 1_000
"""Up to so many policies, the bundle is optimised: `-O 1` writes a rule for each."""

_REGO: Final = f"""package pdp

default allow := false

allow if {{
    data.customers[input.customer].tools[input.tool]
    not denied
}}

denied if input.action == "{BLOCKED_ACTION}"

denied if endswith(input.action, ":{BLOCKED_VERB}")

denied if {{
    input.sensitivity_level >= {SENSITIVE}
    input.batch_size > data.customers[input.customer].batch_limit
}}
"""


class Opa:
    """The server that the Go module proxy has."""

    name = "OPA"

    settings = (
        "one bundle, built with `-O 1` (above 1,000 policies with `-O 0`, because an optimised "
        "bundle does not load within two minutes then); the customers' policies as data (objects, "
        "not arrays), `--optimize-store-for-read-speed`, no decision log, log level error; the "
        "Data API over HTTP/1.1 with connections that stay open, which costs less than HTTP/2"
    )

    def __init__(self, program: Path) -> None:
        """Takes the path of the program."""
        self._program = program
        first = command_output(str(program), "version").splitlines()[0]
        self.version = first.removeprefix("Version: ")

    @contextmanager
    def serve(
        self, policies: Sequence[Policy], folder: Path, core: int | None
    ) -> Iterator[list[Target]]:
        """Runs the server with the three rules in Rego, and each customer's values as data."""
        source = folder / "source"
        source.mkdir(parents=True)
        customers = {
            each.customer: {
                "tools": dict.fromkeys(each.tools, True),
                "batch_limit": each.batch_limit,
            }
            for each in policies
        }
        (source / "pdp.rego").write_text(_REGO, encoding="utf-8")
        (source / "data.json").write_text(json.dumps({"customers": customers}), encoding="utf-8")
        bundle = folder / "bundle.tar.gz"
        level = "1" if len(policies) <= MAX_OPTIMIZED else "0"
        build = (str(self._program), "build", "--bundle", "-O", level)
        command_output(*build, "-e", "pdp/allow", "-o", str(bundle), str(source))
        port = free_port()
        command = (
            *(str(self._program), "run", "--server", "--addr", f"127.0.0.1:{port}"),
            *("--log-level", "error", "--log-level-request", "error"),
            *("--optimize-store-for-read-speed", "--skip-version-check"),
            *("--bundle", str(bundle)),
        )
        health = f"http://127.0.0.1:{port}/health?bundles"
        with running(
            command, lambda: http_answers(health), log=folder / "opa.log", core=core
        ) as tree:
            path = "/v1/data/pdp/allow"
            yield [Target("OPA, HTTP", "http1", port, path, _encode, _decode, tree)]


def _encode(case: Case) -> bytes:
    values = {
        "customer": case.customer,
        "user": case.user,
        "team": case.team,
        "action": case.action,
        "tool": case.tool,
        "batch_size": case.batch_size,
        "sensitivity_level": case.sensitivity,
        "region": case.region,
    }
    return json.dumps({"input": values}).encode()


def _decode(raw: bytes) -> bool:
    return json.loads(raw)["result"] is True
