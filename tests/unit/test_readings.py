"""Readings of structures: JSON in strings, labels, command lines, batches; redactions in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.pattern_set import PatternSet
from pdp.engine.scan import scan
from pdp.engine.text.json_text import JsonSource, read_tokens, read_value
from pdp.engine.text.locations import Reading, Segment, locate
from pdp.engine.text.outline import Outline
from pdp.engine.text.readings import TextBatch, _ArgumentSource, readings
from pdp.engine.text.splices import Splice, apply, fit
from pdp.engine.work import WorkBudget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

words = st.sampled_from(
    ["rm", "-rf", "/", "a\nb", '"', "\\", "é", "😀", "", "name", "value", "headers", "x" * 20]
)
texts = st.one_of(words, st.text(max_size=12))
scalars = st.one_of(
    texts, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
)
json_values = st.recursive(
    scalars,
    lambda children: st.one_of(
        st.lists(children, max_size=4), st.dictionaries(texts, children, max_size=4)
    ),
    max_leaves=16,
)
objects = st.dictionaries(texts, json_values, min_size=1, max_size=5)
containers = st.one_of(objects, st.lists(json_values, max_size=5))


def segments(text: str, arguments: Mapping[str, Any] | None = None) -> Iterator[Segment]:
    """Yields every reading of a request, one by one."""
    for each in readings(text, arguments, WorkBudget().add_values):
        if isinstance(each, Segment):
            yield each
        else:
            yield from each.segments()


def joined(arguments: Mapping[str, Any], reading: Reading) -> list[str]:
    """Returns the joined texts of a kind."""
    return [each.text for each in segments("", arguments) if each.reading is reading]


class TestJsonText:
    @given(containers, st.booleans(), st.sampled_from([None, 2]))
    def test_scalars_and_their_places_agree(
        self,
        value: Any,
        ascii_only: bool,
        indent: int | None,
    ) -> None:
        """The tokens of a text and the outline of its value have the same scalars, in order."""
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
        outline = Outline(read_value(text))
        source = JsonSource(Segment(None, text, b""))
        for index, scalar in enumerate(outline.texts):
            segment = source.segment(index)
            assert segment.text == scalar
            (place,) = locate(segment, 0, len(segment.text))
            raw = place.value
            assert json.loads(f'"{raw}"') == scalar or raw == scalar
        assert len(outline.texts) == len(
            [
                each
                for each in read_tokens(text) or ()
                if each.kind in {"string", "number", "literal"}
            ]
        )

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[note] x",
            '{"a" 1}',
            "[1,]",
            '{"a":1,}',
            "[",
            "{}x",
            '{"a":}',
            "[1 2]",
            "{1: 2}",
            "7",
        ],
    )
    def test_other_texts_are_not_json(self, text: str) -> None:
        assert read_value(text) is None
        assert read_tokens(text) is None

    @pytest.mark.parametrize(
        ("text", "scalars"),
        [
            ('{"a": 1}\n{"b": 2}', ["a", "1", "b", "2"]),
            ('{"a": "x\ny", "b": "\\d"}', ["a", "x\ny", "b", "d"]),
            ('{"a": 1, "a": 2}', ["a", "1", "a", "2"]),
            ('[1.50, 1e400, -0, "\\ud83d\\ude00"]', ["1.50", "1e400", "-0", "😀"]),
        ],
        ids=["JSON Lines", "what models write", "a repeated key", "numbers and surrogates"],
    )
    def test_unusual_json_is_read(self, text: str, scalars: list[str]) -> None:
        assert Outline(read_value(text)).texts == scalars

    @pytest.mark.parametrize(("depth", "is_json"), [(64, True), (65, False)])
    def test_the_depth_is_bounded(self, depth: int, is_json: bool) -> None:
        text = "[" * depth + "]" * depth
        assert (read_value(text) is not None) is is_json
        assert (read_tokens(text) is not None) is is_json

    @given(st.text(alphabet='{}[]",:\\u0d8n1e.- \n', max_size=40))
    def test_any_text_is_read(self, text: str) -> None:
        value, tokens = read_value(text), read_tokens(text)
        assert (value is None) is (tokens is None)


class TestOutline:
    @given(objects)
    def test_scalars_of_arguments_have_the_order_of_the_outline(self, value: Any) -> None:
        source = _ArgumentSource(value)
        for index, text in enumerate(Outline(value).texts):
            segment = source.segment(index)
            assert segment.text == text

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            ({"dateOfBirth": "1990-02-01"}, 'date_Of_Birth: "1990-02-01"'),
            ({"ssn": 536221234}, "ssn: 536221234"),
            ({"passport": {"number": "X1"}}, 'passport_number: "X1"'),
            ({"a": {"ssn": "1"}}, 'ssn: "1"'),
            ({"ssn": ["1", "2"]}, 'ssn: "2"'),
            ({"name": "DB_PASSWORD", "value": "x"}, 'DB_PASSWORD: "x"'),
            ({"columns": ["a", "ssn"], "rows": [["x", "1"]]}, 'ssn: "1"'),
            ({"t": [["a", "ssn"], ["x", 1]]}, "ssn: 1"),
            ({"a": 'x"y'}, 'a: "x!y"'),
            ({"a": '{"ssn": "\\u0031"}'}, 'ssn: "1"'),
            ({"a": {}}, 'a: ""'),
        ],
    )
    def test_labelled_lines(self, arguments: dict[str, Any], line: str) -> None:
        lines = "".join(joined(arguments, Reading.LABELLED)).split("\x1e\n")
        assert line in lines

    @pytest.mark.parametrize(
        ("arguments", "commands"),
        [
            ({"c": ["rm", "-rf", "/"]}, ["rm -rf /"]),
            ({"command": "rm", "args": ["-rf", "/"]}, ["-rf /", "rm -rf /"]),
            ({"c": ["kill", -9]}, ["kill -9"]),
            ({"c": [1, 2, 3]}, []),
            ({"c": ["rm"]}, []),
            ({"c": ["a", "x" * 257, "b", "c"]}, ["b c"]),
            ({"c": ["a", "x" * 256]}, ["a " + "x" * 256]),
            ({"p": {"$ne": None}}, ['"p": {"$ne": null}']),
            ({"p": {"a$": 1}}, []),
        ],
    )
    def test_command_lines(self, arguments: dict[str, Any], commands: list[str]) -> None:
        assert joined(arguments, Reading.COMMAND) == commands

    def test_the_lines_of_a_private_key(self) -> None:
        lines = ["-----BEGIN PRIVATE KEY-----", "MIIE", "-----END PRIVATE KEY-----"]
        assert joined({"key": lines}, Reading.LINES) == ["\n".join((*lines, ""))]
        assert joined({"key": ["MIIE", "MIIF"]}, Reading.LINES) == []

    @given(objects)
    def test_every_part_of_a_joined_text_has_its_place(self, arguments: Any) -> None:
        for segment in segments("", arguments):
            for place in locate(segment, 0, len(segment.text)):
                assert place.segment.source is None
                assert place.start <= place.end <= len(place.segment.text)


PATTERNS = [
    "^rm$", "-rf /", "a$", r"(?i)\bname\b", "^$", "[0-9]{3}", "b\\z", "é", '"', "^value",
]  # fmt: skip


class TestBatches:
    @given(objects, st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4, unique=True))
    def test_a_batch_hides_no_hit(self, arguments: Any, patterns: list[str]) -> None:
        """The fast scan has the hits of a scan of every reading on its own."""
        sets = (PatternSet().with_patterns(patterns),)
        hits = scan(sets, "", arguments, {}).hits
        expected: dict[str, list[str]] = {}
        for segment in segments("", arguments):
            for each in sets:
                for pattern in each.search(segment.data):
                    expected.setdefault(pattern.source, []).append(segment.text)
        assert {source: [each.text for each in found] for source, (_, found) in hits.items()} == (
            expected
        )

    def test_most_texts_are_scanned_together(self) -> None:
        arguments = {f"field_{index}": f"value {index}" for index in range(50)}
        batches = list(readings("", arguments, WorkBudget().add_values))
        assert [type(each) for each in batches] == [TextBatch, TextBatch]


class TestSplices:
    @given(containers, st.data())
    def test_json_stays_json(self, value: Any, data: st.DataObject) -> None:
        """A redaction changes nothing but the scalars that it is in."""
        text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        replacement = data.draw(st.sampled_from(["[REDACTED]", "", 'a"b\\c\n']))
        splices = fit(text, [Splice(start, end, replacement, 0)])
        result = apply(text, splices)
        if (start, end) == (0, len(text)):
            assert result == replacement
            return
        assert read_tokens(result) is not None
        json.loads(result)
        before, after = Outline(read_value(text)).texts, Outline(read_value(result)).texts
        assert len(before) == len(after)
        touched = [each for each in splices if each.end > start and each.start < end]
        assert touched == splices
        assert sum(old != new for old, new in zip(before, after, strict=True)) <= len(splices)

    @pytest.mark.parametrize(
        ("text", "cut", "result"),
        [
            ('{"a": "x\\ny"}', "ny", '{"a": "x\\n*"}'),
            ('{"a": "x\\\\ny"}', "ny", '{"a": "x*"}'),
            ('{"a": 12, "b": 34}', "2", '{"a": "*", "b": 34}'),
            ('{"a": true}', "true", '{"a": "*"}'),
            ('{"ab": 1}', "a", '{"*b": 1}'),
            ('{"ab": "cd"}', 'b": "c', '{"ab": "*d"}'),
            ('say "x\\ny"', "ny", 'say "x*"'),
            ("say x\\\\ny", "ny", "say x\\\\*"),
            ("say x\\qy", "qy", "say x\\*"),
            ('{"a": "{\\"b\\": 1}"}', "1", '{"a": "{\\"b\\": \\"*\\"}"}'),
        ],
        ids=[
            *(
                "after an escape",
                "an escape of the string itself",
                "a number",
                "a literal",
                "a key",
                "key and value",
            ),
            *("text with an escape", "an escaped backslash", "an unknown escape", "two levels"),
        ],
    )
    def test_a_span_keeps_the_form_of_its_text(self, text: str, cut: str, result: str) -> None:
        start = text.index(cut)
        assert apply(text, fit(text, [Splice(start, start + len(cut), "*", 0)])) == result

    @given(containers, st.data())
    def test_a_second_fit_changes_nothing(self, value: Any, data: st.DataObject) -> None:
        """Streams fit the spans of a decision again, on JSON that may be cut off."""
        text = json.dumps(value)
        text = text[: data.draw(st.integers(1, len(text)))]
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        splices = fit(text, [Splice(start, end, "*", 0)])
        again = fit(text, [each._replace(replacement="*") for each in splices])
        assert [each[:2] for each in again] == [each[:2] for each in splices]

    @pytest.mark.parametrize(
        ("text", "cut", "result"),
        [
            ('{"card": 41', "41", '{"card": "*"'),
            ('{"a": "x 41', "41", '{"a": "x *'),
            ('{"a": 1, "b 41', "41", '{"a": 1, "b *'),
            ('{"a": 41, "b": tr', "41", '{"a": "*", "b": tr'),
            ('{"a": 41, "b', "41", '{"a": "*", "b'),
            ("[note] 41", "41", "[note] *"),
            ('{"a": 41} and more', "41", '{"a": *} and more'),
        ],
    )
    def test_json_that_is_cut_off(self, text: str, cut: str, result: str) -> None:
        start = text.index(cut)
        assert apply(text, fit(text, [Splice(start, start + len(cut), "*", 0)])) == result

    @given(st.text(alphabet="ab\\nu0041\"' ", max_size=20), st.data())
    def test_escapes_stay_whole(self, text: str, data: st.DataObject) -> None:
        """In other texts, all that is redacted is redacted, and at most an escape more."""
        length = len(text)
        start = data.draw(st.integers(0, length))
        end = data.draw(st.integers(start, length))
        (splice,) = fit(text, [Splice(start, end, "*", 0)])
        assert splice.start <= start
        assert splice.end >= end
        assert start - splice.start <= 5
        assert splice.end - end <= 5
