"""`python faulty_server.py FAULT`: the server with one fault built in, for the tests of faults.

    layer:NAME    a layer of that name that raises whenever it is asked
    patterns      RE2's answer where its memory does not suffice, for texts with EXHAUST in them
    impatient     seconds that clients have, cut down to tenths
    model         a model for named entities that never answers
    clock         a wall clock that is off by the number of seconds in PDP_DATA_DIR/clock

The product has no such switches; here the parts are exchanged before it is started.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn


class Broken:
    """A layer, a gate or a closer that cannot judge."""

    patterns: dict[str, str] = {}  # noqa: RUF012 - as layers have it

    def __init__(self, name: str) -> None:
        self.name = name

    def judge(self, *_asked: Any) -> NoReturn:
        """Raises."""
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    admit = conclude = judge


def break_layer(name: str) -> None:
    """Puts a broken layer beside the others, where layers of its name stand."""
    from pdp.engine import compiler  # noqa: PLC0415 - what is to be broken comes first

    def build(*_policies: Any) -> Any:
        return Broken(name)

    place = {"kill_switch": "GATES", "org": "CLOSERS"}.get(name, "BUILDERS")
    setattr(compiler, place, (*getattr(compiler, place), build))


def exhaust_patterns() -> None:
    """Makes RE2 answer as it does when it runs out of memory."""
    import re2  # noqa: PLC0415 - as above

    match = re2.Set.Match
    re2.Set.Match = lambda self, data: [] if b"EXHAUST" in data else match(self, data)


def lose_patience() -> None:
    """Sets the bounds on slow clients to tenths of a second."""
    from pdp.transport.grpc import server as grpc_server  # noqa: PLC0415 - as above
    from pdp.transport.http import connection, requests, server  # noqa: PLC0415 - as above

    pings = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    options = {**dict(grpc_server._OPTIONS), **dict.fromkeys(pings, 2000)}
    grpc_server._OPTIONS = tuple(options.items())  # type: ignore[misc,assignment] # as above

    connection.FIRST_BYTE_TIMEOUT_S = 0.3  # type: ignore[misc]
    connection.REQUEST_TIMEOUT_S = connection.WRITE_TIMEOUT_S = 0.3  # type: ignore[misc]
    requests.BODY_TIMEOUT_S = 0.2  # type: ignore[misc]
    server._KEEP_ALIVE_S = 1


def shift_clock() -> None:
    """Takes the wall clock from a file's offset; the monotonic clock stays what it is."""
    offset = Path(os.environ["PDP_DATA_DIR"]) / "clock"
    true_ns = time.time_ns

    def shifted_ns() -> int:
        return true_ns() + int(offset.read_text() or 0) * 1_000_000_000

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / 1e9


def hang_model() -> None:
    """Puts a model in place that takes requests and answers none."""
    import threading  # noqa: PLC0415 - as above

    from pdp.detect.ner import NerEngine  # noqa: PLC0415 - as above
    from pdp.detect.ner.worker import ModelWorker  # noqa: PLC0415 - as above
    from pdp.domain.dlp_rule import LLM, NER  # noqa: PLC0415 - as above
    from pdp.server import app  # noqa: PLC0415 - as above

    class Hanging:
        labels = None

        def recognize(self, *_arguments: Any) -> NoReturn:
            while True:
                threading.Event().wait()

    def models(_settings: Any) -> NerEngine:
        return NerEngine({NER: ModelWorker("hanging", Hanging)}, {LLM: "there is none"}, 0.05)

    app._models = models  # type: ignore[assignment] # as said above


def main(fault: str) -> None:
    """Starts the server with the fault."""
    if fault == "patterns":
        exhaust_patterns()
    elif fault == "impatient":
        lose_patience()
    elif fault == "model":
        hang_model()
    elif fault == "clock":
        shift_clock()
    else:
        break_layer(fault.removeprefix("layer:"))
    from pdp.cli.run.serve import run_server  # noqa: PLC0415 - as above

    run_server({}, None)


if __name__ == "__main__":
    main(sys.argv[1])
