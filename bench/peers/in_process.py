"""Microseconds of CPU that a decision takes in the caller's own process, without a server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bench.peers.cases import cases, policies
from bench.peers.cedar import Cedar
from bench.peers.ours import TENANT, create_database, policies_document
from pdp.bootstrap.recording import RecordingOptions
from pdp.domain.request import Subject, Target
from pdp.embedded import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.peers.cases import Case

REQUESTS: Final = 500
OURS: Final = "PDP (embedded Engine)"


def measure(sizes: Sequence[int], rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Returns the microseconds of each product and size, one figure a round.

    Raises:
        RuntimeError: an answer is not the one that the rules ask for.
    """
    rows: list[dict[str, Any]] = []
    for size in sizes:
        everyone = policies(size)
        requests = cases(everyone, REQUESTS)
        url = create_database(policies_document(everyone), folder / str(size))
        with Engine.open(url, records=_options(url)) as engine:
            deciders: dict[str, Callable[[Case], bool]] = {OURS: decider(engine)}
            if Cedar.installed():
                deciders[Cedar.name] = Cedar().decider(everyone)
            spent: dict[str, list[float]] = {name: [] for name in deciders}
            for name, decide in deciders.items():
                _check(name, decide, requests)
            for _ in range(rounds):
                for name, decide in deciders.items():
                    spent[name].append(_microseconds(decide, requests))
        rows += [{"target": name, "policies": size, "cpu_us": us} for name, us in spent.items()]
    return rows


def _options(url: str) -> RecordingOptions:
    return RecordingOptions(f"{url}.records")


def decider(engine: Engine) -> Callable[[Case], bool]:
    """Returns a function that decides one case, and says whether it may pass."""

    def decide(case: Case) -> bool:
        decision = engine.decide(
            request_id=case.request_id,
            tenant_id=TENANT,
            customer_id=case.customer,
            subject=Subject(case.user, (case.team,)),
            action=case.action,
            tool=case.tool,
            target=Target(resource_id="table-1", sensitivity_level=case.sensitivity),
            context={"batch_size": case.batch_size, "region": case.region},
        )
        return decision.allowed

    return decide


def _check(name: str, decide: Callable[[Case], bool], requests: Sequence[Case]) -> None:
    for case in requests:
        if decide(case) != case.allowed:
            raise RuntimeError(f"{name} answers {not case.allowed} to {case}")


def _microseconds(decide: Callable[[Case], bool], requests: Sequence[Case]) -> float:
    begin = time.process_time()
    for case in requests:
        decide(case)
    return 1e6 * (time.process_time() - begin) / len(requests)
