"""Columns of record files: types are fixed, and the record itself stands beside them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.audit.record_json import encode_record
from pdp.errors import StoreUnavailable
from pdp.record_files.columns import NumberedRecord, place_of, record_batch
from pdp.record_files.schema import RECORDS
from pdp.store.chain_port import ChainedRecord
from tests.support.records import NOW, card, record

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def numbered(body: str, sequence: int = 1) -> NumberedRecord:
    return NumberedRecord(1, ChainedRecord(sequence, body.encode(), bytes(32)))


def row_of(body: str) -> dict[str, Any]:
    [row] = record_batch([numbered(body)]).to_pylist()
    return dict(row)


def test_the_columns_are_those_of_the_record() -> None:
    row = row_of(encode_record(card()))
    assert row["outcome"] == "REDACT"
    assert (row["user_id"], row["agent_id"], row["groups"]) == ("u1", "claude-code", ["staff"])
    assert (row["risk_score"], row["target_type"], row["target_id"]) == (65, "table", "users")
    assert row["time"].timestamp() == NOW + 1
    assert row["matches"][0]["policy_id"] == "dlp_card"
    assert row["entities"][0] == {
        "entity_type": "CREDIT_CARD", "category": "financial", "detector_id": "dlp_card",
        "confidence": 0.9,
    }  # fmt: skip
    assert row["sample_rate"] is None


def test_the_body_is_the_record_byte_for_byte() -> None:
    body = encode_record(record(message="ä\ud800\x00"))
    row = row_of(body)
    assert row["body"] == body
    assert row["message"] == "ä?\x00"  # half of a character has no form in UTF-8


@given(st.dictionaries(st.sampled_from([*RECORDS.names, "risk", "subject", "target"]), ANY_JSON))
def test_any_object_has_the_same_types(value: dict[str, Any]) -> None:
    """Values that do not fit are null: a query never fails because of one record."""
    body = json.dumps(value)
    batch = record_batch([numbered(body), numbered(encode_record(record()), 2)])
    assert batch.schema.equals(RECORDS)
    assert batch.column("body").to_pylist()[0] == body
    batch.validate(full=True)


def test_the_schema_is_the_same_without_records() -> None:
    assert record_batch([]).schema.equals(RECORDS, check_metadata=True)


@pytest.mark.parametrize("body", ["[]", "no json", "1", '{"a":'])
def test_what_is_no_record_is_refused(body: str) -> None:
    with pytest.raises(StoreUnavailable, match="record 7 of the log is not what was written"):
        place_of(ChainedRecord(7, body.encode(), b""))


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(StoreUnavailable, match="not what was written"):
        record_batch([NumberedRecord(1, ChainedRecord(7, b'{"a":"\xff"}', bytes(32)))])


def test_no_type_is_inferred() -> None:
    assert RECORDS.field("time").type == pa.timestamp("us", tz="UTC")
    assert all(field.type != pa.null() for field in RECORDS)
