"""Edits of JSON text: only what is edited changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.payloads.edits import Edit, differences, locate, write, written_span
from pdp.payloads.pointers import member
from tests.support.payload_samples import samples

if TYPE_CHECKING:
    from collections.abc import Callable

documents: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=16,
)
spaces: Final = st.text(" \t\r\n", max_size=3)
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Piece(NamedTuple):
    """A piece of JSON text.

    Attributes:
        text: the text.
        place: the pointer of the value or of the key that it writes, and whether it is a key; None
            for all else.
    """

    text: str
    place: tuple[str, bool] | None = None


def pieces(value: Any, draw: Callable[[st.SearchStrategy[Any]], Any], pointer: str) -> list[Piece]:
    """Writes a value with random whitespace and escapes."""

    def space() -> Piece:
        return Piece(draw(spaces))

    if isinstance(value, dict):
        written = [Piece("{"), space()]
        for index, (key, item) in enumerate(value.items()):
            below = member(pointer, key)
            written += [Piece(","), space()] if index else []
            written += [Piece(string(key, draw), (below, True)), space(), Piece(":"), space()]
            written += [*pieces(item, draw, below), space()]
        return [*written, Piece("}")]
    if isinstance(value, list):
        written = [Piece("["), space()]
        for index, item in enumerate(value):
            written += [Piece(","), space()] if index else []
            written += [*pieces(item, draw, f"{pointer}/{index}"), space()]
        return [*written, Piece("]")]
    text = string(value, draw) if isinstance(value, str) else json.dumps(value)
    return [Piece(text, (pointer, False))]


def string(value: str, draw: Callable[[st.SearchStrategy[Any]], Any]) -> str:
    """Writes a string with random escapes."""
    return '"' + "".join(character(each, draw) for each in value) + '"'


def character(value: str, draw: Callable[[st.SearchStrategy[Any]], Any]) -> str:
    """Writes a character in one of the ways that JSON has."""
    long = json.dumps(value)[1:-1] if value > "\uffff" else f"\\u{ord(value):04X}"
    plain = [] if value in '"\\' or value < " " else [value]
    short = [_SHORT[value]] if value in _SHORT else []
    written: str = draw(st.sampled_from([*plain, *short, long]))
    return written


@st.composite
def written_documents(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[Any, list[Piece]]:
    """Returns a document with its pieces."""
    value = draw(documents)
    return value, [Piece(draw(spaces)), *pieces(value, draw, ""), Piece(draw(spaces))]


@given(written_documents(), st.data())
def test_only_the_edited_places_change(
    written: tuple[Any, list[Piece]], data: st.DataObject
) -> None:
    """All other bytes stay: spaces, escapes, the form of numbers, the order of members."""
    value, parts = written
    text = "".join(piece.text for piece in parts)
    assert json.loads(text) == value
    found = [piece.place for piece in parts if piece.place]
    chosen = set(data.draw(st.lists(st.sampled_from(found), unique=True))) if found else set()
    new = {place: data.draw(st.text(max_size=5)) for place in sorted(chosen)}
    result = write(text, [Edit(pointer, new[pointer, key], key) for pointer, key in new])
    assert result == "".join(
        json.dumps(new[piece.place], ensure_ascii=False) if piece.place in new else piece.text
        for piece in parts
    )


@given(written_documents())
def test_every_value_and_key_is_located(written: tuple[Any, list[Piece]]) -> None:
    """A token covers what is written there, and nothing else."""
    _, parts = written
    text = "".join(piece.text for piece in parts)
    expected = {piece.place: piece.text for piece in parts if piece.place}
    tokens = locate(text, expected)
    assert {place: text[token.start : token.end] for place, token in tokens.items()} == expected


@given(written_documents(), st.data())
def test_the_differences_make_one_document_of_another(
    written: tuple[Any, list[Piece]], data: st.DataObject
) -> None:
    """After a redaction of strings, numbers and keys, the text is the redacted document."""
    value, parts = written
    after = redacted(value, data.draw)
    text = "".join(piece.text for piece in parts)
    assert json.loads(write(text, differences(value, after))) == after
    assert write(text, differences(value, value)) == text


def redacted(value: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """Returns a document with some strings, numbers and keys replaced."""
    if isinstance(value, dict):
        return {
            f"[{index}]" if draw(st.booleans()) and f"[{index}]" not in value else key: redacted(
                item, draw
            )
            for index, (key, item) in enumerate(value.items())
        }
    if isinstance(value, list):
        return [redacted(item, draw) for item in value]
    is_scalar = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return "[REDACTED]" if is_scalar and draw(st.booleans()) else value


@given(st.text(max_size=12), st.data())
def test_a_span_in_a_string_has_a_span_in_the_text(value: str, data: st.DataObject) -> None:
    """It covers the escapes of its characters whole."""
    text = f"[ {string(value, data.draw)} ]"
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, len(value)))
    token = locate(text, [("/0", False)])["/0", False]
    begin, after = written_span(text, token, start, end)
    assert json.loads(f'"{text[begin:after]}"') == value[start:end]


@pytest.mark.parametrize("sample", samples(), ids=str)
def test_samples_are_edited_in_place(sample: Any) -> None:
    """A new value at each place of a real document leaves the rest of it as it was."""
    text = json.dumps(sample.payload, indent=3)
    for pointer in leaves(sample.payload, ""):
        result = write(text, [Edit(pointer, "[REDACTED]")])
        token = locate(text, [(pointer, False)])[pointer, False]
        assert result == text[: token.start] + '"[REDACTED]"' + text[token.end :]
        assert list(differences(sample.payload, json.loads(result))) == [
            Edit(pointer, "[REDACTED]")
        ]


def leaves(value: Any, pointer: str) -> list[str]:
    """Returns the pointers of all values that are neither objects nor lists."""
    if isinstance(value, dict):
        return [each for key, item in value.items() for each in leaves(item, member(pointer, key))]
    if isinstance(value, list):
        return [
            each for index, item in enumerate(value) for each in leaves(item, f"{pointer}/{index}")
        ]
    return [pointer]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [("{}", "/a"), ('{"a": []}', "/a/0"), ('{"a": "b"}', "/a/b"), ('["a"]', "/1"), ("7", "/a")],
)
def test_an_edit_of_a_missing_place_is_an_error(text: str, pointer: str) -> None:
    """Nothing is redacted silently in part."""
    with pytest.raises(KeyError, match=pointer):
        write(text, [Edit(pointer, "x")])
