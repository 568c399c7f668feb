"""Normalization: spelling hides no value, and findings have positions in the original text."""

# ruff: noqa: RUF001 - look-alike characters are what this module tests

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.characters import (
    ASCII_FORMS,
    COMBINING_MARKS,
    INVISIBLE_CHARACTERS,
    TAG_CHARACTERS,
)
from pdp.engine.text.locations import Segment, locate
from pdp.engine.text.normalization import normalize

CARD = "4111111111111111"
DETECTOR = catalog.detectors()["credit_card"]
PATTERN_SETS = (PatternSet().with_patterns(DETECTOR.patterns),)

FULL_WIDTH = {ord(digit): chr(0xFEE0 + ord(digit)) for digit in "0123456789"}

invisible = st.one_of(
    st.sampled_from(sorted(map(chr, INVISIBLE_CHARACTERS - {0x3164, 0xFFA0}))),
    st.characters(categories=["Mn", "Me", "Cf"]),
    st.sampled_from(list(map(chr, TAG_CHARACTERS))),
)
surrounding = st.text(
    alphabet=st.sampled_from("abc xyz.,;é你好мир😀👩‍🚀\u0301\u200b\ufe0f１２\n"), max_size=30
)
any_text = st.text(
    alphabet=st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("%2/*!+ 7\u200b\u0301１－\u064b\U000e0041"),
    )
)
encoded_text = st.lists(
    st.one_of(any_text, st.sampled_from(("１", "\u200b", "4\u064b", "\u0301", "é")).map(quote))
).map("".join)


def segment(text: str) -> Segment:
    return Segment(None, text, text.encode())


def texts(text: str) -> list[str]:
    return [variant.text for variant in normalize(segment(text))]


def cards(text: str) -> list[tuple[int, int, str]]:
    findings = scan(PATTERN_SETS, text, None, VALIDATORS).entities(DETECTOR)
    return [(each.location.start, each.location.end, each.location.value) for each in findings]


class TestVariants:
    @pytest.mark.parametrize(
        "text",
        [
            *("", "plain text, 100 % of it", "a * b / c", "naïve 你好 мир 😀", "5 % 3"),
            *("हिन्दी में लिखा, 100 %", "حَرَكَات (ok)", "ภาษาไทยที่นี่ 5", "עִבְרִית"),  # marks of the script
        ],
    )
    def test_a_text_that_hides_nothing_has_no_variants(self, text: str) -> None:
        assert texts(text) == [text]

    @pytest.mark.parametrize(
        ("text", "variant"),
        [
            ("４１１１", "4111"),
            ("4\u200b1\u20601\ufeff1", "4111"),
            ("٤١١١", "4111"),
            ("𝟒𝟏𝟏𝟏", "4111"),
            ("4️⃣1️⃣1️⃣", "411"),
            ("1̶2̶3̶", "123"),
            ("4111\u00a01111\u20131111", "4111 1111-1111"),
            ("\U000e0053\U000e0053\U000e004e", "SSN"),
            ("ＵＮＩＯＮ　ＳＥＬＥＣＴ", "UNION SELECT"),
            ("%27%20or%201%3D1", "' or 1=1"),
            ("%2527", "'"),
            ("1'+or+1%3D1", "1' or 1=1"),
            ("%EF%BC%94%EF%BC%91", "41"),
            ("4%E2%80%8B1", "41"),
            ("%25EF%25BC%2594", "4"),
            ("4\u064b1\u05b0", "41"),
            ("4\u200b\u0e341", "41"),
            ("𑁪𑁧", "41"),
            ("4111⸺1111〰1111", "4111-1111-1111"),
            ("UNION/**/SELECT/* a */1", "UNION SELECT 1"),
            ("/*!50000UNION*/ SELECT", " UNION  SELECT"),
            ("caf%C3%A9 %FF", "café ÿ"),
            ("％２７", "'"),
        ],
    )
    def test_the_last_variant_is_the_plain_spelling(self, text: str, variant: str) -> None:
        assert texts(text)[-1] == variant

    @pytest.mark.parametrize("text", ["src/*.py", "/* no end", "50% off", "%zz", "*/ */ 1"])
    def test_text_that_is_not_encoded_is_not_decoded(self, text: str) -> None:
        assert all(len(variant) == len(text) for variant in texts(text))


