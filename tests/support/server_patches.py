"""Patches that tests apply to a server: faults, and shorter times.

    layer:NAME      a layer of that name that raises in each evaluation
    patterns        the result that RE2 gives when it runs out of memory, for texts with EXHAUST
    model           a model for named entities that never answers
    short-timeouts  limits for slow and dead clients of about a second
    patient-log     the log of records waits for another writer for minutes
    short-polling   files of certificates and token keys are checked ten times a second
    clock           a wall clock that is off by the number of seconds in the file PDP_DATA_DIR/clock

The product has no switches for these. `apply` replaces parts of it before the server starts; see
`tests.support.servers.launch`. Only the clock must be replaced before any module is imported, so
`CLOCK_COMMAND` runs a server in a new interpreter.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn

CLOCK_COMMAND: Final = (sys.executable, __file__, "clock")
"""Serves with the patch `clock`."""


class Broken:
    """A layer, a gate or a closer that raises."""

    patterns: dict[str, str] = {}  # noqa: RUF012 - as layers have it

    def __init__(self, name: str) -> None:
        self.name = name

    def evaluate(self, *_arguments: Any) -> NoReturn:
        """Raises."""
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    admit = conclude = evaluate


def apply(patch: str) -> None:
    """Applies a patch to this process; see the module."""
    if patch == "patterns":
        _exhaust_patterns()
    elif patch == "model":
        _hang_model()
    elif patch == "short-timeouts":
        _shorten_timeouts()
    elif patch == "short-polling":
        _shorten_polling()
    elif patch == "patient-log":
        _wait_for_writers()
    else:
        _break_layer(patch.removeprefix("layer:"))


def _break_layer(name: str) -> None:
    from pdp.engine import compiler  # noqa: PLC0415 - only in the server

    def build(*_policies: Any) -> Any:
        return Broken(name)

    place = {"kill_switch": "GATES", "org": "CLOSERS"}.get(name, "BUILDERS")
    setattr(compiler, place, (*getattr(compiler, place), build))


def _exhaust_patterns() -> None:
    from pdp.engine import shards, word_filter  # noqa: PLC0415 - as above

    compile_set = shards.compile_set

    def compile_exhausted(sources: list[str], base_bytes: int) -> Any:
        match = compile_set(sources, base_bytes)
        return lambda data: [] if b"EXHAUST" in data else match(data)

    for module in (shards, word_filter):
        module.compile_set = compile_exhausted  # type: ignore[attr-defined] # a test's own


def _shorten_timeouts() -> None:
    from pdp.transport.grpc import limits  # noqa: PLC0415 - as above
    from pdp.transport.grpc import server as grpc_server  # noqa: PLC0415 - as above
    from pdp.transport.http import connection, requests, server  # noqa: PLC0415 - as above

    times = {
        "grpc.keepalive_time_ms": 1000,
        "grpc.keepalive_timeout_ms": 5000,
        "grpc.http2.ping_timeout_ms": 5000,
    }
    limits.KEEPALIVE_TIME_MS, limits.KEEPALIVE_TIMEOUT_MS = 1000, 5000  # type: ignore[misc]
    options = {**dict(grpc_server._OPTIONS), **times}
    grpc_server._OPTIONS = tuple(options.items())  # type: ignore[misc,assignment] # a test's own

    connection.FIRST_BYTE_TIMEOUT_S = 1.0  # type: ignore[misc]
    connection.REQUEST_TIMEOUT_S = connection.WRITE_TIMEOUT_S = 1.0  # type: ignore[misc]
    requests.BODY_TIMEOUT_S = 0.8  # type: ignore[misc]
    server._KEEP_ALIVE_S = 1


def _shorten_polling() -> None:
    from pdp.auth import key_source  # noqa: PLC0415 - as above
    from pdp.transport import tls  # noqa: PLC0415 - as above

    tls.POLL_INTERVAL_S = key_source.FILE_INTERVAL_S = 0.1  # type: ignore[misc]


def _wait_for_writers() -> None:
    from pdp.store.files import retry_while_busy  # noqa: PLC0415 - as above
    from pdp.store.sqlite import audit_log  # noqa: PLC0415 - as above

    def retry(work: Any, _timeout_s: float, pause_s: float) -> Any:
        return retry_while_busy(work, 600.0, pause_s)

    audit_log.retry_while_busy = retry  # type: ignore[attr-defined,assignment] # a test's own


def _shift_clock() -> None:
    """Shifts the wall clock by the offset in a file; the monotonic clock stays as it is."""
    offset = Path(os.environ["PDP_DATA_DIR"]) / "clock"
    true_ns = time.time_ns

    def shifted_ns() -> int:
        return true_ns() + int(offset.read_text() or 0) * 1_000_000_000

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / 1e9


def _hang_model() -> None:
    import threading  # noqa: PLC0415 - as above

    from pdp.detect.ner import NerEngine  # noqa: PLC0415 - as above
    from pdp.detect.ner.worker import ModelWorker  # noqa: PLC0415 - as above
    from pdp.domain.dlp_rule import LLM, NER  # noqa: PLC0415 - as above
    from pdp.server import resources  # noqa: PLC0415 - as above

    class Hanging:
        labels = None

        def recognize(self, *_arguments: Any) -> NoReturn:
            while True:
                threading.Event().wait()

    def models(*_arguments: Any) -> NerEngine:
        return NerEngine({NER: ModelWorker("hanging", Hanging)}, {LLM: "there is none"}, 0.05)

    resources.open_engine = models  # type: ignore[attr-defined,assignment] # a test's own


if __name__ == "__main__":
    _shift_clock()
    from pdp.cli.run.serve import run_server

    run_server({}, None)
