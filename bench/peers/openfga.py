"""OpenFGA: Check over gRPC, with a condition on each customer's relationship."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx2

from bench.peers.cases import BLOCKED_ACTION, BLOCKED_VERB, SENSITIVE
from bench.peers.processes import running
from bench.peers.reflection import Method
from bench.peers.target import TIMEOUT_S, Target, http_answers
from demo.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.peers.cases import Case, Policy

_SERVICE: Final = "openfga.v1.OpenFGAService"
_CONDITION: Final = "may_call"
_TUPLES_A_WRITE: Final = 100
"""The most that the server takes by default."""

_EXPRESSION: Final = (
    f'action != "{BLOCKED_ACTION}" && !action.endsWith(":{BLOCKED_VERB}") && tool in tools '
    f"&& !(batch_size > batch_limit && sensitivity_level >= {SENSITIVE})"
)


class OpenFga:
    """The server that the Go module proxy has."""

    name = "OpenFGA"
    settings = (
        "one tuple a customer, whose condition (CEL) has the three rules; store in memory, "
        "result cache off because requests differ, metrics and playground off, log level error; "
        "`Check` over gRPC"
    )

    def __init__(self, program: Path) -> None:
        """Takes the path of the program."""
        self._program = program
        build = subprocess.run(
            ("go", "version", "-m", str(program)), capture_output=True, text=True, check=True
        ).stdout
        module = next(line for line in build.splitlines() if line.startswith("\tmod\t"))
        self.version = module.split("\t")[3].removeprefix("v")

    @contextmanager
    def serve(
        self, policies: Sequence[Policy], folder: Path, core: int | None
    ) -> Iterator[list[Target]]:
        """Runs the server with one tuple a customer."""
        folder.mkdir(parents=True)
        port, http_port = free_port(), free_port()
        url = f"http://127.0.0.1:{http_port}"
        command = (
            *(str(self._program), "run", "--grpc-addr", f"127.0.0.1:{port}"),
            *("--http-addr", f"127.0.0.1:{http_port}", "--datastore-engine", "memory"),
            *("--log-level", "error", "--metrics-enabled=false", "--playground-enabled=false"),
        )
        with running(
            command,
            lambda: http_answers(f"{url}/healthz"),
            log=folder / "openfga.log",
            environment={"HOME": os.environ.get("HOME", str(folder))},
            core=core,
        ) as tree:
            store, model = _fill(url, policies)
            method = Method(port, _SERVICE, "Check")

            def encode(case: Case) -> bytes:
                return method.encode(_request(case, store, model))

            def decode(raw: bytes) -> bool:
                return bool(method.decode(raw).allowed)

            yield [Target("OpenFGA, gRPC", "grpc", port, method.path, encode, decode, tree)]


def _fill(url: str, policies: Sequence[Policy]) -> tuple[str, str]:
    """Creates a store with its model and tuples, and returns the ids of the first two."""
    with httpx2.Client(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:

        def post(path: str, body: dict[str, Any]) -> Any:
            return client.post(path, json=body).raise_for_status().json()

        store = post("/stores", {"name": "bench"})["id"]
        model = post(f"/stores/{store}/authorization-models", _model())["authorization_model_id"]
        tuples = [_tuple(each) for each in policies]
        for i in range(0, len(tuples), _TUPLES_A_WRITE):
            keys = {"tuple_keys": tuples[i : i + _TUPLES_A_WRITE]}
            post(f"/stores/{store}/write", {"writes": keys, "authorization_model_id": model})
    return store, model


def _model() -> dict[str, Any]:
    string, integer = {"type_name": "TYPE_NAME_STRING"}, {"type_name": "TYPE_NAME_INT"}
    parameters = {
        "tools": {"type_name": "TYPE_NAME_LIST", "generic_types": [string]},
        "batch_limit": integer,
        "action": string,
        "tool": string,
        "batch_size": integer,
        "sensitivity_level": integer,
    }
    allowed = [{"type": "agent", "wildcard": {}, "condition": _CONDITION}]
    return {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "agent", "relations": {}, "metadata": None},
            {
                "type": "customer",
                "relations": {"caller": {"this": {}}},
                "metadata": {"relations": {"caller": {"directly_related_user_types": allowed}}},
            },
        ],
        "conditions": {
            _CONDITION: {
                "name": _CONDITION,
                "expression": _EXPRESSION,
                "parameters": parameters,
            }
        },
    }


def _tuple(policy: Policy) -> dict[str, Any]:
    context = {"tools": list(policy.tools), "batch_limit": policy.batch_limit}
    return {
        "user": "agent:*",
        "relation": "caller",
        "object": f"customer:{policy.customer}",
        "condition": {"name": _CONDITION, "context": context},
    }


def _request(case: Case, store: str, model: str) -> dict[str, Any]:
    return {
        "store_id": store,
        "authorization_model_id": model,
        "tuple_key": {
            "user": f"agent:{case.user}",
            "relation": "caller",
            "object": f"customer:{case.customer}",
        },
        "context": {
            "action": case.action,
            "tool": case.tool,
            "batch_size": case.batch_size,
            "sensitivity_level": case.sensitivity,
            "region": case.region,
            "team": case.team,
        },
    }
