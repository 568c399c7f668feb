"""Other readings of a text: nothing hides in how it is written, and all is found in its place."""

# ruff: noqa: RUF001 - characters that look like others are what is tested here

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp import catalog
from pdp.detect.validators import VALIDATORS
from pdp.engine.scan import PatternSet, scan
from pdp.engine.text.characters import FOLDS, LEFT_OUT, MARKS, TAGS
from pdp.engine.text.locations import Segment, located
from pdp.engine.text.normalization import readings

CARD = "4111111111111111"
DETECTOR = catalog.detectors()["credit_card"]
SHARDS = PatternSet().with_patterns(DETECTOR.patterns).shards

FULL_WIDTH = {ord(digit): chr(0xFEE0 + ord(digit)) for digit in "0123456789"}

invisible = st.one_of(
    st.sampled_from(sorted(map(chr, LEFT_OUT - {0x3164, 0xFFA0}))),
    st.characters(categories=["Mn", "Me", "Cf"]),
    st.sampled_from(list(map(chr, TAGS))),
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
    return [reading.text for reading in readings(segment(text))]


def cards(text: str) -> list[tuple[int, int, str]]:
    found = scan(SHARDS, text, None, VALIDATORS).entities(DETECTOR)
    return [(each.where.start, each.where.end, each.where.value) for each in found]


class TestWhatIsRead:
    @pytest.mark.parametrize(
        "text",
        [
            *("", "plain text, 100 % of it", "a * b / c", "naïve 你好 мир 😀", "5 % 3"),
            *("हिन्दी में लिखा, 100 %", "حَرَكَات (ok)", "ภาษาไทยที่นี่ 5", "עִבְרִית"),  # their own marks
        ],
    )
    def test_what_hides_nothing_is_read_once(self, text: str) -> None:
        assert texts(text) == [text]

    @pytest.mark.parametrize(
        ("text", "reading"),
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
    def test_what_is_written_another_way_is_read_plainly(self, text: str, reading: str) -> None:
        assert texts(text)[-1] == reading

    @pytest.mark.parametrize("text", ["src/*.py", "/* no end", "50% off", "%zz", "*/ */ 1"])
    def test_what_is_not_encoded_is_not_decoded(self, text: str) -> None:
        assert all(len(reading) == len(text) for reading in texts(text))


class TestPlaces:
    @given(encoded_text)
    def test_every_character_of_a_reading_comes_from_the_text_in_order(self, text: str) -> None:
        for reading in readings(segment(text)):
            end = 0
            for index in range(len(reading.text)):
                where = located(reading, index, index + 1)
                assert where.segment.text == text
                assert end <= where.start < where.end <= len(text)
                end = where.end

    @given(encoded_text, st.data())
    def test_a_span_covers_what_its_characters_cover(self, text: str, data: st.DataObject) -> None:
        for reading in readings(segment(text)):
            length = len(reading.text)
            start = data.draw(st.integers(0, length))
            end = data.draw(st.integers(start, length))
            where = located(reading, start, end)
            if start == end:
                assert where.start == where.end
            else:
                assert where.start == located(reading, start, start + 1).start
                assert where.end == located(reading, end - 1, end).end

    @given(surrounding, surrounding, st.lists(invisible, min_size=15, max_size=15))
    def test_a_card_is_found_behind_invisible_characters(
        self, before: str, after: str, between: list[str]
    ) -> None:
        hidden = "".join(digit + gap for digit, gap in zip(CARD, [*between, ""], strict=True))
        text = f"{before} {hidden} {after}"
        start = len(before) + 1
        found = cards(text)
        assert [each[:2] for each in found] == [(start, start + len(hidden))]

    @given(surrounding, surrounding)
    def test_spans_count_code_points_behind_any_script(self, before: str, after: str) -> None:
        start = len(before) + 1
        assert cards(f"{before} {CARD} {after}") == [(start, start + 16, CARD)]

    @given(surrounding, surrounding)
    def test_a_full_width_card_is_found_where_it_stands(self, before: str, after: str) -> None:
        wide = CARD.translate(FULL_WIDTH)
        start = len(before) + 1
        assert cards(f"{before} {wide} {after}") == [(start, start + 16, wide)]

    @given(surrounding)
    def test_an_encoded_card_is_found_with_its_escapes(self, before: str) -> None:
        encoded = "".join(f"%{ord(digit):02x}" for digit in CARD)
        start = len(before) + 1
        assert cards(f"{before} {encoded} ") == [(start, start + len(encoded), encoded)]

    def test_the_marks_on_the_last_digit_belong_to_it(self) -> None:
        keycaps = "".join(f"{digit}\ufe0f\u20e3" for digit in CARD)
        assert cards(f"pay {keycaps}!") == [(4, 4 + len(keycaps), keycaps)]

    def test_an_invisible_character_behind_does_not(self) -> None:
        assert cards(f"pay {CARD}\u200b.") == [(4, 20, CARD)]

    def test_what_stands_plainly_is_found_once(self) -> None:
        text = f"{CARD} and \u200b {CARD.translate(FULL_WIDTH)}"
        assert [each[2] for each in cards(text)] == [CARD, CARD.translate(FULL_WIDTH)]

    def test_arguments_are_read_as_the_text_is(self) -> None:
        arguments = {"note": {"card": CARD.translate(FULL_WIDTH)}}
        (found,) = scan(SHARDS, "", arguments, VALIDATORS).entities(DETECTOR)
        assert (found.where.segment.path, found.where.start, found.where.end) == (
            "/note/card",
            0,
            16,
        )


class TestBounds:
    @given(st.text(alphabet="abc' =1", max_size=40))
    def test_what_was_quoted_is_read(self, text: str) -> None:
        assert texts(quote(text))[-1] == text

    def test_no_character_is_both_folded_and_left_out(self) -> None:
        assert not FOLDS.keys() & (LEFT_OUT | MARKS)

    @pytest.mark.parametrize("unit", ["/*", "%41", "/*%41", "\u200b", "１", "+%2", "*/", "—", "%"])
    def test_a_long_text_is_read(self, unit: str) -> None:
        """What begins and never ends is looked for once, not from every place anew."""
        text = unit * 100_000
        assert all(len(reading.text) <= len(text) for reading in readings(segment(text)))
