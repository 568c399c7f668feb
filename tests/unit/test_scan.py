"""The pattern set: one pass finds what one by one would, and running out is never "no match"."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.scan import (
    MAX_SHARD_PATTERNS,
    PatternErrors,
    PatternSet,
    PatternsExhausted,
    Shard,
    scan,
    strings_in,
)
from pdp.engine.text.patterns import CompiledPattern, Detector


def sources(count: int, prefix: str = "word") -> list[str]:
    return [rf"\b{prefix}{index}\b" for index in range(count)]


def found(patterns: PatternSet, text: str) -> set[str]:
    return set(scan(patterns.shards, text, None, {}).hits)


class TestFinding:
    def test_only_the_patterns_that_occur_are_hits(self) -> None:
        patterns = PatternSet().with_patterns(sources(300))
        assert found(patterns, "word7 and word299 but not word300") == {
            r"\bword7\b",
            r"\bword299\b",
        }

    def test_anchors_hold_for_each_string_of_the_arguments(self) -> None:
        patterns = PatternSet().with_patterns(["^drop", "end$"])
        findings = scan(patterns.shards, "x", {"a": "drop it", "b": ["the end", "drop"]}, {})
        located = findings.all(Detector("^drop"))
        assert [where.segment.path for where in located] == ["/a", "/b/1"]
        assert [where.segment.path for where in findings.all(Detector("end$"))] == ["/b/0"]

    def test_a_match_does_not_reach_from_one_string_into_the_next(self) -> None:
        patterns = PatternSet().with_patterns([r"(?s)alpha.*omega"])
        assert not scan(patterns.shards, "alpha", {"a": "omega"}, {}).hits

    def test_a_validator_decides_what_counts(self) -> None:
        patterns = PatternSet().with_patterns([r"\d+"])
        findings = scan(
            patterns.shards, "11 22 31", None, {"odd": lambda value: int(value) % 2 > 0}
        )
        odd = findings.all(Detector(r"\d+", "odd"))
        assert [where.value for where in odd] == ["11", "31"]
        first = findings.first(Detector(r"\d+"))
        assert first is not None
        assert first.value == "11"

    def test_a_validator_that_accepts_nothing_leaves_nothing(self) -> None:
        patterns = PatternSet().with_patterns([r"\d+"])
        findings = scan(patterns.shards, "22", None, {"never": lambda value: False})
        assert findings.first(Detector(r"\d+", "never")) is None

    def test_json_pointers_are_escaped(self) -> None:
        paths = [segment.path for segment in strings_in({"a/b": {"c~d": ["x", 1, None, "y"]}})]
        assert paths == ["/a~1b/c~0d/0", "/a~1b/c~0d/3"]

    def test_tuples_are_looked_into_as_lists_are(self) -> None:
        assert [segment.path for segment in strings_in({"a": ("x", ("y",))})] == ["/a/0", "/a/1/0"]

    @given(
        st.lists(st.text("ab", min_size=1, max_size=4), max_size=40, unique=True),
        st.text("abc", max_size=60),
    )
    def test_one_pass_finds_what_one_by_one_finds(self, words: list[str], text: str) -> None:
        patterns = PatternSet().with_patterns(words)
        one_by_one = {word for word in words if text and re2.search(word, text)}
        assert found(patterns, text) == one_by_one

    def test_a_long_reading_without_a_find_says_nothing_of_later_ones(self) -> None:
        """It is gone by then, and one of them may well have got its place in memory."""
        shards = PatternSet().with_patterns(["x$", "one", "two", "three"]).shards
        long = "%41" + "." * 25_000 + "x" * 200 + "." * 10_000  # cut within the x's, it matches
        later = {f"c{index}": "z%78" for index in range(50)}
        findings = scan(shards, "", {"a": "one two three", "b": long, **later}, {})
        found = [where.segment.path for where in findings.all(Detector("x$"))]
        assert found == [f"/{key}" for key in later]


class TestExhaustion:
    def test_an_empty_answer_is_never_taken_for_no_match(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """RE2 answers [] when its automaton has no memory left; the canary is missing then."""
        monkeypatch.setattr(re2.Set, "Match", lambda self, data: None)
        monkeypatch.setattr("pdp.engine.scan._WARM_UP", ())
        shard = Shard([CompiledPattern("x")])
        with pytest.raises(PatternsExhausted):
            shard.search(b"x")

    def test_nothing_found_is_an_answer(self) -> None:
        assert Shard([CompiledPattern("x")]).search(b"y") == ()
        assert Shard([CompiledPattern("x")]).search(b"") == ()


class TestGrowth:
    def test_adding_one_pattern_compiles_little(self) -> None:
        patterns = PatternSet().with_patterns(sources(1500))
        for index in range(100):
            before = set(map(id, patterns.shards))
            patterns = patterns.with_patterns([*patterns.compiled, rf"new{index}"])
            fresh = [shard for shard in patterns.shards if id(shard) not in before]
            assert sum(len(shard.patterns) for shard in fresh) <= 200
        assert len(patterns.shards) <= 12

    def test_a_set_has_few_shards_however_it_grew(self) -> None:
        patterns = PatternSet()
        wanted: list[str] = []
        for source in sources(600):
            wanted.append(source)
            patterns = patterns.with_patterns(wanted)
        assert len(patterns.shards) <= 10
        assert found(patterns, "word0 word599") == {r"\bword0\b", r"\bword599\b"}

    def test_no_shard_is_larger_than_its_bound(self) -> None:
        patterns = PatternSet().with_patterns(sources(2 * MAX_SHARD_PATTERNS + 5))
        assert max(len(shard.patterns) for shard in patterns.shards) <= MAX_SHARD_PATTERNS

    def test_a_shard_that_would_grow_beyond_its_bound_is_left_as_it_is(self) -> None:
        some = sources(MAX_SHARD_PATTERNS - 48)
        first = PatternSet().with_patterns(some)
        patterns = first.with_patterns([*some, *sources(1500, "more")])
        assert [len(shard.patterns) for shard in patterns.shards] == [len(some), 1500]
        assert patterns.shards[0] is first.shards[0]

    def test_patterns_that_are_too_large_together_are_compiled_apart(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pdp.engine.scan.SHARD_BASE_BYTES", 64 << 10)
        monkeypatch.setattr("pdp.engine.scan.SHARD_PATTERN_BYTES", 0)
        large = [f"{letter}{{400}}z" for letter in "abcdefgh"]
        patterns = PatternSet().with_patterns(large)
        assert len(patterns.shards) > 1
        assert set(patterns.compiled) == set(large)
        assert found(patterns, "c" * 400 + "z") == {"c{400}z"}

    def test_the_same_patterns_are_the_same_set(self) -> None:
        patterns = PatternSet().with_patterns(sources(5))
        assert patterns.with_patterns(reversed(sources(5))) is patterns

    def test_a_shard_that_is_half_dead_is_built_anew(self) -> None:
        patterns = PatternSet().with_patterns(sources(10))
        assert len(patterns.with_patterns(sources(6)).compiled) == 10
        assert len(patterns.with_patterns(sources(4)).compiled) == 4

    def test_all_patterns_that_do_not_compile_are_named(self) -> None:
        with pytest.raises(PatternErrors) as errors:
            PatternSet().with_patterns(["(", "fine", "[z-a]"])
        assert set(errors.value.reasons) == {"(", "[z-a]"}

    @given(st.lists(st.sets(st.integers(0, 40)), min_size=1, max_size=6))
    def test_any_history_of_changes_finds_the_same(self, history: list[set[int]]) -> None:
        patterns = PatternSet()
        for wanted in history:
            patterns = patterns.with_patterns([rf"\bw{index}\b" for index in sorted(wanted)])
        text = " ".join(f"w{index}" for index in range(41))
        assert found(patterns, text) >= {rf"\bw{index}\b" for index in history[-1]}
