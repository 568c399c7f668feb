"""Chunked search: in a long text, it finds the same matches as a search of the whole text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.chunked_search import CHUNK_BYTES, MIN_BYTES, OVERLAP_BYTES
from pdp.engine.text.patterns import CompiledPattern, PatternDetector

if TYPE_CHECKING:
    from pdp.engine.findings import Findings

PATTERNS = (
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"(?i)key(?P<value>[0-9a-f]{8})",
    r"\b\d{9}\b",
    r"^start|end$",
    r"[a-z]+@[a-z]+\.test",
    r"é{2,5}",
)
PATTERN_SETS = (PatternSet().with_patterns(PATTERNS),)

VALUES = (
    "536-90-4399",
    "KEYdeadbeef",
    "123456789",
    "ada@acme.test",
    "ééé",
    "start",
    "end",
    "1234567890",
)
FILLERS = ("lorem ipsum ", "é 你好 ", "0", "-", "key ", "12345678 ")


def matches_in_whole_text(text: str) -> dict[str, list[tuple[int, int, int, int]]]:
    compiled = [CompiledPattern(source) for source in PATTERNS]
    return {each.source: list(each.matches(text, text.encode())) for each in compiled}


def matches(findings: Findings, source: str) -> list[tuple[int, int, int, int]]:
    return [match[1:] for match in findings.matches(source)]


texts = st.lists(
    st.tuples(
        st.sampled_from(FILLERS),
        st.integers(0, 2 * CHUNK_BYTES),
        st.sampled_from(VALUES),
        st.sampled_from(["", " "]),
    ),
    min_size=1,
    max_size=6,
).map(
    lambda parts: (
        "".join(
            (filler * (size // len(filler) + 1))[:size] + space + value + space
            for filler, size, value, space in parts
        )
        + " " * MIN_BYTES
    )
)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_matches_equal_those_in_the_whole_text(text: str) -> None:
    findings = scan(PATTERN_SETS, text, None, {})
    expected = matches_in_whole_text(text)
    for source in PATTERNS:
        assert matches(findings, source) == expected[source]


@pytest.mark.parametrize("offset", range(-14, 3))
def test_a_value_on_the_edge_of_a_chunk_is_found(offset: int) -> None:
    lead = " " * (CHUNK_BYTES + offset)
    text = f"{lead}536-90-4399{' ' * MIN_BYTES}keydeadbeef ada@acme.test 123456789"
    (where,) = scan(PATTERN_SETS, text, None, {}).all(PatternDetector(PATTERNS[0]))
    assert (where.start, where.value) == (len(lead), "536-90-4399")


@pytest.mark.parametrize(
    ("source", "known"),
    [
        (r"\b\d{3}-\d{2}-\d{4}\b", True),
        (r"[*+]{3}", True),
        (r"a\+b\*", True),
        (r"[\]*]x?", True),
        (r"[]*]x", True),
        (r"a+", False),
        (r"a*?b", False),
        (r"a{3,}", False),
        (r"(?:a|b+)c", False),
        (r"[a]+", False),
        (r"\Q[\E.*]", False),
        (r"[[:alpha:]]*", False),
    ],
)
def test_the_maximum_length_is_known_without_unbounded_repetition(source: str, known: bool) -> None:
    assert (CompiledPattern(source).max_bytes > 0) is known


@given(
    st.from_regex(r"(?:[ab]{1,3}|\\d{2,4}|[0-9]?|x|\(y\)\?){1,6}", fullmatch=True), st.text("ab1xy")
)
def test_no_match_is_longer_than_the_maximum(source: str, text: str) -> None:
    compiled = CompiledPattern(source)
    for start, end in compiled.spans(text * 20, (text * 20).encode()):
        assert end - start <= compiled.max_bytes < OVERLAP_BYTES
