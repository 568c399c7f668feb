"""Canonical JSON: the bytes that Python's `json` writes, whatever the value."""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.strictjson.canonical import canonical, with_written_floats

SURROGATES = range(0xD800, 0xE000)

texts = st.text(st.characters(exclude_categories=()))
numbers = st.integers() | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


def written_by_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


@given(values)
def test_any_value_is_written_as_json_writes_it(value: Any) -> None:
    assert canonical(with_written_floats(value)) == written_by_json(value)


def test_every_character_is_written_as_json_writes_it() -> None:
    text = "".join(chr(each) for each in range(sys.maxunicode + 1) if each not in SURROGATES)

    assert canonical(text) == written_by_json(text)


@pytest.mark.parametrize(
    "number",
    [1e-4, 9.9e-5, -1e-5, 1e15, 9999999999999998.0, 1e16, -1e16, 5e-324, 1.7976931348623157e308,
     0.0, -0.0, 1.0, 0.1, math.inf, -math.inf, math.nan],
)  # fmt: skip
def test_floats_at_the_bounds_are_written_as_json_writes_them(number: float) -> None:
    assert canonical(with_written_floats([number])) == written_by_json([number])


def test_half_a_surrogate_pair_beside_a_written_float() -> None:
    value = {"text": "\ud83d", "number": 1e300}

    assert canonical(with_written_floats(value)) == written_by_json(value)


def test_an_integer_differs_from_the_float_of_the_same_value() -> None:
    assert canonical(1) != canonical(with_written_floats(1.0))


def test_classes_of_programs_that_embed_the_engine() -> None:
    class Name(StrEnum):
        ADA = "ada"

    class Text(str):
        __slots__ = ()

    value = MappingProxyType({"b": (1, Text("x")), "a": Name.ADA})

    assert canonical(with_written_floats(value)) == b'{"a":"ada","b":[1,"x"]}'


@pytest.mark.parametrize(
    "value", [1j, b"x", {1}, frozenset(), datetime(2026, 1, 1, tzinfo=UTC), Path("x")]
)
def test_a_value_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        canonical(with_written_floats({"a": [value]}))
