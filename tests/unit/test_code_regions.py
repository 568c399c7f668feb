"""Code in Markdown: fenced blocks, words in backticks, and what has no end."""

from __future__ import annotations

import pytest

from pdp.engine.text import code_regions as module
from pdp.engine.text.code_regions import MAX_INLINE, code_regions, region_around


def code_in(text: str, *, may_be_cut: bool = False) -> list[str]:
    regions = code_regions(text, may_be_cut=may_be_cut)
    return [text[each.inner_start : each.inner_end] for each in regions]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no code", []),
        ("a `b` c `d`", ["b", "d"]),
        ("a ``b ` c`` d", ["b ` c"]),
        ("a `b\nc` d", ["b\nc"]),
        ("a `b\n\nc` d", []),
        ("```\nx\n```\ny `z`", ["\nx\n", "z"]),
        ("```sql\nx `y` z\n```", ["sql\nx `y` z\n"]),
        ("````\n```\nx\n````", ["\n```\nx\n"]),
        ("~~~\nx\n~~~", ["\nx\n"]),
        ("a ~~~ b", []),
        ("```\nx", ["\nx"]),
        ("a `b", []),
    ],
)
def test_marks_of_markdown(text: str, code: list[str]) -> None:
    assert code_in(text) == code


def test_words_in_backticks_may_be_cut_in_an_answer() -> None:
    assert code_in("a `b", may_be_cut=True) == ["b"]
    assert code_in("a `b\n\nc", may_be_cut=True) == []


def test_a_span_is_in_a_region_as_a_whole() -> None:
    text = "a `bcd` e"
    regions = code_regions(text, may_be_cut=False)
    assert region_around(regions, 3, 6) == regions[0]
    assert region_around(regions, 2, 6) is None
    assert region_around(regions, 3, 8) is None
    assert region_around(regions, 0, 1) is None
    assert region_around((), 0, 1) is None


def test_the_length_of_words_in_backticks_is_bounded() -> None:
    assert code_in("`" + "a" * MAX_INLINE + "`") == ["a" * MAX_INLINE]
    assert code_in("`" + "a" * (MAX_INLINE + 1) + "`") == []


def test_the_number_of_marks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MARKS", 4)
    assert code_in("`a` `b` `c`") == ["a", "b"]


def test_the_marks_that_are_looked_at_for_an_end_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_AHEAD", 2)
    assert code_in("`a `` b`") == ["a `` b"]
    assert code_in("`a `` b `` c`") == [" b "]
