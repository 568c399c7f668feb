"""RE2 patterns: which are accepted, the reasons for rejecting others, and the spans of matches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.text.patterns import MAX_PATTERN_LENGTH, CompiledPattern
from pdp.errors import InvalidPattern


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (r"(?=secret)", "look-around is not supported: (?="),
        (r"(?<!a)b", "look-around is not supported: (?<!"),
        (r"(a)\1", r"back-references are not supported: \1"),
        (r"(?P<x>a)(?P=x)", "back-references are not supported: (?P="),
        (r"a++", "possessive and atomic groups are not supported: ++"),
        ("(", "missing ): ("),
        ("[z-a]", "invalid character class range: z-a"),
        ("a{1001}", "invalid repetition size: {1001}"),
        (r"\pL{1000}", "is too large once compiled; use smaller repetition counts"),
        ("x" * (MAX_PATTERN_LENGTH + 1), "must be at most 1000 characters"),
        ("\ud800", "must be well-formed Unicode"),
    ],
)
def test_the_reason_for_rejecting_a_pattern(source: str, reason: str) -> None:
    with pytest.raises(InvalidPattern) as error:
        CompiledPattern(source)
    assert [tuple(violation) for violation in error.value.violations] == [("pattern", reason)]


def test_a_pattern_may_have_the_maximum_length() -> None:
    source = "x" * MAX_PATTERN_LENGTH
    assert list(CompiledPattern(source).spans(source, source.encode())) == [(0, 1000)]


@pytest.mark.parametrize(
    ("source", "text", "spans"),
    [
        ("(?i)union", "a UNION b", [(2, 7)]),
        (r"\d+", "é1 — 22 😀 333", [(1, 2), (5, 7), (10, 13)]),
        ("x*", "éa", [(0, 0), (1, 1), (2, 2)]),
        ("é", "e\u0301 é", [(3, 4)]),
        (".", "😀\U0001f468\u200d", [(0, 1), (1, 2), (2, 3)]),
        ("(?i)straße", "STRAßE", [(0, 6)]),
        ("a", "", []),
    ],
)
def test_spans_count_code_points(source: str, text: str, spans: list[tuple[int, int]]) -> None:
    assert list(CompiledPattern(source).spans(text, text.encode())) == spans


@given(
    st.sampled_from(
        ["a", "a*", "(a|)b?", "(?P<value>a)?b", r"\b", "^a", "b$", "", "a(?P<value>b*)"]
    ),
    st.text("ab \n", max_size=12),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_matches_are_those_of_the_binding(source: str, text: str, begin: int, size: int) -> None:
    """The pattern searches with RE2's own method, without the loop of the Python binding."""
    import re2  # noqa: PLC0415 - to compare with it

    compiled, data = re2.compile(source), text.encode()
    group = compiled.groupindex.get("value", 0)

    def spans(match: Any) -> tuple[int, int, int, int]:
        value = match.span(group)
        return (*match.span(), *(value if value[0] >= 0 else match.span()))

    pattern = CompiledPattern(source)
    assert list(pattern.matches(text, data)) == [*map(spans, compiled.finditer(data))]
    begin = min(begin, len(data))
    end = min(begin + size, len(data))
    expected = [
        spans(match)
        for match in compiled.finditer(data, begin, end)
        if match.end() < end or end == len(data)
    ]
    assert list(pattern.matches(text, data, [(begin, end)])) == expected


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"), min_size=1))
def test_each_span_contains_the_searched_text(text: str, needle: str) -> None:
    import re2  # noqa: PLC0415 - for its escape function only

    source = re2.escape(needle)
    whole = f"{text}{needle}{text}"
    if len(source) > MAX_PATTERN_LENGTH:
        return
    spans = list(CompiledPattern(source).spans(whole, whole.encode()))
    assert spans
    assert {whole[start:end] for start, end in spans} == {needle}
    assert spans == sorted(spans)


@pytest.mark.parametrize("source", [r"\C", r"a\\\C+", r"[a-z]\C{2}"])
def test_single_bytes_are_rejected(source: str) -> None:
    """A part of a character has no position in a text that is not ASCII."""
    with pytest.raises(InvalidPattern, match="single bytes"):
        CompiledPattern(source)


def test_an_escaped_backslash_before_a_c_is_accepted() -> None:
    assert list(CompiledPattern(r"\\C").spans(r"a\C", rb"a\C")) == [(1, 3)]
