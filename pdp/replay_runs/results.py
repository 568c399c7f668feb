"""The results of replayed records as a table, one row for each. The report is computed from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pdp.decisions.replay_tally import ChangeCause, ReplayResult, Responsible
from pdp.domain.decision import Outcome
from pdp.record_files.partitions import microseconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.decisions.replay_tally import ReplayTally

_TEXT: Final = pa.string()

CAUSE: Final = pa.struct([(name, _TEXT) for name in (*Responsible._fields, "reason")])

RESULTS: Final = pa.schema(
    [
        ("sequence", pa.int64()),
        ("decision_id", _TEXT),
        ("time", pa.timestamp("us", tz="UTC")),
        ("user_id", _TEXT),
        ("from", _TEXT),
        ("to", _TEXT),
        ("not_replayed", _TEXT),
        ("gaps", pa.list_(_TEXT)),
        ("on_other_policies", pa.bool_()),
        ("sample_rate", pa.float64()),
        ("reason_code", _TEXT),
        ("message", _TEXT),
        ("causes", pa.list_(CAUSE)),
    ]
)
"""`from` and `to` are outcomes. If a record could not be replayed, `to` is null, and `not_replayed`
says why. `reason_code`, `message` and `causes` are set if the outcome is another one."""

_MICROSECONDS: Final = 1_000_000


def result_batch(results: Sequence[ReplayResult]) -> pa.RecordBatch:
    """Returns results as Arrow, in their order."""
    rows = [_row(each) for each in results]
    columns = zip(*rows, strict=True) if rows else [()] * len(RESULTS)
    arrays = [
        pa.array(map(_encodable, values), each.type)
        for values, each in zip(columns, RESULTS, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=RESULTS)


def add_results(tally: ReplayTally, table: pa.Table) -> None:
    """Adds the results of a table to a tally: unchanged ones together, the others one by one."""
    is_replayed = pc.is_valid(table["to"])
    is_same = pc.and_(is_replayed, pc.fill_null(pc.equal(table["from"], table["to"]), False))
    same = table.filter(is_same)
    tally.add_unchanged(
        _counts(same["sample_rate"]),
        _counts(pc.list_flatten(same["gaps"])),
        pc.sum(pc.cast(same["on_other_policies"], pa.int64())).as_py() or 0,
    )
    failed = table.filter(pc.invert(is_replayed))
    tally.not_replayed.update(_counts(failed["not_replayed"]))
    changed = table.filter(pc.and_(is_replayed, pc.invert(is_same)))
    for batch in changed.to_batches(max_chunksize=1_000):
        for row in batch.to_pylist():
            tally.add(_result(row))


def _counts(values: pa.ChunkedArray) -> dict[Any, int]:
    return {each["values"]: each["counts"] for each in pc.value_counts(values).to_pylist()}


def _row(result: ReplayResult) -> tuple[Any, ...]:
    return (
        result.order,
        result.decision_id,
        microseconds_of(result.time),
        result.user_id,
        None if result.then is None else result.then.name,
        None if result.now is None else result.now.name,
        result.obstacle or None,
        list(result.gaps),
        result.elsewhere,
        result.sample_rate,
        result.reason_code or None,
        result.message or None,
        [{**cause.policy._asdict(), "reason": cause.reason} for cause in result.causes],
    )


def _result(row: Mapping[str, Any]) -> ReplayResult:
    return ReplayResult(
        row["sequence"],
        row["decision_id"],
        row["time"].timestamp() if row["time"] is not None else 0.0,
        row["user_id"],
        Outcome[row["from"]],
        Outcome[row["to"]],
        gaps=tuple(row["gaps"]),
        elsewhere=row["on_other_policies"],
        sample_rate=row["sample_rate"],
        reason_code=row["reason_code"] or "",
        message=row["message"] or "",
        causes=tuple(
            ChangeCause(
                Responsible(**{name: each[name] for name in Responsible._fields}), each["reason"]
            )
            for each in row["causes"]
        ),
    )


def _encodable(value: Any) -> Any:
    """Replaces halves of characters, which JSON can hold and UTF-8 cannot."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, dict):
        return {name: _encodable(each) for name, each in value.items()}
    return value
