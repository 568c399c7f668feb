"""Converts records of the log to the columns of record files.

The columns are for queries. A value that does not fit its column, for instance because someone has
changed the log, is null there; `body` always has the whole record.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from pdp.errors import StoreUnavailable
from pdp.record_files.partitions import microseconds_of
from pdp.record_files.schema import ENTITY, MATCH, RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdp.store.chain_port import ChainedRecord

_decode: Final = msgspec.json.Decoder().decode
_INT64: Final = 1 << 63


class NumberedRecord(NamedTuple):
    """A record of the log, with the number of its batch."""

    batch: int
    record: ChainedRecord


class RecordPlace(NamedTuple):
    """What says in which file a record belongs.

    Attributes:
        time: seconds since the epoch; None if the record has no time.
    """

    tenant_id: str
    time: float | None


def place_of(record: ChainedRecord) -> RecordPlace:
    """Returns the tenant and the time of a record.

    Raises:
        StoreUnavailable: the record is not what a log writes.
    """
    value = _object(record.sequence, record.body)
    return RecordPlace(_text(value.get("tenant_id")) or "", _number(value.get("time")))


def record_batch(records: Sequence[NumberedRecord]) -> pa.RecordBatch:
    """Returns records as Arrow, in their order.

    Raises:
        StoreUnavailable: a record is not what a log writes.
    """
    rows = [_row(each) for each in records]
    columns = zip(*rows, strict=True) if rows else [()] * len(RECORDS)
    arrays = [_array(values, field.type) for values, field in zip(columns, RECORDS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=RECORDS)


def _array(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    values = list(values)
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # half of a character, which JSON can hold and UTF-8 cannot
        return pa.array(_encodable(values), kind)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    return value


def _object(sequence: int, body: bytes) -> dict[str, Any]:
    try:
        try:
            value = _decode(body)
        except msgspec.DecodeError:  # it refuses half of a character
            value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise StoreUnavailable(
            f"record {sequence} of the log is not what was written. Run pdp audit verify."
        )
    return value


def _row(numbered: NumberedRecord) -> tuple[Any, ...]:
    sequence, body, hash_ = numbered.record
    value = _object(sequence, body)
    return (
        sequence,
        numbered.batch,
        hash_,
        *(convert(_find(value, path)) for path, convert in _COLUMNS),
        body.decode(),
    )


def _find(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and -_INT64 <= value < _INT64 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _time(value: Any) -> int | None:
    return microseconds_of(_number(value))


def _texts(value: Any) -> list[str | None] | None:
    return [_text(each) for each in value] if isinstance(value, list) else None


def _structs(kind: pa.StructType) -> Callable[[Any], list[Mapping[str, Any]] | None]:
    names = [(field.name, _number if field.type == pa.float64() else _text) for field in kind]

    def convert(value: Any) -> list[Mapping[str, Any]] | None:
        if not isinstance(value, list):
            return None
        return [
            {name: of_kind(each.get(name)) for name, of_kind in names}
            for each in value
            if isinstance(each, dict)
        ]

    return convert


_PATHS: Final = {
    "risk_score": ("risk", "score"),
    "risk_level": ("risk", "level"),
    "user_id": ("subject", "user_id"),
    "groups": ("subject", "groups"),
    "agent_id": ("subject", "agent_id"),
    "target_type": ("target", "resource_type"),
    "target_id": ("target", "resource_id"),
}
"""The places in a record of columns that are not named like their fields."""


def _converter(kind: pa.DataType) -> Callable[[Any], Any]:
    converters = {
        pa.string(): _text,
        pa.bool_(): _flag,
        pa.int64(): _whole,
        pa.float64(): _number,
        pa.list_(pa.string()): _texts,
        pa.list_(MATCH): _structs(MATCH),
        pa.list_(ENTITY): _structs(ENTITY),
    }
    return _time if pa.types.is_timestamp(kind) else converters[kind]


_COLUMNS: Final = [
    (_PATHS.get(field.name, (field.name,)), _converter(field.type)) for field in list(RECORDS)[3:-1]
]
"""The place of each column in a record, and what converts it: those between hash and body."""
