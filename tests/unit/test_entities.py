"""Entities: values, confidence, context words and overlaps."""

from __future__ import annotations

from pdp.domain.detector import PII, EntityDetector
from pdp.engine.dlp.context import FEW_VALUES
from pdp.engine.dlp.entities import LONG_TEXT, MAX_FINDINGS
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan

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
PATTERN_SETS = (PatternSet().with_patterns(DETECTOR.patterns),)


def even(value: str) -> bool:
    return int(value[-1]) % 2 == 0


def find(text: str) -> list[tuple[str, float]]:
    entities = scan(PATTERN_SETS, text, None, {"even": even}).entities(DETECTOR)
    return [(each.location.value, each.confidence) for each in entities]


def test_a_finding_has_the_confidence_of_its_pattern() -> None:
    assert find("B-1234") == [("B-1234", 0.8)]
    assert find("1234") == [("1234", 0.4)]


def test_a_context_word_near_it_raises_the_confidence() -> None:
    assert find("the entry-pass is 1234") == [("1234", 0.9)]
    assert find("1234 is the Badge") == [("1234", 0.9)]
    assert find("my badges: 1234") == [("1234", 0.4)], "only whole words count"
    assert find("badge" + " x" * 40 + " 1234") == [("1234", 0.4)], "only near words count"


def test_a_word_against_it_halves_the_confidence_without_a_context_word() -> None:
    assert find("in the year 1234") == [("1234", 0.2)]
    assert find("badge of the year 1234") == [("1234", 0.9)]


def test_the_fraction_of_a_number_has_half_the_confidence() -> None:
    assert find("0.1234") == [("1234", 0.2)]
    assert find("badge 0.1234") == [("1234", 0.9)]
    assert find("no.1234") == [("1234", 0.4)]


def test_a_label_is_not_a_part_of_the_value() -> None:
    text = "Badge 1234"
    (entity,) = scan(PATTERN_SETS, text, None, {"even": even}).entities(DETECTOR)
    assert (entity.location.start, entity.location.end, entity.confidence) == (6, 10, 0.9)


def test_invalid_values_and_examples_are_not_findings() -> None:
    assert find("B-1235 B-0000") == [("0000", 0.4)]


def test_a_last_group_that_makes_the_number_invalid_is_removed() -> None:
    assert find("1234 56 77") == [("1234 56", 0.4)]


def test_of_overlapping_findings_the_one_of_highest_confidence_counts() -> None:
    assert find("B-1234 56") == [("B-1234", 0.8)]


def test_the_pattern_of_highest_confidence_counts_in_any_order() -> None:
    patterns = (r"\d{4}", r"\b\d{4}\b")
    weak = {r"\d{4}": 0.2}
    detector = EntityDetector("d", "D", "D", PII, patterns, confidence=0.8, weak=weak)
    sets = (PatternSet().with_patterns(patterns),)
    (entity,) = scan(sets, "1234", None, {}).entities(detector)
    assert entity.confidence == 0.8


def test_findings_are_in_the_order_of_the_text() -> None:
    assert find("4444 B-2222 B-8888 6666") == [
        ("4444", 0.4),
        ("B-2222", 0.8),
        ("B-8888", 0.8),
        ("6666", 0.4),
    ]


def test_findings_in_different_strings_do_not_overlap() -> None:
    arguments = {"a": "B-1234", "b": "B-1234"}
    entities = scan(PATTERN_SETS, "B-1234", arguments, {"even": even}).entities(DETECTOR)
    assert [each.location.segment.path for each in entities] == [None, "/a", "/b"]


def test_entities_are_computed_once() -> None:
    findings = scan(PATTERN_SETS, "B-1234", None, {"even": even})
    assert findings.entities(DETECTOR) is findings.entities(DETECTOR)
    assert scan(PATTERN_SETS, "nothing", None, {}).entities(DETECTOR) == ()


