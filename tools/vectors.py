"""Writes the vectors that the clients of all languages run: `python -m tools.vectors`.

`tests/vectors/redactions.json` says what becomes of a text and of arguments if the spans of a
REDACT obligation are replaced. The engine of the server computes the results, so that every client
does what the server does. Offsets count code points.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pdp.domain.decision import Redaction, Span
from pdp.domain.request import Request
from pdp.engine.text.redaction import redact

FILE: Final = Path(__file__).parents[1] / "tests/vectors/redactions.json"

GONE: Final = "[REDACTED]"

_TEXTS: Final[tuple[tuple[str, str, tuple[tuple[int, int], ...]], ...]] = (
    ("ascii", "card 4111111111111111 please", ((5, 21),)),
    ("at both ends", "abc def", ((0, 3), (4, 7))),
    ("the whole text", "secret", ((0, 6),)),
    ("two that touch", "aabbcc", ((0, 2), (2, 4))),
    ("after an emoji", "😀 key sk-1 done", ((6, 10),)),
    ("an emoji itself", "a😀b", ((1, 2),)),
    ("between two emoji", "😀x😀", ((1, 2),)),
    ("a family of code points", "👩‍👩‍👧 me", ((6, 8),)),
    ("a letter and its accent", "e\u0301x", ((0, 2),)),
    ("umlauts", "Größe: äöü", ((7, 10),)),
    ("hebrew", "שלום 1234", ((5, 9),)),
    ("chinese", "密码 hunter2 结束", ((3, 10),)),
    ("a text of one astral character", "\U0001d538", ((0, 1),)),
    ("line ends", "a\r\nb\nc", ((3, 4),)),
    ("a null character in the middle", "a\u0000b", ((2, 3),)),
    ("beyond the end", "abc", ((1, 9),)),
)

_ARGUMENTS: Final[tuple[tuple[str, Any, tuple[dict[str, Any], ...]], ...]] = (
    ("a string", {"card": "no 4111"}, ({"path": "/card", "start": 3, "end": 7},)),
    ("an emoji before it", {"a": "😀 x1"}, ({"path": "/a", "start": 2, "end": 4},)),
    ("in a list", {"a": ["b", "c1"]}, ({"path": "/a/1", "start": 1, "end": 2},)),
    ("deep", {"a": {"b": [{"c": "dd"}]}}, ({"path": "/a/b/0/c", "start": 0, "end": 2},)),
    ("an escaped path", {"a/b": {"~c": "dd"}}, ({"path": "/a~1b/~0c", "start": 0, "end": 1},)),
    ("an empty key", {"": "dd"}, ({"path": "/", "start": 0, "end": 2},)),
    ("a number as a whole", {"n": 4111}, ({"path": "/n", "start": 0, "end": 4},)),
    ("a part of a number", {"n": 4111.5}, ({"path": "/n", "start": 1, "end": 3},)),
    ("a key", {"4111": "x"}, ({"path": "/4111", "start": 0, "end": 4, "in_key": True},)),
    (
        "two keys of one name",
        {"k1": 1, "k2": 2},
        (
            {"path": "/k1", "start": 0, "end": 2, "in_key": True},
            {"path": "/k2", "start": 0, "end": 2, "in_key": True},
        ),
    ),
    (
        "a key and its value",
        {"k1": "v1"},
        (
            {"path": "/k1", "start": 1, "end": 2, "in_key": True},
            {"path": "/k1", "start": 1, "end": 2},
        ),
    ),
    (
        "a key that exists",
        {"[REDACTED]": 1, "k1": 2},
        ({"path": "/k1", "start": 0, "end": 2, "in_key": True},),
    ),
    (
        "two places",
        {"a": "x1", "b": "y2"},
        ({"path": "/a", "start": 1, "end": 2}, {"path": "/b", "start": 1, "end": 2}),
    ),
    ("nothing else changes", {"a": "x1", "b": [1, 2.5, None, True, {}]}, (
        {"path": "/a", "start": 1, "end": 2},
    )),
)  # fmt: skip


def vectors() -> dict[str, Any]:
    """Returns the vectors."""
    return {
        "about": "Made by python -m tools.vectors. Offsets count code points.",
        "texts": [_of_text(*each) for each in _TEXTS],
        "arguments": [_of_arguments(*each) for each in _ARGUMENTS],
    }


def _of_text(name: str, text: str, places: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    spans = [{"start": start, "end": end} for start, end in places]
    result = redact(Request(text=text), [_redaction(each) for each in spans])
    return {
        "name": name,
        "text": text,
        "replacement": GONE,
        "spans": spans,
        "expected": result.text,
    }


def _of_arguments(name: str, arguments: Any, spans: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    result = redact(Request(arguments=arguments), [_redaction(each) for each in spans])
    return {
        "name": name,
        "arguments": arguments,
        "replacement": GONE,
        "spans": list(spans),
        "expected": result.arguments,
    }


def _redaction(span: dict[str, Any]) -> Redaction:
    place = Span(span["start"], span["end"], "", span.get("path"), span.get("in_key", False))
    return Redaction(GONE, place)


def text() -> str:
    """Returns the file."""
    return json.dumps(vectors(), indent=2, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text(), encoding="utf-8")
