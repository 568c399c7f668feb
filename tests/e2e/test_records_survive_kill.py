"""A server under load is killed (SIGKILL) many times; no decision that it answered is lost.

Several callers request decisions at the same time: one by one, in batches and in a stream. After
most kills, the test checks that the log of records is intact, and that it has a record of every
decision that a caller received. After the other kills, the next server opens the log unchecked.

`PDP_SOAK_ROUNDS` sets the number of kills: 4 by default, with some 2,000 decisions.
`PDP_SOAK_SEED` selects other points for the kills.
"""

from __future__ import annotations

import json
import os
import random
import threading
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from pdp.client.remote import open_channel
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord
from pdp.store import open_audit_log
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.soak

ROUNDS: Final = max(4, int(os.environ.get("PDP_SOAK_ROUNDS", "0")) // 3)
SEED: Final = os.environ.get("PDP_SOAK_SEED", "0")

ATTACK: Final = "1 UNION SELECT password FROM users"
TENANT: Final = "kill"
BATCH: Final = 20
ANSWERS: Final = (300, 800)
"""The smallest and the largest number of answers before a kill."""


class Heard:
    """The decisions that callers received, in all rounds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.ids: set[str] = set()
        self._waiting_for = 0
        self.enough = threading.Event()

    def wait_for(self, more: int) -> None:
        """Sets `enough` when callers have received `more` further decisions."""
        with self._lock:
            self._waiting_for = len(self.ids) + more
            self.enough.clear()

    def add(self, responses: list[decide_pb2.DecideResponse]) -> None:
        """Adds the decisions of one response."""
        # The reason differs if the server could not write the record. This must not happen here.
        assert all(each.reason_code == "STATIC_POLICY_BLOCK" for each in responses)
        with self._lock:
            self.ids.update(each.decision_id for each in responses)
            if len(self.ids) >= self._waiting_for:
                self.enough.set()


def request() -> decide_pb2.DecideRequest:
    return decide_pb2.DecideRequest(tenant_id=TENANT, content=decide_pb2.Content(text=ATTACK))


def one_by_one(stub: decide_pb2_grpc.DecideServiceStub, responses: Heard) -> None:
    for _ in count():
        responses.add([stub.Decide(request(), timeout=servers.TIMEOUT_S)])


def in_batches(stub: decide_pb2_grpc.DecideServiceStub, responses: Heard) -> None:
    batch = decide_pb2.DecideBatchRequest(tenant_id=TENANT, requests=[request()] * BATCH)
    for _ in count():
        responses.add(list(stub.DecideBatch(batch, timeout=servers.TIMEOUT_S).responses))


def in_a_stream(stub: decide_pb2_grpc.DecideServiceStub, responses: Heard) -> None:
    def asked() -> Iterator[decide_pb2.DecideStreamRequest]:
        for _ in count():
            yield decide_pb2.DecideStreamRequest(request=request())

    for answer in stub.DecideStream(asked(), timeout=servers.TIMEOUT_S):
        responses.add([answer.response])


CALLERS: Final = (one_by_one, one_by_one, one_by_one, in_batches, in_a_stream)


def call(
    server: servers.Server, responses: Heard, killed: threading.Event
) -> list[threading.Thread]:
    """Starts all callers; each ends when the server ends."""

    def run(caller: object) -> None:
        with open_channel(server.grpc_address) as channel:
            try:
                caller(decide_pb2_grpc.DecideServiceStub(channel), responses)  # type: ignore[operator] # one of CALLERS
            except grpc.RpcError:
                assert killed.is_set(), "the server refused a call"

    threads = [threading.Thread(target=run, args=(caller,), daemon=True) for caller in CALLERS]
    for thread in threads:
        thread.start()
    return threads


def kill_under_load(data_dir: Path, responses: Heard, answers: int) -> None:
    """Runs a server, and kills it when callers have received `answers` decisions."""
    killed = threading.Event()
    responses.wait_for(answers)
    with servers.start(data_dir) as server:
        threads = call(server, responses, killed)
        assert responses.enough.wait(servers.TIMEOUT_S), "answers are missing"
        killed.set()
        server.process.kill()
        server.process.wait(servers.TIMEOUT_S)
        for thread in threads:
            thread.join(servers.TIMEOUT_S)


def recorded(data_dir: Path) -> set[str]:
    """Verifies the whole log; returns the ids of the recorded decisions."""
    with closing(open_audit_log(f"sqlite:///{data_dir}/audit.db")) as log:
        assert log.verify().problems == ()
        ids: set[str] = set()
        after = 0
        while page := log.follow(RecordFilter(TENANT), after=after, limit=1000).records:
            after = page[-1].sequence
            ids |= {decision_id(each.body) for each in page}
        return ids


def decision_id(body: str) -> str:

    return DecisionRecord.from_json(json.loads(body)).decision_id


def test_no_answered_decision_is_lost(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    responses = Heard()
    for round_ in range(ROUNDS):
        kill_under_load(tmp_path, responses, chance.randint(*ANSWERS))
        if chance.random() < 0.75 or round_ == ROUNDS - 1:
            missing = responses.ids - recorded(tmp_path)
            assert not missing, (
                f"{len(missing)} of {len(responses.ids)} answered decisions are lost"
            )
    assert len(responses.ids) >= ROUNDS * ANSWERS[0]
