"""This server: Decide over gRPC, on either front, and over HTTP."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format

from bench.peers.cases import BLOCKED_ACTION, BLOCKED_VERB, SENSITIVE
from bench.peers.processes import command_output, running
from bench.peers.target import Target, http_answers
from demo.ports import free_port
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.config import Settings
from pdp.embedded import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.peers.cases import Case, Policy

TENANT: Final = "bench"
PATH: Final = "/pdp.v1.DecideService/Decide"

_ORG_POLICY: Final = {
    "logging_level": "minimal",
    "blocking_rules": {"enabled": True, "block_on": "critical"},
}
"""Records what the peers record, nothing; and blocks a request of critical risk."""


def has_native_front() -> bool:
    """Whether the native gRPC server is installed and this version can use it."""
    try:
        importlib.metadata.version("pygrpc-native")
    except importlib.metadata.PackageNotFoundError:
        return False
    return "grpc_server" in Settings.model_fields


class Ours:
    """`pdp serve` with one worker."""

    def __init__(self, front: str, *, with_http: bool = False) -> None:
        """Takes the gRPC server, `native` or `grpcio`, and whether to measure HTTP, too."""
        self._front = front
        self._with_http = with_http
        self.name = f"PDP, {front} front"
        self.version = command_output(sys.executable, "-m", "pdp", "--version").split()[-1]
        self.settings = (
            "one worker, one tenant with one policy a customer, all system policies and detectors "
            "in force as they ship, recording at `minimal` (nothing to record here)"
        )

    @contextmanager
    def serve(
        self, policies: Sequence[Policy], folder: Path, core: int | None
    ) -> Iterator[list[Target]]:
        """Runs the server with one customer policy a customer."""
        with serve_document(self._front, policies_document(policies), folder, core) as targets:
            yield targets if self._with_http else targets[:1]


def create_database(document: Mapping[str, Any], folder: Path) -> str:
    """Creates a database with policies from a policy file, and returns its URL."""
    folder.mkdir(parents=True)
    url = f"sqlite:///{folder / 'pdp.db'}"
    Engine.open(url).close()  # creates it, with the catalog
    file = folder / "policies.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML, and faster to write
    importing = ("policies", "import", str(file), "--tenant", TENANT, "--database-url", url)
    command_output(sys.executable, "-m", "pdp", *importing)
    return url


@contextmanager
def serve_document(
    front: str, document: Mapping[str, Any], folder: Path, core: int | None, **settings: str
) -> Iterator[list[Target]]:
    """Runs the server with policies from a policy file; yields gRPC first, then HTTP."""
    database = create_database(document, folder)
    port, http_port = free_port(), free_port()
    environment = {
        "PDP_AUTH": "dev",
        "PDP_GRPC_LISTEN": f"127.0.0.1:{port}",
        "PDP_HTTP_LISTEN": f"127.0.0.1:{http_port}",
        "PDP_DATABASE_URL": database,
        "PDP_LOG_LEVEL": "error",
        **({"PDP_GRPC_SERVER": front} if front != "grpcio" else {}),
        **settings,
    }
    with running(
        (sys.executable, "-m", "pdp", "serve"),
        lambda: http_answers(f"http://127.0.0.1:{http_port}/readyz"),
        log=folder / "pdp.log",
        environment=environment,
        core=core,
    ) as tree:
        grpc = Target(f"PDP, gRPC ({front})", "grpc", port, PATH, _encode, decode, tree)
        http = Target(
            "PDP, HTTP", "http1", http_port, "/v1/decide", _encode_json, _decode_json, tree
        )
        yield [grpc, http]


def policies_document(policies: Sequence[Policy]) -> dict[str, Any]:
    """Returns the policy file with one policy a customer."""
    return {
        "tenant": TENANT,
        "policies": {
            "org_policy": _ORG_POLICY,
            "customer_policies": [
                {"customer_id": each.customer, "policies": _customer_policy(each)}
                for each in policies
            ],
        },
    }


def _customer_policy(policy: Policy) -> dict[str, Any]:
    condition = f"batch_size > {policy.batch_limit} AND target.sensitivity_level >= {SENSITIVE}"
    return {
        "blocked_actions": [BLOCKED_ACTION],
        "blocked_action_patterns": [f"*:*:{BLOCKED_VERB}"],
        "allowed_tools": list(policy.tools),
        "custom_rules": {"large_batch": {"condition": condition, "score_impact": 100}},
    }


def request_of(case: Case) -> pb.DecideRequest:
    """Returns a case as a request of Decide."""
    request = pb.DecideRequest(
        request_id=case.request_id,
        tenant_id=TENANT,
        customer_id=case.customer,
        subject=pb.Subject(user_id=case.user, groups=[case.team]),
        action=case.action,
        tool=case.tool,
        target=pb.Target(resource_id="table-1", sensitivity_level=case.sensitivity),
    )
    request.context.update({"batch_size": case.batch_size, "region": case.region})
    return request


def _encode(case: Case | pb.DecideRequest) -> bytes:
    request = case if isinstance(case, pb.DecideRequest) else request_of(case)
    return request.SerializeToString()


def decode(raw: bytes) -> bool:
    """Returns whether an answer lets the request pass; a decision must be complete."""
    response = pb.DecideResponse.FromString(raw)
    if response.incomplete:
        raise RuntimeError(f"the decision is incomplete: {response.message}")
    return response.allowed


def _encode_json(case: Case | pb.DecideRequest) -> bytes:
    request = case if isinstance(case, pb.DecideRequest) else request_of(case)
    return json_format.MessageToJson(
        request, preserving_proto_field_name=True, indent=None
    ).encode()


def _decode_json(raw: bytes) -> bool:
    answer = json.loads(raw)
    if answer.get("incomplete"):
        raise RuntimeError(f"the decision is incomplete: {answer['message']}")
    return answer["allowed"] is True