class TestLocations:
    @given(encoded_text)
    def test_each_character_of_a_variant_has_a_location_in_order(self, text: str) -> None:
        for variant in normalize(segment(text)):
            start = end = 0
            for index in range(len(variant.text)):
                (where,) = locate(variant, index, index + 1)
                assert where.segment.text == text
                assert where.start < where.end <= len(text)
                # The characters that one escape stands for have one place together.
                assert end <= where.start or (start, end) == (where.start, where.end)
                start, end = where.start, where.end

    @given(encoded_text, st.data())
    def test_a_span_covers_the_locations_of_its_characters(
        self, text: str, data: st.DataObject
    ) -> None:
        for variant in normalize(segment(text)):
            length = len(variant.text)
            start = data.draw(st.integers(0, length))
            end = data.draw(st.integers(start, length))
            (where,) = locate(variant, start, end)
            if start == end:
                assert where.start == where.end
            else:
                assert where.start == locate(variant, start, start + 1)[0].start
                assert where.end == locate(variant, end - 1, end)[0].end

    @given(surrounding, surrounding, st.lists(invisible, min_size=15, max_size=15))
    def test_a_card_with_invisible_characters_is_found(
        self, before: str, after: str, between: list[str]
    ) -> None:
        hidden = "".join(digit + gap for digit, gap in zip(CARD, [*between, ""], strict=True))
        text = f"{before} {hidden} {after}"
        start = len(before) + 1
        assert [each[:2] for each in cards(text)] == [(start, start + len(hidden))]

    @given(surrounding, surrounding)
    def test_spans_count_code_points_after_any_script(self, before: str, after: str) -> None:
        start = len(before) + 1
        assert cards(f"{before} {CARD} {after}") == [(start, start + 16, CARD)]

    @given(surrounding, surrounding)
    def test_a_full_width_card_is_found_at_its_position(self, before: str, after: str) -> None:
        wide = CARD.translate(FULL_WIDTH)
        start = len(before) + 1
        assert cards(f"{before} {wide} {after}") == [(start, start + 16, wide)]

    @given(surrounding)
    def test_the_span_of_an_encoded_card_includes_its_escapes(self, before: str) -> None:
        encoded = "".join(f"%{ord(digit):02x}" for digit in CARD)
        start = len(before) + 1
        assert cards(f"{before} {encoded} ") == [(start, start + len(encoded), encoded)]

    def test_the_span_includes_the_marks_on_the_last_digit(self) -> None:
        keycaps = "".join(f"{digit}\ufe0f\u20e3" for digit in CARD)
        assert cards(f"pay {keycaps}!") == [(4, 4 + len(keycaps), keycaps)]

    def test_the_span_excludes_an_invisible_character_after_it(self) -> None:
        assert cards(f"pay {CARD}\u200b.") == [(4, 20, CARD)]

    def test_a_value_in_plain_text_is_found_once(self) -> None:
        text = f"{CARD} and \u200b {CARD.translate(FULL_WIDTH)}"
        assert [each[2] for each in cards(text)] == [CARD, CARD.translate(FULL_WIDTH)]

    def test_arguments_are_normalized_like_the_text(self) -> None:
        arguments = {"note": {"card": CARD.translate(FULL_WIDTH)}}
        (finding,) = scan(PATTERN_SETS, "", arguments, VALIDATORS).entities(DETECTOR)
        where = finding.location
        assert (where.segment.path, where.start, where.end) == ("/note/card", 0, 16)


class TestBounds:
    @given(st.text(alphabet="abc' =1", max_size=40))
    def test_a_quoted_text_is_decoded(self, text: str) -> None:
        assert text in texts(quote(text))

    def test_no_character_is_both_folded_and_removed(self) -> None:
        assert not ASCII_FORMS.keys() & (INVISIBLE_CHARACTERS | COMBINING_MARKS)

    @pytest.mark.parametrize("unit", ["/*", "%41", "/*%41", "\u200b", "１", "+%2", "*/", "—", "%"])
    def test_normalization_takes_linear_time(self, unit: str) -> None:
        """The search for the end of a comment or word is not repeated from each position."""
        text = unit * 100_000
        assert all(len(variant.text) <= len(text) for variant in normalize(segment(text)))
