"""The cost class of a pattern: how often it is found in ordinary texts."""

from __future__ import annotations

import pytest

from pdp.engine.text.cost_class import (
    COMMON,
    COMMON_FINDS,
    COMMON_SHARE,
    EVERYWHERE,
    EVERYWHERE_FINDS,
    EVERYWHERE_SHARE,
    RARE,
    PatternCost,
)
from pdp.engine.text.ordinary_texts import ORDINARY_TEXTS
from pdp.engine.text.pattern_cost import cost_of, cost_of_source, measure_in
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidPattern

LITTLE = 0.001


@pytest.mark.parametrize(
    ("broad", "narrow"),
    [
        (r"\w+", r"\w+@[\w-]+\.[a-z]{2,}"),
        (r"[\w.+-]+", r"[\w.+-]+@[\w-]+\.[\w.]+"),
        (r"\d+", r"\b\d{4}\b"),
        (r"\d", r"\b\d{3}-\d{2}-\d{4}\b"),
        (r"\b\d+\b", r"\b\d{16}\b"),
        (r"[A-Z]", r"\b[A-Z]{3}-\d{4,6}\b"),
        (r"(?i)[a-z]", r"(?i)confidential"),
        (r"(?i)(the|and|of|to|a|in)", r"(?i)\b(apollo|hermes|artemis)\b"),
        (r"[a-z]+(?:1)?", r"(?i)\bproject-[a-z]+\b"),
        (r".", r"\.\.\."),
        (r".+", r"(?i)password\s*[:=]\s*\S+"),
        (r".*", r"https?://\S+"),
        (r"(?s)^.", r"^confidential"),
        (r"\S+", r"\S{64,}"),
        (r"\s", r"\t\t"),
        (r"\b", r"\bacme\b"),
        (r"confidential|", r"confidential"),
        (r"x*", r"xx+"),
        (r"$", r"secret$"),
        (r"\pL", r"\p{Thai}"),
        (r"[^\x00-\x7f]", r"[\x{1F300}-\x{1FAFF}]"),
    ],
)
def test_a_broad_pattern_is_everywhere_and_its_narrow_twin_is_not(broad: str, narrow: str) -> None:
    assert cost_of_source(broad).cost_class == EVERYWHERE
    assert not cost_of_source(narrow).is_everywhere


@pytest.mark.parametrize("source", [r"(?i)\bthe\b", r"\n", r",", r"\b[A-Z]{2,}\b", r"\p{Han}"])
def test_a_pattern_of_one_kind_of_text_is_common(source: str) -> None:
    assert cost_of_source(source).cost_class == COMMON


@pytest.mark.parametrize("source", [r"(?i)confidential", r"\b\d{4}\b", r"\b\w+ing\b", r"@"])
def test_most_patterns_are_rare(source: str) -> None:
    assert cost_of_source(source).cost_class == RARE


@pytest.mark.parametrize(
    ("cost", "cost_class"),
    [
        (PatternCost(), RARE),
        (PatternCost(share=COMMON_SHARE - LITTLE), RARE),
        (PatternCost(share=COMMON_SHARE), COMMON),
        (PatternCost(share=EVERYWHERE_SHARE - LITTLE), COMMON),
        (PatternCost(share=EVERYWHERE_SHARE), EVERYWHERE),
        (PatternCost(finds=COMMON_FINDS - LITTLE), RARE),
        (PatternCost(finds=COMMON_FINDS), COMMON),
        (PatternCost(finds=EVERYWHERE_FINDS - LITTLE), COMMON),
        (PatternCost(finds=EVERYWHERE_FINDS), EVERYWHERE),
        (PatternCost(matches_empty=True), EVERYWHERE),
    ],
)
def test_the_bounds_of_the_classes(cost: PatternCost, cost_class: str) -> None:
    assert cost.cost_class == cost_class


@pytest.mark.parametrize(
    ("finds", "cost_class"),
    [(1, RARE), (2, COMMON), (19, COMMON), (20, EVERYWHERE)],
)
def test_finds_are_counted_in_1000_characters(finds: int, cost_class: str) -> None:
    text = ("x" * finds).ljust(1000, "-")
    texts = [(text, text.encode()), *[("", b"")] * 9]
    cost = measure_in(CompiledPattern("x"), texts)
    assert (cost.cost_class, cost.finds) == (cost_class, finds)


@pytest.mark.parametrize(
    ("with_find", "cost_class"), [(9, RARE), (10, COMMON), (29, COMMON), (30, EVERYWHERE)]
)
def test_the_share_is_that_of_the_texts(with_find: int, cost_class: str) -> None:
    texts = [f"{'x' if index < with_find else '-'}".ljust(1000, "-") for index in range(40)]
    cost = measure_in(CompiledPattern("^x"), [(text, text.encode()) for text in texts])
    assert (cost.cost_class, cost.share) == (cost_class, with_find / 40)


def test_the_cost_is_measured_once_for_a_compiled_pattern() -> None:
    pattern = CompiledPattern(r"\w+")
    assert pattern.cost is None
    assert cost_of(pattern) is cost_of(pattern)
    assert pattern.cost == cost_of_source(r"\w+")


def test_a_pattern_that_is_not_re2_has_no_cost() -> None:
    with pytest.raises(InvalidPattern):
        cost_of_source("(")


def test_the_texts_are_of_ten_kinds() -> None:
    """The share of a kind is known: a pattern of all prose is found in six of ten texts."""
    assert len(ORDINARY_TEXTS) == 40
    assert all(80 <= len(text) <= 200 for text in ORDINARY_TEXTS)
