"""The scan: one pass finds the same as single searches; lack of memory is never "no match"."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.pattern_set import MAX_SHARD_PATTERNS, PatternErrors, PatternSet
from pdp.engine.scan import Findings, ScanMemoryExhausted, scan
from pdp.engine.shards import Shard
from pdp.engine.text.locations import Location, Segment, strings_in
from pdp.engine.text.patterns import CompiledPattern, PatternDetector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.engine.work import WorkBudget


def sources(count: int, prefix: str = "word") -> list[str]:
    return [rf"\b{prefix}{index}\b" for index in range(count)]


def hits(patterns: PatternSet, text: str) -> set[str]:
    return set(scan((patterns,), text, None, {}).hits)


def vars_of(work: WorkBudget) -> tuple[int, ...]:
    return (work.values, work.matches, work.finds, work.located_bytes)


class TestScan:
    def test_only_the_patterns_that_occur_are_hits(self) -> None:
        patterns = PatternSet().with_patterns(sources(300))
        assert hits(patterns, "word7 and word299 but not word300") == {
            r"\bword7\b",
            r"\bword299\b",
        }

    def test_anchors_match_in_each_string_of_the_arguments(self) -> None:
        patterns = PatternSet().with_patterns(["^drop", "end$"])
        findings = scan((patterns,), "x", {"a": "drop it", "b": ["the end", "drop"]}, {})
        locations = findings.all(PatternDetector("^drop"))
        assert [each.segment.path for each in locations] == ["/a", "/b/1"]
        assert [each.segment.path for each in findings.all(PatternDetector("end$"))] == ["/b/0"]

    def test_a_match_does_not_extend_into_the_next_string(self) -> None:
        patterns = PatternSet().with_patterns([r"(?s)alpha.*omega"])
        assert not scan((patterns,), "alpha", {"a": "omega"}, {}).hits

    def test_only_matches_that_the_validator_accepts_count(self) -> None:
        patterns = PatternSet().with_patterns([r"\d+"])
        findings = scan((patterns,), "11 22 31", None, {"odd": lambda value: int(value) % 2 > 0})
        odd = findings.all(PatternDetector(r"\d+", "odd"))
        assert [each.value for each in odd] == ["11", "31"]
        first = findings.first(PatternDetector(r"\d+"))
        assert first is not None
        assert first.value == "11"

    def test_no_match_counts_if_the_validator_accepts_none(self) -> None:
        patterns = PatternSet().with_patterns([r"\d+"])
        findings = scan((patterns,), "22", None, {"never": lambda value: False})
        assert findings.first(PatternDetector(r"\d+", "never")) is None

    @given(
        st.sampled_from(["a", "a+", "a*", "(?P<value>a)b?", r"\ba", "b?$"]),
        st.text("ab é", max_size=10),
        st.lists(st.text("ab é", max_size=6), max_size=3),
        st.sampled_from(["", "short"]),
    )
    def test_the_first_location_changes_nothing_for_those_who_want_all(
        self, pattern: str, text: str, values: list[str], validator: str
    ) -> None:
        """Neither the matches nor the counts of the work."""
        sets = (PatternSet().with_patterns([pattern]),)
        validators = {"short": lambda value: len(value) < 2}
        detector = PatternDetector(pattern, validator)
        found = scan(sets, text, {"q": values}, validators).hits
        plain, asked = (Findings(found, validators) for _ in range(2))
        once = next(plain.locations(detector), None)
        assert asked.first(detector) == once
        assert vars_of(asked.work) == vars_of(plain.work)
        assert asked.first(detector) == next(plain.locations(detector), None)
        assert list(asked.matches(pattern)) == list(plain.matches(pattern))
        assert asked.all(detector) == plain.all(detector)
        assert vars_of(asked.work) == vars_of(plain.work)

    def test_the_first_location_is_the_known_one_of_a_record(self) -> None:
        """Also if the matches of the pattern that stands for it were asked for before."""
        segment = Segment(None, "one two", b"one two")
        place = Location(segment, 4, 7)

        class Recorded(Findings):
            def locations(self, detector: PatternDetector) -> Iterator[Location]:
                yield place

        stand_in = SimpleNamespace(matches=lambda *_: iter([(0, 7, 0, 7)]))
        hits: dict[str, Any] = {"two": (stand_in, (segment,))}
        findings = Recorded(hits, {})
        assert findings.first(PatternDetector("two")) == place
        assert [match[1:3] for match in findings.matches("two")] == [(0, 7)]
        assert findings.first(PatternDetector("two")) == place

    def test_json_pointers_are_escaped(self) -> None:
        paths = [segment.path for segment in strings_in({"a/b": {"c~d": ["x", 1, None, "y"]}})]
        assert paths == ["/a~1b/c~0d/0", "/a~1b/c~0d/3"]

    def test_tuples_are_searched_like_lists(self) -> None:
        assert [segment.path for segment in strings_in({"a": ("x", ("y",))})] == ["/a/0", "/a/1/0"]

    @given(
        st.lists(st.text("ab", min_size=1, max_size=4), max_size=40, unique=True),
        st.text("abc", max_size=60),
    )
    def test_one_pass_finds_the_same_as_single_searches(self, words: list[str], text: str) -> None:
        patterns = PatternSet().with_patterns(words)
        one_by_one = {word for word in words if text and re2.search(word, text)}
        assert hits(patterns, text) == one_by_one

    def test_the_index_of_a_long_variant_is_not_used_for_a_later_one(self) -> None:
        """A variant without hits is freed, so a later one can have the same `id`."""
        sets = (PatternSet().with_patterns(["x$", "one", "two", "three"]),)
        long = (
            "%41" + "." * 25_000 + "x" * 200 + "." * 10_000
        )  # "x$" matches if a chunk ends within the x's
        later = {f"c{index}": "z%78" for index in range(50)}
        findings = scan(sets, "", {"a": "one two three", "b": long, **later}, {})
        paths = [each.segment.path for each in findings.all(PatternDetector("x$"))]
        assert paths == [f"/{key}" for key in later]


class TestGroups:
    def test_a_shard_has_patterns_of_one_group(self) -> None:
        groups = dict.fromkeys(sources(40, "sql"), "sql") | dict.fromkeys(sources(3, "rm"), "rm")
        patterns = PatternSet().with_patterns([*sources(40), *groups], groups)
        more = patterns.with_patterns([*sources(45), *groups, "drop"], {**groups, "drop": "sql"})
        for each in (patterns, more):
            for shard in each.shards:
                assert {
                    groups.get(source, "") for source in shard.by_source if source != "drop"
                } <= {shard.group}
        assert [each.group for each in more.shards if "drop" in each.by_source] == ["sql"]

    def test_groups_change_no_result(self) -> None:
        groups = {r"\bword7\b": "a", r"\bword8\b": "b"}
        patterns = PatternSet().with_patterns(sources(20), groups)
        assert hits(patterns, "word7 word8 word9") == set(groups) | {r"\bword9\b"}


class TestMemory:
    def test_an_empty_result_without_the_canary_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """RE2 returns no index at all if its automaton runs out of memory."""
        exhausted = SimpleNamespace(Match=lambda data: [])
        monkeypatch.setattr(re2.Set, "Compile", lambda self: setattr(self, "_set", exhausted))
        shard = Shard([CompiledPattern("x")])
        with pytest.raises(ScanMemoryExhausted):
            shard.search(b"x")
        with pytest.raises(ScanMemoryExhausted):
            shard.may_match(b"x")
        with pytest.raises(ScanMemoryExhausted):
            scan([PatternSet((shard,))], "x", None, {})

    def test_a_result_with_only_the_canary_is_no_match(self) -> None:
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

    def test_a_set_that_grew_one_by_one_has_few_shards(self) -> None:
        patterns = PatternSet()
        current: list[str] = []
        for source in sources(600):
            current.append(source)
            patterns = patterns.with_patterns(current)
        assert len(patterns.shards) <= 10
        assert hits(patterns, "word0 word599") == {r"\bword0\b", r"\bword599\b"}

    def test_no_shard_is_larger_than_the_maximum(self) -> None:
        patterns = PatternSet().with_patterns(sources(2 * MAX_SHARD_PATTERNS + 5))
        assert max(len(shard.patterns) for shard in patterns.shards) <= MAX_SHARD_PATTERNS

    def test_a_shard_that_would_exceed_the_maximum_is_not_merged(self) -> None:
        some = sources(MAX_SHARD_PATTERNS - 48)
        first = PatternSet().with_patterns(some)
        patterns = first.with_patterns([*some, *sources(1500, "more")])
        assert [len(shard.patterns) for shard in patterns.shards] == [len(some), 1500]
        assert patterns.shards[0] is first.shards[0]

    def test_patterns_that_are_too_large_for_one_shard_get_several(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pdp.engine.shards.SHARD_BASE_BYTES", 64 << 10)
        monkeypatch.setattr("pdp.engine.shards.SHARD_PATTERN_BYTES", 0)
        monkeypatch.setattr("pdp.engine.shards.SHARD_CHARACTER_BYTES", 0)
        large = [f"{letter}{{400}}z" for letter in "abcdefgh"]
        patterns = PatternSet().with_patterns(large)
        assert len(patterns.shards) > 1
        assert set(patterns.compiled) == set(large)
        assert hits(patterns, "c" * 400 + "z") == {"c{400}z"}

    def test_the_same_patterns_return_the_same_set(self) -> None:
        patterns = PatternSet().with_patterns(sources(5))
        assert patterns.with_patterns(reversed(sources(5))) is patterns

    def test_a_shard_is_rebuilt_if_most_of_its_patterns_are_removed(self) -> None:
        patterns = PatternSet().with_patterns(sources(10))
        assert len(patterns.with_patterns(sources(6)).compiled) == 10
        assert len(patterns.with_patterns(sources(4)).compiled) == 4

    def test_the_error_names_all_patterns_that_do_not_compile(self) -> None:
        with pytest.raises(PatternErrors) as errors:
            PatternSet().with_patterns(["(", "fine", "[z-a]"])
        assert set(errors.value.reasons) == {"(", "[z-a]"}

    @given(st.lists(st.sets(st.integers(0, 40)), min_size=1, max_size=6))
    def test_the_history_of_a_set_does_not_change_its_results(
        self, history: list[set[int]]
    ) -> None:
        patterns = PatternSet()
        for indexes in history:
            patterns = patterns.with_patterns([rf"\bw{index}\b" for index in sorted(indexes)])
        text = " ".join(f"w{index}" for index in range(41))
        assert hits(patterns, text) >= {rf"\bw{index}\b" for index in history[-1]}
