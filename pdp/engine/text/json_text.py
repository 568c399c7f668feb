"""JSON text: its tokens, the value that it stands for, and its strings as segments.

Models write JSON with control characters and unknown escapes in strings, so both are accepted.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.engine.text.escapes import add_units
from pdp.engine.text.locations import Segment, SourceMap
from pdp.engine.text.variants import VariantBuilder, encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH: Final = 64
"""JSON in a string that is nested deeper is read as a text, not as JSON."""

STRING: Final = "string"
NUMBER: Final = "number"
LITERAL: Final = "literal"


class NumberText(str):
    """A number, as it is written."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """The members of an object, in order; a key may occur more than once."""

    __slots__ = ()


def number_text(value: float) -> str:
    """Returns a number as JSON text."""
    return json.dumps(value)


class Token(NamedTuple):
    """A token of JSON text.

    Attributes:
        kind: `STRING`, `NUMBER`, `LITERAL`, or the punctuation itself.
        start: its start in the text; for a string, that of the opening quote.
        end: its end.
        in_key: whether it is the key of a member.
    """

    kind: str
    start: int
    end: int
    in_key: bool = False


# A string may have control characters and unknown escapes: models write both.
_TOKEN: Final = re.compile(
    r'[ \t\n\r]*+(?:("[^"\\]*+(?:\\.[^"\\]*+)*+")'
    r"|(-?(?:0|[1-9]\d*+)(?:\.\d++)?+(?:[eE][+-]?\d++)?+)"
    r"|(true|false|null)"
    r"|([][{}:,]))",
    re.DOTALL,
)
_KINDS: Final = ("", STRING, NUMBER, LITERAL)
_BLANKS: Final = " \t\n\r"
_CLOSING: Final = {"{": "}", "[": "]"}


def may_be_json(text: str) -> bool:
    """Returns whether a text begins like a JSON object or array. Fast."""
    return text[:1] in _CLOSING or (text[:1].isspace() and text.lstrip()[:1] in _CLOSING)


def read_tokens(text: str, *, may_be_cut: bool = False) -> list[Token] | None:
    """Returns the tokens of JSON text; None if it is not JSON.

    Args:
        text: the text. It may hold several objects or arrays one after the other, as JSON Lines do.
        may_be_cut: whether to accept JSON that is cut off, as it is in a stream. If a string is
            cut, its token ends one character after the text, with the quote that is missing.
    """
    if not may_be_json(text):
        return None
    tokens: list[Token] = []
    open_: list[str] = []
    expected = _DOCUMENT
    position, length = 0, len(text.rstrip(_BLANKS))
    match = _TOKEN.match
    while position < length:
        token = match(text, position)
        if token is None and may_be_cut:
            return _with_cut_end(text, position, expected, tokens)
        if token is None:
            return None
        group = token.lastindex or 0
        start, position = token.span(group)
        kind = token[group] if group == _PUNCTUATION else _KINDS[group]
        in_key = kind == STRING and expected in _KEYS
        following = _next(kind, expected, open_)
        if following is None or len(open_) > MAX_DEPTH:
            return None
        tokens.append(Token(kind, start, position, in_key))
        expected = following
    return tokens if tokens and (may_be_cut or not open_) else None


def _with_cut_end(
    text: str, position: int, expected: frozenset[str], tokens: list[Token]
) -> list[Token] | None:
    """Returns the tokens with that of a cut string or literal; None if something else follows."""
    start = position + len(text[position:]) - len(text[position:].lstrip(_BLANKS))
    if text[start] == '"' and STRING in expected and _CUT_STRING.fullmatch(text, start):
        return [*tokens, Token(STRING, start, len(text) + 1, expected in _KEYS)]
    rest = text[start:]
    is_cut = any(literal.startswith(rest) for literal in _LITERALS) or rest == "-"
    return tokens if is_cut and LITERAL in expected else None


def document_tokens(text: str, start: int) -> list[Token]:
    """Returns the tokens of the object or array that begins at `start`, as far as it can be read.

    A string that is cut off is the last token; it ends where the text does.
    """
    tokens: list[Token] = []
    open_: list[str] = []
    expected, position = _DOCUMENT, start
    while not tokens or open_:
        token = _TOKEN.match(text, position)
        if token is None:
            quote = _CUT_QUOTE.match(text, position)
            if quote is not None and STRING in expected and expected not in _KEYS:
                tokens.append(Token(STRING, quote.end() - 1, len(text) + 1))
            return tokens
        group = token.lastindex or 0
        begin, position = token.span(group)
        kind = token[group] if group == _PUNCTUATION else _KINDS[group]
        following = _next(kind, expected, open_)
        if following is None or len(open_) > MAX_DEPTH:
            return tokens
        tokens.append(Token(kind, begin, position, kind == STRING and expected in _KEYS))
        expected = following
    return tokens


_LITERALS: Final = {"true": True, "false": False, "null": None}
_CUT_QUOTE: Final = re.compile(r'[ \t\n\r]*+"')
_CUT_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+\\?', re.DOTALL)

_PUNCTUATION: Final = 4

SCALARS: Final = frozenset({STRING, NUMBER, LITERAL})

# What may come next.
_VALUE: Final = frozenset({STRING, NUMBER, LITERAL, "{", "["})
_KEY: Final = frozenset({STRING})
_FIRST_KEY: Final = frozenset({STRING, "}"})
_KEYS: Final = (_KEY, _FIRST_KEY)
_DOCUMENT: Final = frozenset(_CLOSING)
_FIRST_ITEM: Final = _VALUE | {"]"}
_COLON: Final = frozenset({":"})
_AFTER: Final = {"{": frozenset({",", "}"}), "[": frozenset({",", "]"})}


def _next(kind: str, expected: frozenset[str], open_: list[str]) -> frozenset[str] | None:
    """Returns what may come after a token; None if the token may not stand here."""
    if kind not in expected:
        return None
    if kind in _CLOSING:
        open_.append(kind)
        return _FIRST_KEY if kind == "{" else _FIRST_ITEM
    if kind == ",":
        return _KEY if open_[-1] == "{" else _VALUE
    if kind == ":":
        return _VALUE
    if kind == STRING and expected in _KEYS:
        return _COLON
    if kind in {"}", "]"}:
        open_.pop()
    return _AFTER[open_[-1]] if open_ else _DOCUMENT


_STRING_ESCAPE: Final = re.compile(r"(?P<units>(?:\\u[0-9A-Fa-f]{4})++)|\\(?P<simple>.)", re.DOTALL)
_SIMPLE: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def string_in(segment: Segment, token: Token) -> Segment:
    """Returns the string that a token of a segment stands for, without its escapes."""
    text, start, end = segment.text, token.start + 1, token.end - 1
    if text.find("\\", start, end) < 0:
        return _copied(segment, start, end)
    variant = VariantBuilder(segment)
    for escape in _STRING_ESCAPE.finditer(text, start, end):
        begin = escape.start()
        variant.add(text[start:begin], start)
        if units := escape["units"]:
            add_units(variant, units, begin)
        else:
            simple = escape["simple"]
            variant.add(_SIMPLE.get(simple, simple), begin, 2)
        start = escape.end()
    variant.add(text[start:end], start)
    return variant.build()


def _copied(segment: Segment, start: int, end: int) -> Segment:
    text, data = encoded(segment.text[start:end])
    source = SourceMap(segment, (0, end - start), (start, end), (0, 0), (0, 0))
    return Segment(segment.path, text, data, source, segment.in_key)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=NumberText, parse_float=NumberText, strict=False
)


def read_value(text: str) -> Any:
    """Returns the object or array that a text holds as JSON; None if it holds none.

    Objects are `Pairs`, arrays are lists, and numbers are `NumberText`. Several objects or arrays
    one after the other are a list of them.
    """
    if not may_be_json(text):
        return None
    try:
        value = _DECODER.decode(text)
    except ValueError:
        tokens = read_tokens(text)
        return None if tokens is None else _value_of(text, tokens)
    except RecursionError:
        return None
    return value if _depth_within(value, MAX_DEPTH) else None


def _depth_within(value: Any, levels: int) -> bool:
    if not isinstance(value, list):
        return True
    if not levels:
        return False
    if isinstance(value, Pairs):
        return all(_depth_within(item, levels - 1) for _, item in value if isinstance(item, list))
    return all(_depth_within(item, levels - 1) for item in value if isinstance(item, list))


MANY_VALUES: Final = 10_000
"""JSON with fewer commas is read without a look at the number of its values first."""


def least_values(text: str) -> int:
    """Returns how many values a text has at least, if it is JSON: 0 if they are not many.

    It is fast, and says before the text is read whether that would take long.
    """
    if text.count(",") < MANY_VALUES:
        return 0
    # Commas in strings do not count.
    return _STRING.sub("", text).count(",")


# Without a closing quote, a string goes on to the end: no part of a text is searched twice.
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def _value_of(text: str, tokens: Sequence[Token]) -> Any:
    documents: list[Any] = []
    # The containers that are open, each with the key that waits for its value.
    open_: list[tuple[list[Any], list[str]]] = []
    for token in tokens:
        kind = token.kind
        if kind in {":", ","}:
            continue
        if kind in _CLOSING:
            open_.append((Pairs() if kind == "{" else [], []))
            continue
        value: Any
        if kind in {"}", "]"}:
            value = open_.pop()[0]
        elif kind == STRING:
            value = string_in(Segment(None, text, b""), token).text
        else:
            written = text[token.start : token.end]
            value = NumberText(written) if kind == NUMBER else _LITERALS[written]
        if token.in_key:
            open_[-1][1].append(value)
        elif open_:
            container, keys = open_[-1]
            container.append((keys.pop(), value) if keys else value)
        else:
            documents.append(value)
    return documents[0] if len(documents) == 1 else documents


class JsonSource:
    """The scalars of the JSON text that a segment holds, as segments."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._tokens: list[Token] | None = None

    def segment(self, index: int) -> Segment:
        """Returns a scalar or a key by its index in the order of the text."""
        if self._tokens is None:
            tokens = read_tokens(self._segment.text) or []
            self._tokens = [each for each in tokens if each.kind in SCALARS]
        token = self._tokens[index]
        if token.kind == STRING:
            return string_in(self._segment, token)
        return _copied(self._segment, token.start, token.end)
