"""Directories of record files: any tenant has one, and none leads out of the export."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.record_files.partitions import MAX_VALUE, NO_VALUE, day_of, directory_of

TENANTS = st.one_of(
    st.text(max_size=400),
    st.sampled_from(["", ".", "..", "a/b", "../x", "a=b", "%2F", NO_VALUE, "ü", "a.", "A", "a"]),
)


def value_of(tenant_id: str) -> str:
    name, day = directory_of(tenant_id, "2026-02-26").split("/")
    assert day == "day=2026-02-26"
    return name.removeprefix("tenant=")


@given(TENANTS)
def test_a_tenant_is_one_directory_below_the_export(tenant_id: str) -> None:
    parts = PurePosixPath(directory_of(tenant_id, "2026-02-26")).parts
    assert len(parts) == 2
    assert value_of(tenant_id).isascii()
    assert value_of(tenant_id).isprintable()
    assert not {"/", "\\", "=", " ", "*", "?", "["} & set(value_of(tenant_id))
    assert len(value_of(tenant_id)) <= MAX_VALUE


@given(st.text(min_size=1, max_size=15))
def test_readers_decode_a_directory_to_its_tenant(tenant_id: str) -> None:
    assert unquote(value_of(tenant_id)) == tenant_id


@given(TENANTS, TENANTS)
def test_two_tenants_have_two_directories(one: str, other: str) -> None:
    assert (value_of(one) == value_of(other)) == (one == other)


def test_an_empty_tenant_is_what_readers_take_for_no_value() -> None:
    assert value_of("") == NO_VALUE
    assert value_of(NO_VALUE) != NO_VALUE


@pytest.mark.parametrize(
    ("time", "day"),
    [
        (0.0, "1970-01-01"),
        (1_772_150_399.999, "2026-02-26"),
        (1_772_150_400.0, "2026-02-27"),
        (-1.0, "1969-12-31"),
        (1e300, ""),
        (float("nan"), ""),
        (float("inf"), ""),
        (None, ""),
    ],
)
def test_a_day_is_that_of_the_time_in_utc(time: float | None, day: str) -> None:
    assert day_of(time) == day
    assert directory_of("acme", day).endswith(f"/day={day or NO_VALUE}")
