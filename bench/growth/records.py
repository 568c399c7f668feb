"""How cost grows with the records in the log: append, list, search and verify."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.growth import isolated
from bench.growth.row import Row
from pdp.bootstrap.recording import RecordingOptions
from pdp.domain.audit_log import RecordFilter
from pdp.embedded import Engine
from pdp.store import open_audit_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdp.domain.audit_log import AuditLog

LEAST: Final = 10_000
MOST: Final = 1_000_000
BATCH: Final = 256
"""Records that are appended together, as the recorder does under load."""

PAGE: Final = 50
ROUNDS: Final = 7
MAX_SPENT_S: Final = 2.0
"""A slow search is not measured again after this CPU time."""

USERS: Final = 1_000
TENANT: Final = "bench"
TEXT: Final = "Please send the report to ada.lovelace@example.com, and keep it short."


def rows(most: int = 0) -> Iterator[Row]:
    """Yields the curves: CPU time of each operation, disk and memory, by number of records."""
    yield from isolated.run(_measure, most or MOST)


def _measure(most: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        example = _example(Path(folder))
        log = open_audit_log(f"sqlite:///{Path(folder) / 'records.db'}")
        written = 0
        for count in isolated.steps(min(LEAST, most), most):
            begin = time.process_time()
            added = count - written
            while written < count:
                batch = range(written, min(written + BATCH, count))
                log.append([_record(example, number) for number in batch])
                written += len(batch)
            spent = 1e6 * (time.process_time() - begin) / added - _making_us(example)
            yield Row("append a record", count, spent, "µs CPU")
            yield from _reads(log, count)
            yield Row("size of the log", count, log.size() / 1e6, "MB")
            yield Row("memory of the process", count, isolated.resident_mb(), "MB")


def _reads(log: AuditLog, count: int) -> Iterator[Row]:
    middle = count // 2
    searches = {
        "list the newest 50": RecordFilter(TENANT),
        "search a request id": RecordFilter(TENANT, request_id=f"request-{middle}"),
        "search a policy id without records": RecordFilter(TENANT, policy_id="no-such-policy"),
        "search a user": RecordFilter(TENANT, user_id="user-7"),
    }
    for name, record_filter in searches.items():
        spent = _milliseconds(lambda f=record_filter: log.select(f, before=None, limit=PAGE))  # type: ignore[misc]
        yield Row(name, count, spent, "ms CPU")
    begin = time.process_time()
    verification = log.verify()
    spent = time.process_time() - begin
    if not verification.intact or verification.records != count:
        raise RuntimeError(f"the log does not verify: {verification.problems}")
    yield Row("verify the whole log", count, spent, "s CPU")


def _milliseconds(run: Callable[[], object]) -> float:
    spent: list[float] = []
    while len(spent) < ROUNDS and sum(spent) < MAX_SPENT_S:
        begin = time.process_time()
        run()
        spent.append(time.process_time() - begin)
    return 1e3 * min(spent)


def _example(folder: Path) -> dict[str, Any]:
    """Returns a record as the server writes it, of a decision that redacts an e-mail address."""
    url, records = f"sqlite:///{folder / 'pdp.db'}", f"sqlite:///{folder / 'example.db'}"
    with Engine.open(url, records=RecordingOptions(records)) as engine:
        engine.decide(text=TEXT, tenant_id=TENANT, request_id="request")
    (record,) = open_audit_log(records).read_on(0, 1)
    body: dict[str, Any] = json.loads(record.body)
    return body


def _record(example: dict[str, Any], number: int) -> str:
    """Returns a record like the example, with ids and a time of its own."""
    changed = {
        **example,
        "decision_id": f"{example['decision_id'][:-8]}{number:08x}",
        "request_id": f"request-{number}",
        "subject": {"user_id": f"user-{number % USERS}"},
    }
    return json.dumps(changed, separators=(",", ":"), ensure_ascii=False)


def _making_us(example: dict[str, Any]) -> float:
    """Returns the microseconds that the bench itself takes to make a record."""
    begin = time.process_time()
    for number in range(BATCH):
        _record(example, number)
    return 1e6 * (time.process_time() - begin) / BATCH
