"""The notes of hash chains in PostgreSQL, and the arrays that batches are sent as."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.domain.audit_log import RemovedRecords
from pdp.store.postgres.records.arrays import number_array, text_array
from pdp.store.postgres.records.chains import (
    ChainHead,
    ChainNote,
    ChainOpening,
    RemovedDays,
    parse_chain_note,
    to_json,
)
from pdp.store.removal_notes import Range

NUMBERS = st.integers(0, 2**60)
HASHES = st.binary(min_size=32, max_size=32)
HEADS = st.lists(st.builds(ChainHead, NUMBERS, NUMBERS, NUMBERS, HASHES), max_size=3).map(tuple)
REMOVED = st.lists(st.builds(RemovedRecords, st.text(), st.text(), NUMBERS), max_size=3).map(tuple)
NOTES = st.builds(
    ChainNote,
    opened=st.none() | st.builds(ChainOpening, st.text(), HASHES),
    seen=HEADS,
    removed=REMOVED,
    ranges=st.lists(st.builds(Range, NUMBERS, NUMBERS), max_size=3).map(tuple),
    days=st.none() | st.builds(RemovedDays, NUMBERS, HEADS, NUMBERS, NUMBERS, REMOVED),
)
STORABLE = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from('\\"{},\n NULL')
)


@given(NOTES)
def test_a_note_is_read_as_it_was_written(note: ChainNote) -> None:
    assert parse_chain_note(to_json(note)) == note


def test_no_note_is_an_empty_one() -> None:
    assert parse_chain_note("") == ChainNote()


@pytest.mark.parametrize(
    "fields",
    [
        [],
        {"opened": "x"},
        {"opened": ["name", "00"]},
        {"seen": [[1, 2, 3]]},
        {"seen": [[1, 2, -3, "00" * 32]]},
        {"removed": [{"tenant_id": "a"}]},
        {"ranges": [["1", 2]]},
        {"through": 1},
        {"through": 1e999, "below_batches": 0, "below_records": 0},
    ],
    ids=str,
)
def test_another_text_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_chain_note(json.dumps(fields))


@settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    texts=st.lists(st.none() | STORABLE, min_size=1, max_size=5),
    numbers=st.lists(
        st.none() | st.floats(allow_nan=False) | st.integers(-(2**53), 2**53),
        min_size=1,
        max_size=5,
    ),
    truths=st.lists(st.none() | st.booleans(), min_size=1, max_size=5),
)
def test_arrays_hold_what_was_put_in(
    postgres_url: str,
    texts: list[str | None],
    numbers: list[float | None],
    truths: list[bool | None],
) -> None:
    with psycopg.connect(postgres_url) as connection:
        [row] = connection.execute(
            "SELECT %s::text[], %s::float8[], %s::boolean[]",
            (text_array(texts), number_array(numbers), number_array(truths)),
        ).fetchall()
    assert row == (texts, numbers, truths)
