"""Part (c): an AI request with everything on, which no other product decides in one call.

The tenant uses every policy system: 8 packs of 20 chain rules, a customer policy with 20 conditions
and 40 action patterns, all system policies and detectors, two compliance bundles, a limit of its
user, blocking by risk, and a durable record of every decision. The request is a prompt of 2 kB with
a tool call; its text is redacted and its arguments are masked.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import httpx2

from bench.peers.attributes import LOAD, InterfaceCost
from bench.peers.content import prompts
from bench.peers.ours import TENANT, serve_document
from bench.peers.target import TIMEOUT_S
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.catalog.compliance import bundle_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.peers.load_runs import Generator
    from bench.peers.target import Target

PACKS: Final = 8
RULES: Final = 20
CONDITIONS: Final = 20
PATTERNS: Final = 40
BUNDLES: Final = ("gdpr", "hipaa")
CUSTOMER: Final = "customer_00000"
USER: Final = "user-0000"


def measure(
    fronts: Sequence[str],
    generator: Generator,
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    core: int | None,
) -> list[InterfaceCost]:
    """Returns the cost and the latencies of such a request, for each gRPC server.

    Raises:
        RuntimeError: a decision is not the one that the policies ask for.
    """
    rows = []
    for front in fronts:
        with _served(front, folder / front, core) as target:
            _check(target)
            row = InterfaceCost(target.name, 1)
            bodies = folder / f"{front}.bodies"
            target.write_bodies(bodies, requests())
            generator.closed(target, bodies, seconds / 2)
            for _ in range(rounds):
                row.cpu_us.append(generator.closed(target, bodies, seconds).cpu_us)
            for _ in range(rounds):
                run = generator.open(target, bodies, seconds, LOAD * row.per_cpu_s)
                row.own.append(asdict(run))
            row.memory_mib = target.tree.memory_mib()
            rows.append(row)
    return rows


@contextmanager
def _served(front: str, folder: Path, core: int | None) -> Iterator[Target]:
    empty = {"tenant": TENANT, "policies": {}}
    with serve_document(front, empty, folder, core) as (grpc, http):
        headers = {"X-Tenant-ID": TENANT}
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{http.port}",
            headers=headers,
            trust_env=False,
            timeout=TIMEOUT_S,
        ) as client:
            _set_up(client)
        yield grpc


def _set_up(client: httpx2.Client) -> None:
    """Puts policies of every kind in force."""

    def send(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = client.request(method, path, json=body).raise_for_status().json()
        return answer

    blocking = {"enabled": True, "block_on": "critical"}
    send("PUT", "/v1/org/policy", {"logging_level": "full", "blocking_rules": blocking})
    send("POST", f"/policies/{CUSTOMER}", _customer_policy())
    own = []
    for i in range(PACKS):
        rules = [_rule(i, k) for k in range(RULES)]
        pack = send("POST", "/api/admin/policy-packs/", {"name": f"Pack {i}", "rules": rules})
        own.append({"id": pack["id"]})
    send("PUT", "/api/admin/policy-chains/org", {"packs": own})
    limit = {"scope": "user", "subject_id": USER, "monthly_token_limit": 10**12}
    send("POST", "/api/admin/limits/", limit)
    for bundle in BUNDLES:
        send("POST", f"/api/admin/compliance-bundles/{bundle_id(bundle)}/activate", {})


def _customer_policy() -> dict[str, Any]:
    conditions = {
        f"rule_{i}": {
            "condition": f"batch_size > {1000 + i} AND region = 'zone-{i}'",
            "score_impact": 5,
        }
        for i in range(CONDITIONS)
    }
    return {
        "sensitive_fields": ["ssn"],
        "allowed_tools": ["read_file", "send_message"],
        "blocked_action_patterns": [f"payments:account_{i}:*" for i in range(PATTERNS)],
        "custom_rules": conditions,
    }


def _rule(pack: int, number: int) -> dict[str, Any]:
    conditions: dict[str, Any] = {"user_groups": [f"group-{pack}-{number}"]}
    if number % 4 == 0:
        conditions = {"content_regex": f"(?i)project[- ]{pack}{number:02d}[a-z]+"}
    return {
        "name": f"Rule {number}",
        "conditions": conditions,
        "action": {"type": "BLOCK", "message": "Not allowed."},
    }


def requests() -> list[pb.DecideRequest]:
    """Returns the requests: prompts with personal data, each with a tool call."""
    result = []
    for i, prompt in enumerate(each for each in prompts(40) if each.entities):
        request = pb.DecideRequest(
            request_id=f"ai-{i}",
            tenant_id=TENANT,
            customer_id=CUSTOMER,
            subject=pb.Subject(user_id=USER, groups=["engineering", "emea"], agent_id="agent-1"),
            model=pb.Model(provider="openai", model="gpt-4o"),
            content=pb.Content(text=prompt.text),
            action="storage:report:read",
            tool="read_file",
            target=pb.Target(resource_id="report-7", sensitivity_level=2),
            usage=pb.Usage(tokens=500),
        )
        request.arguments.update({"path": "/reports/q3.txt", "ssn": "536-90-4399", "rows": 20})
        request.context.update({"batch_size": 20, "region": "eu-west-1"})
        result.append(request)
    return result


def _check(target: Target) -> None:
    redacted = 0
    for request, raw in zip(requests(), target.raw_answers(requests()), strict=True):
        answer = pb.DecideResponse.FromString(raw)
        kinds = {each.type for each in answer.obligations}
        if answer.incomplete or not answer.allowed or pb.OBLIGATION_TYPE_MASK_FIELDS not in kinds:
            raise RuntimeError(f"{request.request_id}: {answer.reason_code} {answer.message}")
        redacted += pb.OBLIGATION_TYPE_REDACT in kinds
    if not redacted:
        raise RuntimeError("no text is redacted")
