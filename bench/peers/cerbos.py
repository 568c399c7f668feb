"""Cerbos: CheckResources over gRPC, without audit log, with policies on disk."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import yaml

from bench.peers.cases import BLOCKED_ACTION, BLOCKED_VERB, SENSITIVE
from bench.peers.processes import command_output, running
from bench.peers.reflection import Method
from bench.peers.target import Target, http_answers
from demo.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.peers.cases import Case, Policy

_SERVICE: Final = "cerbos.svc.v1.CerbosService"
_EFFECT_ALLOW: Final = 1


class Cerbos:
    """The server of the npm package."""

    name = "Cerbos"
    settings = (
        "policies on disk and not watched, audit log off, schemas not enforced, telemetry off, "
        "log level error; `CheckResources` over gRPC, one resource and one action a request"
    )

    def __init__(self, program: Path) -> None:
        """Takes the path of the program."""
        self._program = program
        self.version = command_output(str(program), "--version").split()[0]

    @contextmanager
    def serve(
        self, policies: Sequence[Policy], folder: Path, core: int | None
    ) -> Iterator[list[Target]]:
        """Runs the server with one resource policy a customer."""
        store = folder / "policies"
        store.mkdir(parents=True)
        for policy in policies:
            document = yaml.safe_dump(_resource_policy(policy), sort_keys=False)
            (store / f"{policy.customer}.yaml").write_text(document, encoding="utf-8")
        port, http_port = free_port(), free_port()
        settings = {
            "server": {
                "grpcListenAddr": f"127.0.0.1:{port}",
                "httpListenAddr": f"127.0.0.1:{http_port}",
            },
            "audit": {"enabled": False},
            "telemetry": {"disabled": True},
            "schema": {"enforcement": "none"},
            "storage": {
                "driver": "disk",
                "disk": {"directory": str(store), "watchForChanges": False},
            },
        }
        (folder / "cerbos.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = (str(self._program), "server", f"--config={folder / 'cerbos.yaml'}")
        health = f"http://127.0.0.1:{http_port}/_cerbos/health"
        with running(
            (*command, "--log-level=error"),
            lambda: http_answers(health),
            log=folder / "cerbos.log",
            core=core,
        ) as tree:
            method = Method(port, _SERVICE, "CheckResources")

            def encode(case: Case) -> bytes:
                return method.encode(_request(case))

            def decode(raw: bytes) -> bool:
                (effect,) = method.decode(raw).results[0].actions.values()
                return bool(effect == _EFFECT_ALLOW)

            yield [Target("Cerbos, gRPC", "grpc", port, method.path, encode, decode, tree)]


def _resource_policy(policy: Policy) -> dict[str, Any]:
    def match(expression: str) -> dict[str, Any]:
        return {"match": {"expr": expression}}

    tools = ", ".join(f'"{each}"' for each in policy.tools)
    batch = f"R.attr.batch_size > {policy.batch_limit} && R.attr.sensitivity_level >= {SENSITIVE}"
    return {
        "apiVersion": "api.cerbos.dev/v1",
        "resourcePolicy": {
            "resource": policy.customer,
            "version": "default",
            "rules": [
                {
                    "actions": [BLOCKED_ACTION, f"*:*:{BLOCKED_VERB}"],
                    "effect": "EFFECT_DENY",
                    "roles": ["*"],
                },
                {
                    "actions": ["*"],
                    "effect": "EFFECT_ALLOW",
                    "roles": ["agent"],
                    "condition": match(f"R.attr.tool in [{tools}]"),
                },
                {
                    "actions": ["*"],
                    "effect": "EFFECT_DENY",
                    "roles": ["*"],
                    "condition": match(batch),
                },
            ],
        },
    }


def _request(case: Case) -> dict[str, Any]:
    resource = {
        "kind": case.customer,
        "id": "table-1",
        "attr": {
            "tool": case.tool,
            "batch_size": case.batch_size,
            "sensitivity_level": case.sensitivity,
            "region": case.region,
        },
    }
    return {
        "requestId": case.request_id,
        "principal": {"id": case.user, "roles": ["agent"], "attr": {"team": case.team}},
        "resources": [{"actions": [case.action], "resource": resource}],
    }
