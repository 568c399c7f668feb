"""The fixed work whose instructions are counted, and the program that callgrind counts it in.

`python -m bench.instruction_work MARKS` is run by `bench.instructions`.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import detectors, layers
from bench.engine import catalog_snapshot, prose
from bench.load import decide_request
from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.domain.request import Request
from pdp.engine.evaluate import evaluate
from pdp.jsonpb import decode, decode_json, encode
from pdp.messages.conversion import to_request, to_response
from pdp.transport.http.responses import json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.domain.decision import Decision
    from pdp.engine.snapshot import Snapshot

WARM_UP: Final = 20
"""Rounds before the first that is counted: caches are filled, and the interpreter has adapted the
code to the types that it has seen."""

BATCH: Final = 64


class Work(NamedTuple):
    """Work that is always the same.

    Attributes:
        name: its name in the table.
        rounds: how many rounds are counted; the second part has twice as many.
        run: one round.
    """

    name: str
    rounds: int
    run: Callable[[], object]


def all_work() -> Iterator[Work]:
    """Yields all work, in the order of the table."""
    snapshot = catalog_snapshot()
    yield from _evaluations(snapshot)
    yield from _conversions(snapshot)
    yield Work(f"compile one change of {layers.CHANGED_RULES} rules", 3, layers.one_change())


def _evaluations(snapshot: Snapshot) -> Iterator[Work]:
    def work(name: str, rounds: int, tenant: Snapshot, request: Request) -> Work:
        return Work(f"evaluate: {name}", rounds, lambda: evaluate(tenant, request, "id"))

    yield work("200 plain characters", 200, snapshot, Request(text=prose(200)))
    yield work("200 kB, plain", 10, snapshot, Request(text=prose(200_000)))
    found = Request(text=prose(180) + " mail ada@acme.test")
    yield work("an e-mail address in 200 characters", 50, detectors.snapshot(), found)
    yield work("8 x 20 chain rules, a customer", 100, layers.snapshot(), layers.request())


def _conversions(snapshot: Snapshot) -> Iterator[Work]:
    message = decide_request()
    raw = message.SerializeToString()
    body = b'{"request_id": "req-0123456789", "tenant_id": "acme", "content": {"text": "%s"}}' % (
        message.content.text.encode()
    )
    request = to_request(message, "acme", "req-0123456789", "", len(raw))
    decision = evaluate(snapshot, request, "id")
    response = to_response(decision, message)

    def read() -> Request:
        return to_request(pb.DecideRequest.FromString(raw), "acme", "req", "", len(raw))

    def read_json() -> Request:
        posted = pb.DecideRequest()
        decode(decode_json(body), posted)
        return to_request(posted, "acme", "req", "", posted.ByteSize())

    yield Work("read a DecideRequest", 200, read)
    yield Work("read a DecideRequest, JSON", 100, read_json)
    yield Work("answer", 200, lambda: to_response(decision, message).SerializeToString())
    yield Work("answer, JSON", 100, lambda: json_response(200, encode(response)))
    yield Work(f"a batch of {BATCH}", 5, _batch(snapshot, message))


def _batch(snapshot: Snapshot, message: pb.DecideRequest) -> Callable[[], bytes]:
    """Returns a round of a batch: it is read, decided and answered, without a server."""
    raw = pb.DecideBatchRequest(tenant_id="acme", requests=[message] * BATCH).SerializeToString()

    def decide(item: pb.DecideRequest) -> Decision:
        request = to_request(item, "acme", item.request_id, "", item.ByteSize())
        return evaluate(snapshot, request, "id")

    def run() -> bytes:
        batch = pb.DecideBatchRequest.FromString(raw)
        answers = [to_response(decide(item), item) for item in batch.requests]
        return pb.DecideBatchResponse(responses=answers).SerializeToString()

    return run


def main() -> int:
    """Runs all work, each in two parts, with marks for callgrind."""
    marks = ctypes.CDLL(sys.argv[1])
    works = list(all_work())
    for work in works:
        for _ in range(WARM_UP):
            work.run()
    gc.collect()
    gc.disable()
    marks.start_counting()
    for index, work in enumerate(works):
        work.run()
        for factor in (1, 2):
            _count(marks, work, factor, f"{index} {factor}")
    return 0


def _count(marks: ctypes.CDLL, work: Work, factor: int, part: str) -> None:
    run, rounds = work.run, range(factor * work.rounds)
    marks.begin_part()
    for _ in rounds:
        run()
    marks.end_part(part.encode())


if __name__ == "__main__":
    sys.exit(main())
