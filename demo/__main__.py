"""`make demo`: sends requests through Envoy, and prints what becomes of them."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx2
import jwt

from demo.gateway import CONFIGS, Gateway, load
from demo.programs import Unavailable, envoy
from demo.server import Pdp
from demo.steps import LIMITED, MODEL_OFF, STEPS
from demo.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demo.steps import Step

ISSUER: Final = "https://issuer.example.com"
SECRET: Final = "demonstration only: a secret of 32 bytes"  # noqa: S105 - of deploy/envoy
DECISION_ID: Final = "x-pdp-decision-id"
TIMEOUT_S: Final = 60.0


class Answer(NamedTuple):
    """An answer of the gateway."""

    status: int
    headers: Mapping[str, str]
    body: str


def token_of(user: str) -> str:
    """Returns the token of a user."""
    claims = {"iss": ISSUER, "aud": "chat", "sub": user}
    return jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "1"})


def ask(url: str, step: Step) -> Answer:
    """Sends the request of a step to the gateway."""
    with httpx2.Client(trust_env=False, timeout=TIMEOUT_S) as client:
        answer = client.post(
            f"{url}/v1/chat/completions",
            json=step.request,
            headers={"authorization": f"Bearer {token_of(step.user)}"},
        )
    return Answer(answer.status_code, answer.headers, answer.text)


def problems(step: Step, answer: Answer, seen: str | None) -> list[str]:
    """Returns what is not as expected; `seen` is the request at the upstream, None for none."""
    found = []
    if answer.status != step.status:
        found.append(f"the status is {answer.status}, not {step.status}")
    if step.has not in answer.body:
        found.append(f"the answer lacks {step.has!r}")
    if step.has_not and step.has_not in f"{answer.body} {seen}":
        found.append(f"{step.has_not!r} has passed")
    if (seen is not None) is not step.reaches:
        found.append("the request has reached the upstream" if seen else "it did not reach it")
    if DECISION_ID not in answer.headers:
        found.append("the answer has no decision id")
    return found


def run(step: Step, number: int, gateway: Gateway, upstream: Upstream) -> list[str]:
    """Runs a step, prints it, and returns what is not as expected."""
    before = len(upstream.bodies)
    answer = ask(gateway.url, step)
    seen = upstream.bodies[-1].decode() if len(upstream.bodies) > before else None
    found = problems(step, answer, seen)
    print(f"\n{number}. {step.title}")
    print(f"   {step.user} sends:    {json.dumps(step.request)}")
    print(f"   upstream gets: {'nothing' if seen is None else seen}")
    print(f"   {step.user} gets:     {answer.status}, decision {answer.headers.get(DECISION_ID)}")
    for line in answer.body.splitlines():
        if line:
            print(f"     {line}")
    for each in found:
        print(f"   NOT AS EXPECTED: {each}")
    return found


def main() -> int:
    """Runs the demo; returns the exit code."""
    try:
        program = envoy()
    except Unavailable as error:
        print(f"Envoy cannot be installed: {error}", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pdp-demo-")))
        adapters = str(CONFIGS / "adapters.yaml")
        pdp = stack.enter_context(Pdp(folder / "pdp", PDP_ADAPTERS_FILE=adapters))
        pdp.call(
            "/api/admin/kill-switch/models:disable",
            provider="openai",
            model=MODEL_OFF,
            reason="maintenance",
        )
        pdp.call("/api/admin/limits", scope="user", subject_id=LIMITED, daily_request_limit=2)
        upstream = stack.enter_context(Upstream())
        clusters = {"pdp": pdp.grpc_address, "upstream": upstream.address}
        gateway = stack.enter_context(
            Gateway(folder, load("ext_proc.yaml"), clusters, lambda: program)
        )
        print(f"client -> Envoy {gateway.url} -> chat API http://{upstream.address}")
        print(f"                |\n               PDP {pdp.grpc_address}")
        found = [run(step, index, gateway, upstream) for index, step in enumerate(STEPS, 1)]
    return int(any(found))


if __name__ == "__main__":
    sys.exit(main())
