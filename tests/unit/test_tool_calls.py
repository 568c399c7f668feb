"""Tool calls in texts: their shapes, their places, and the bounds of reading."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pdp.engine.text import json_tree, tool_calls
from pdp.engine.text.json_tree import TooMuchJson, TreeReader
from pdp.engine.text.locations import Location, Segment
from pdp.engine.text.tool_calls import TextCalls

ARGUMENTS = {"command": "NEEDLE"}


def segment(text: str) -> Segment:
    return Segment(None, text, text.encode())


def tools_around(text: str, needle: str = "NEEDLE") -> list[str] | None:
    """Returns the tools of the calls that hold `needle`; None if the calls are unknown."""
    base = segment(text)
    start = text.index(needle)
    location = Location(base, start, start + len(needle))
    calls = TextCalls(base)
    around = calls.around(location)
    assert calls.hold(location) is (calls.is_unknown or bool(around))
    return None if calls.is_unknown else [call.tool for call in around]


@pytest.mark.parametrize(
    "value",
    [
        {"tool": "sh", "arguments": ARGUMENTS},
        {"name": "sh", "parameters": ARGUMENTS},
        {"name": "sh", "arguments": json.dumps(ARGUMENTS)},
        {"tool_name": "sh", "toolInput": ARGUMENTS},
        {"tool": "sh", "input": "NEEDLE"},
        {"tool": "sh", "args": ["NEEDLE"]},
        {"action": "sh", "action_input": "NEEDLE"},
        {"tool_calls": [{"function": {"name": "sh", "arguments": json.dumps(ARGUMENTS)}}]},
        {"type": "tool_use", "id": "1", "name": "sh", "input": ARGUMENTS},
        {"method": "tools/call", "params": {"name": "sh", "arguments": ARGUMENTS}},
        {"method": "sh", "params": ARGUMENTS},
        {"recipient_name": "sh", "parameters": ARGUMENTS},
        {"functionCall": {"name": "sh", "args": ARGUMENTS}},
        [{"text": "x"}, {"name": "sh", "arguments": ARGUMENTS}],
        {"content": json.dumps({"name": "sh", "arguments": ARGUMENTS})},
    ],
    ids=json.dumps,
)
def test_a_shape_of_a_call_is_a_call(value: Any) -> None:
    assert tools_around(json.dumps(value)) == ["sh"]


@pytest.mark.parametrize(
    "value",
    [
        {"command": "NEEDLE"},
        {"name": "sh", "description": "NEEDLE"},
        {"input": "NEEDLE"},
        {"parameters": ARGUMENTS},
        {"name": "sh", "arguments": {}, "note": "NEEDLE"},
        {"name": ["sh"], "input": "NEEDLE"},
    ],
    ids=json.dumps,
)
def test_other_json_is_no_call(value: Any) -> None:
    assert tools_around(json.dumps(value)) == []


@pytest.mark.parametrize(
    "text",
    [
        'I will. {"name": "sh", "arguments": {"c": "NEEDLE"}} Done.',
        '```json\n{"name": "sh", "arguments": {"c": "NEEDLE"}}\n```',
        '<tool_call>{"name": "sh", "arguments": {"c": "NEEDLE"}}</tool_call>',
        '[TOOL_CALLS][{"name": "sh", "arguments": {"c": "NEEDLE"}}]',
        '["a", b] {x: 1} {"name": "sh", "arguments": {"c": "NEEDLE"}}',
        '{"name": "sh", "arguments": {"c": "NEEDLE',
        '{"name": "sh", "arguments": {"c": "NEEDLE"},}',
        '{"name": "sh", "\\u0061rguments": {"c": "NEEDLE"}}',
        '{"a": 1}\n{"name": "sh", "arguments": {"c": "NEEDLE"}}\n',
    ],
)
def test_a_call_may_stand_anywhere_and_be_cut_off(text: str) -> None:
    assert tools_around(text) == ["sh"]


def test_a_piece_of_a_stream_is_a_call_without_a_name() -> None:
    assert tools_around('{"function": {"arguments": "{\\"c\\": \\"NEEDLE\\"}"}}') == [""]


def test_a_call_with_two_names_has_none() -> None:
    assert tools_around('{"tool": "sh", "name": "write_file", "arguments": "NEEDLE"}') == [""]
    assert tools_around('{"tool": "sh", "name": "sh", "arguments": "NEEDLE"}') == ["sh"]


def test_the_text_beside_a_call_is_in_none() -> None:
    text = 'Do not NEEDLE. {"name": "sh", "arguments": {"c": "ls"}} It is bad.'
    assert tools_around(text) == []


def test_calls_in_the_arguments_of_a_call_follow_it() -> None:
    inner = {"tool": "inner", "arguments": ARGUMENTS}
    assert tools_around(json.dumps({"tool": "outer", "arguments": inner})) == ["outer", "inner"]


def test_the_strings_of_a_call_have_their_paths() -> None:
    text = json.dumps({"name": "x", "arguments": {"a": ["b", {"c": "d\n"}]}})
    base = segment(text)
    (call,) = TextCalls(base).around(Location(base, 0, len(text)))
    leaves = [(leaf.path, leaf.segment.text) for leaf in call.leaves()]
    assert leaves == [(("a", 0), "b"), (("a", 1, "c"), "d\n")]


class TestBounds:
    """If a bound is exceeded, anything may be in a call."""

    def test_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tool_calls, "MAX_CALLS", 3)
        call = '{"name": "x", "input": 1} '
        assert tools_around(call * 3 + "NEEDLE") == []
        assert tools_around(call * 4 + "NEEDLE") is None

    def test_tokens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Each array has three tokens and its begin.
        monkeypatch.setattr(json_tree, "MAX_TOKENS", 8)
        assert tools_around('"arguments": [1] [2] NEEDLE') == []
        assert tools_around('"arguments": [1] [2] [3] NEEDLE') is None

    def test_characters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_tree, "MAX_CHARACTERS", 10)
        assert tools_around('"arguments": ["123456"] NEEDLE') == []
        assert tools_around('"arguments": ["1234567"] NEEDLE') is None

    def test_tokens_of_json_that_is_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_tree, "MAX_CUT_TOKENS", 4)
        assert tools_around('"arguments": [1, 2 x NEEDLE') == []
        assert tools_around('"arguments": [1, 2, 3 x NEEDLE') is None

    def test_a_reader_counts_all_texts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_tree, "MAX_TOKENS", 4)
        reader = TreeReader()
        assert len(list(reader.read(segment("[1]")))) == 1
        with pytest.raises(TooMuchJson):
            list(reader.read(segment("[1]")))
