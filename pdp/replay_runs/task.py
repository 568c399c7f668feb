"""What every process of a replay gets, and what it does with records."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pdp.decisions.replay_summary import replay_each
from pdp.decisions.replay_tally import ReplayResult
from pdp.domain.audit_log import RecordFilter
from pdp.domain.decision_record import DecisionRecord
from pdp.domain.record_selection import selects
from pdp.replay_runs.bundle import ReplayPolicies, compile_bundle, write_bundle
from pdp.replay_runs.results import result_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

UNREADABLE: Final = "record: it cannot be read"
"""Why a record is not replayed that is not what a log writes, or of a newer release."""

_BATCH: Final = 1_000
"""The results that are in memory at a time."""


class ReplayTask(NamedTuple):
    """What a replay does with each record.

    Attributes:
        policies: the policies, as `write_bundle` writes them.
        record_filter: the fields of the filter that selects records, as JSON.
    """

    policies: str
    record_filter: str

    @classmethod
    def of(cls, policies: ReplayPolicies, record_filter: RecordFilter) -> ReplayTask:
        """Returns the task."""
        return cls(write_bundle(policies), msgspec.json.encode(record_filter).decode())

    def key(self, release: str, engine: str) -> str:
        """Returns what identifies the results: it changes with the policies and the release.

        Args:
            release: the name of this release.
            engine: the name of the engine. The results of two engines are not mixed.
        """
        content = json.dumps([release, engine, *self])
        return hashlib.sha256(content.encode()).hexdigest()


def replay_bodies(task: ReplayTask, bodies: Iterable[tuple[int, str]]) -> Iterator[pa.RecordBatch]:
    """Yields the results of records, in their order.

    A process compiles the policies of a task once.

    Args:
        task: what to do.
        bodies: records of the tenant, each with its position in the log, as JSON.
    """
    policies, record_filter = _prepared(task)
    results = _results(policies, record_filter, bodies)
    while batch := list(islice(results, _BATCH)):
        yield result_batch(batch)


@lru_cache(maxsize=1)
def _prepared(task: ReplayTask) -> tuple[ReplayPolicies, RecordFilter]:
    record_filter = msgspec.json.decode(task.record_filter, type=RecordFilter)
    return compile_bundle(task.policies), record_filter


def _results(
    policies: ReplayPolicies, record_filter: RecordFilter, bodies: Iterable[tuple[int, str]]
) -> Iterator[ReplayResult]:
    unreadable: list[ReplayResult] = []

    def records() -> Iterator[tuple[int, DecisionRecord]]:
        for position, body in bodies:
            record = _read(body)
            if record is None:
                unreadable.append(ReplayResult(position, "", 0.0, "", None, obstacle=UNREADABLE))
            elif selects(record_filter, record):
                yield position, record

    for result in replay_each(records(), *policies):
        yield from unreadable
        unreadable.clear()
        yield result
    yield from unreadable


def _read(body: str) -> DecisionRecord | None:
    try:
        return DecisionRecord.from_json(json.loads(body))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
