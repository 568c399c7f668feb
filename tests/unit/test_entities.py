"""From places to entities: values, confidence and what overlaps."""

from __future__ import annotations

from pdp.domain.detector import PII, EntityDetector
from pdp.engine.dlp.entities import LONG_TEXT, MAX_FINDINGS
from pdp.engine.scan import PatternSet, scan

DETECTOR = EntityDetector(
    id="badge",
    name="Badge",
    entity_type="BADGE",
    category=PII,
    patterns=(r"\bB-\d{4}\b", r"(?i)badge\s+(?P<value>\d{4})", r"\b\d{4}(?: \d{2}){0,2}\b"),
    validator="even",
    confidence=0.8,
    context_confidence=0.9,
    context=("badge", "entry pass"),
    against=("year",),
    weak={r"\b\d{4}(?: \d{2}){0,2}\b": 0.4},
    allowlist=frozenset({"b-0000"}),
)
SHARDS = PatternSet().with_patterns(DETECTOR.patterns).shards


def even(value: str) -> bool:
    return int(value[-1]) % 2 == 0


def found(text: str) -> list[tuple[str, float]]:
    entities = scan(SHARDS, text, None, {"even": even}).entities(DETECTOR)
    return [(each.where.value, each.confidence) for each in entities]


def test_a_find_has_the_confidence_of_its_pattern() -> None:
    assert found("B-1234") == [("B-1234", 0.8)]
    assert found("1234") == [("1234", 0.4)]


def test_a_context_word_near_makes_it_surer() -> None:
    assert found("the entry-pass is 1234") == [("1234", 0.9)]
    assert found("1234 is the Badge") == [("1234", 0.9)]
    assert found("my badges: 1234") == [("1234", 0.4)], "a word is a whole word"
    assert found("badge" + " x" * 40 + " 1234") == [("1234", 0.4)], "and near"


def test_a_word_against_it_halves_it_where_no_context_word_is_near() -> None:
    assert found("in the year 1234") == [("1234", 0.2)]
    assert found("badge of the year 1234") == [("1234", 0.9)]


def test_what_follows_the_point_of_a_number_is_less_likely() -> None:
    assert found("0.1234") == [("1234", 0.2)]
    assert found("badge 0.1234") == [("1234", 0.9)]
    assert found("no.1234") == [("1234", 0.4)]


def test_a_label_is_not_of_the_value() -> None:
    text = "Badge 1234"
    (entity,) = scan(SHARDS, text, None, {"even": even}).entities(DETECTOR)
    assert (entity.where.start, entity.where.end, entity.confidence) == (6, 10, 0.9)


def test_values_that_fail_the_check_or_are_examples_are_none() -> None:
    assert found("B-1235 B-0000") == [("0000", 0.4)]


def test_a_last_group_that_spoils_the_number_is_left_out() -> None:
    assert found("1234 56 77") == [("1234 56", 0.4)]


def test_of_finds_that_overlap_the_surest_counts() -> None:
    assert found("B-1234 56") == [("B-1234", 0.8)]


def test_a_surer_pattern_counts_whatever_the_order() -> None:
    patterns = (r"\d{4}", r"\b\d{4}\b")
    weak = {r"\d{4}": 0.2}
    detector = EntityDetector("d", "D", "D", PII, patterns, confidence=0.8, weak=weak)
    shards = PatternSet().with_patterns(patterns).shards
    (entity,) = scan(shards, "1234", None, {}).entities(detector)
    assert entity.confidence == 0.8


def test_finds_are_in_the_order_of_the_text() -> None:
    assert found("4444 B-2222 B-8888 6666") == [
        ("4444", 0.4),
        ("B-2222", 0.8),
        ("B-8888", 0.8),
        ("6666", 0.4),
    ]


def test_finds_in_different_strings_do_not_overlap() -> None:
    arguments = {"a": "B-1234", "b": "B-1234"}
    entities = scan(SHARDS, "B-1234", arguments, {"even": even}).entities(DETECTOR)
    assert [each.where.segment.path for each in entities] == [None, "/a", "/b"]


def test_what_was_found_is_worked_out_once() -> None:
    findings = scan(SHARDS, "B-1234", None, {"even": even})
    assert findings.entities(DETECTOR) is findings.entities(DETECTOR)
    assert scan(SHARDS, "nothing", None, {}).entities(DETECTOR) == ()


def test_very_many_finds_are_one_the_whole_text() -> None:
    many = "B-2222 " * (MAX_FINDINGS + 1)
    (entity,) = scan(SHARDS, many, None, {"even": even}).entities(DETECTOR)
    assert (entity.where.start, entity.where.end, entity.confidence) == (0, len(many), 0.9)
    assert len(scan(SHARDS, many[7:], None, {"even": even}).entities(DETECTOR)) == MAX_FINDINGS


def test_very_many_finds_of_little_confidence_stay_apart() -> None:
    many = "1234; " * (MAX_FINDINGS + 5)
    entities = scan(SHARDS, many + " badge 4444", None, {"even": even}).entities(DETECTOR)
    assert len(entities) == MAX_FINDINGS + 6
    assert entities[-1].where.value == "4444"


def test_in_a_long_text_little_confidence_is_passed_over() -> None:
    many = "1234; " * (LONG_TEXT // 6 + 1)
    entities = scan(SHARDS, many + " badge 4444", None, {"even": even}).entities(DETECTOR)
    # Of the numbers before the word, some stand near enough to it to be spoken of.
    assert 1 <= len(entities) < 20
    assert {each.confidence for each in entities} == {0.9}
    assert entities[-1].where.value == "4444"