def test_too_many_findings_become_one_for_the_whole_text() -> None:
    many = "B-2222 " * (MAX_FINDINGS + 1)
    (entity,) = scan(PATTERN_SETS, many, None, {"even": even}).entities(DETECTOR)
    assert (entity.location.start, entity.location.end, entity.confidence) == (0, len(many), 0.9)
    assert (
        len(scan(PATTERN_SETS, many[7:], None, {"even": even}).entities(DETECTOR)) == MAX_FINDINGS
    )


def test_findings_of_low_confidence_do_not_count_as_too_many() -> None:
    many = "1234; " * (MAX_FINDINGS + 5)
    entities = scan(PATTERN_SETS, many + " badge 4444", None, {"even": even}).entities(DETECTOR)
    assert len(entities) == MAX_FINDINGS + 6
    assert entities[-1].location.value == "4444"


def test_a_long_text_needs_context_words_for_low_confidence() -> None:
    many = "1234; " * (LONG_TEXT // 6 + 1)
    entities = scan(PATTERN_SETS, many + " badge 4444", None, {"even": even}).entities(DETECTOR)
    # Some of the numbers before the word are near enough to it.
    assert 1 <= len(entities) < 20
    assert {each.confidence for each in entities} == {0.9}
    assert entities[-1].location.value == "4444"


NUMBERS = EntityDetector(
    id="account",
    name="Account",
    entity_type="ACCOUNT",
    category=PII,
    patterns=(r"\b\d{4}\b", r"\b\d{3}\b", r"\b\d{9,12}\b"),
    confidence=0.8,
    context_confidence=0.9,
    context=("account", "date of birth", "\u53e3\u5ea7"),
    against=("order",),
    weak={r"\b\d{4}\b": 0.05, r"\b\d{3}\b": 0.3},
)
NUMBER_SETS = (PatternSet().with_patterns(NUMBERS.patterns),)


def find_number(text: str) -> list[tuple[str, float]]:
    entities = scan(NUMBER_SETS, text, None, {}).entities(NUMBERS)
    return [(each.location.value, each.confidence) for each in entities]


def test_the_words_of_a_name_in_code_are_context_words() -> None:
    assert find_number("bankAccount: 1234") == [("1234", 0.9)]
    assert find_number("userDateOfBirth=1234") == [("1234", 0.9)]
    assert find_number("ACCOUNTNo 1234") == [("1234", 0.9)]
    assert find_number("accounting 1234") == []


def test_a_word_of_a_language_without_spaces_counts_inside_another() -> None:
    assert find_number("\u79c1\u306e\u53e3\u5ea7\u756a\u53f7\u306f1234") == [("1234", 0.9)]
    assert find_number("\u79c1\u306e\u756a\u53f7\u306f1234") == []


def test_a_match_that_needs_context_is_none_without_it() -> None:
    near, far = "account" + " " * 57 + "1234", "account" + " " * 58 + "1234"
    assert find_number(near) == [("1234", 0.9)], "64 characters before"
    assert find_number(far) == [], "65 characters before"
    assert find_number("1234" + " " * 25 + "account") == [("1234", 0.9)], "32 characters after"
    assert find_number("1234" + " " * 26 + "account") == [], "33 characters after"
    assert find_number("1234 " * 5) == []
    assert find_number("\u0130 account 1234") == [("1234", 0.9)], "a lower case of two characters"


def test_the_word_directly_before_an_ambiguous_match_decides() -> None:
    assert find_number("account, order 123") == [("123", 0.15)]
    assert find_number("order, account 123") == [("123", 0.9)]


def test_a_long_fraction_is_no_other_number() -> None:
    assert find_number("account 0.12345678") == []
    assert find_number("account 0.123456789") == [("123456789", 0.4)]
    assert find_number("account 123456789") == [("123456789", 0.9)]


def test_a_context_word_is_found_in_a_long_table_of_numbers() -> None:
    few, many = "1234\n" * (FEW_VALUES - 1), "1234\n" * (FEW_VALUES + 1)
    for table in (few, many, many * 2):
        assert find_number(table) == []
        text = table + " " * 40
        assert find_number(text + "account 5678") == [("5678", 0.9)]
        assert find_number(text + "\u0130 ACCOUNT 5678") == [("5678", 0.9)]
