"""Turns the errors of the parser into messages that policy authors understand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from pdp.engine.conditions.diagnostics import Diagnostic, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lark import Lark

_TOKEN_NAMES: Final[Mapping[str, str]] = {
    "NUMBER": "a number",
    "STRING": "a text in quotes",
    "LSQB": "a list such as (1, 2)",
    "NAME": "a name",
    "COMPARATOR": "a comparison such as = or >=",
    "_IN": "IN",
    "_LIKE": "LIKE",
    "_MATCHES": "MATCHES",
    "_BETWEEN": "BETWEEN",
    "NULL": "NULL",
    "_NOT": "NOT",
    "_AND": "AND",
    "_OR": "OR",
    "COMMA": "a comma",
    "RPAR": "a closing parenthesis",
    "RSQB": "a closing bracket",
    "$END": "the end of the condition",
}
"""The names of tokens, in the order of the messages. Other tokens are never expected alone."""

_GROUPS: Final = (
    (frozenset({"NUMBER", "NAME"}), {"STRING", "LSQB", "NULL", "_NOT"}, "a value"),
    (frozenset({"NUMBER", "STRING"}), {"NULL"}, "a constant such as 1 or 'a'"),
    (
        frozenset({"COMPARATOR"}),
        {"_IN", "_LIKE", "_MATCHES", "_BETWEEN", "_NOT"},
        _TOKEN_NAMES["COMPARATOR"],
    ),
)
"""Groups of tokens with a common name: the tokens that must all be expected, other tokens that the
name includes, and the name.
"""

_HINTS: Final[Mapping[str, str]] = {
    "&&": "write AND",
    "||": "write OR",
    "<>": "write != for not equal",
    "=>": "write >= for at least",
    "=<": "write <= for at most",
    "=~": "write MATCHES for a regular expression",
    "~": "write MATCHES for a regular expression",
    "!": "write NOT",
    "`": "names have no quotes",
    "{": "write lists in brackets, as in [1, 2]",
    ";": "a condition ends without a semicolon",
    **dict.fromkeys(
        (
            "\N{LEFT SINGLE QUOTATION MARK}",
            "\N{RIGHT SINGLE QUOTATION MARK}",
            "\N{LEFT DOUBLE QUOTATION MARK}",
            "\N{RIGHT DOUBLE QUOTATION MARK}",
        ),
        "write texts in straight quotes",
    ),
}
"""What to write instead of the signs of other languages and of word processors."""


def syntax_error(source: str, error: UnexpectedInput, parser: Lark) -> Diagnostic:
    """Returns the position and the message of an error of the parser.

    Args:
        source: the condition.
        error: the error of lark. Its message has names of tokens, so it is not shown.
        parser: the parser that raised it.
    """
    if not source.strip():
        return Diagnostic(0, "a condition must not be empty")
    if isinstance(error, UnexpectedCharacters):
        start: int = error.pos_in_stream  # type: ignore[assignment] # lark always sets it
        return Diagnostic(start, _character_error(source, start))
    start, token_text, token_type = len(source.rstrip()), _TOKEN_NAMES["$END"], "$END"
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        start, token_type = error.token.start_pos or 0, error.token.type
        token_text = excerpt(source, start, start + len(error.token))
    expected = _expected_tokens(parser, source, start)
    is_chained = token_type == "COMPARATOR" and "_AND" in expected  # noqa: S105 - not a password
    hint = _hint(source, start, chained=is_chained)
    reason = f"expected {_phrase(expected)}, found {token_text}"
    return Diagnostic(start, f"{reason}; {hint}" if hint else reason)


def _character_error(source: str, start: int) -> str:
    character = source[start]
    if character in "'\"":
        return f"the text that begins here has no closing {character} on its line"
    sign = next((sign for sign in _HINTS if source.startswith(sign, start)), "")
    if sign:
        return f"{sign} has no meaning here; {_HINTS[sign]}"
    name = character if character.isprintable() else f"the character U+{ord(character):04X}"
    return f"{name} has no meaning here"


def _hint(source: str, start: int, *, chained: bool) -> str:
    """Returns what to write instead; empty if that is unclear."""
    for sign, instead in _HINTS.items():
        if len(sign) > 1 and source.startswith(sign, max(start - 1, 0)):
            return instead
    return "join comparisons with AND" if chained else ""


def _expected_tokens(parser: Lark, source: str, start: int) -> set[str]:
    """Returns the types of the tokens that are valid at `start`.

    Parses again up to `start`: a parser that has already read the wrong token knows only some.
    """
    fresh = parser.parse_interactive(source)
    try:
        for token in fresh.iter_parse():
            if (token.start_pos or 0) >= start:
                break
    except UnexpectedInput:  # raised at the end of a source that is incomplete
        return set()
    accepted: set[str] = fresh.accepts()  # type: ignore[no-untyped-call] # missing in lark
    return accepted


def _phrase(tokens: set[str]) -> str:
    """Returns the names of `tokens` as one phrase."""
    names = list(_names(tokens))
    if not names:
        return "something else"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _names(tokens: set[str]) -> Iterator[str]:
    remaining = set(tokens)
    for required, included, name in _GROUPS:
        if required <= remaining:
            yield name
            remaining -= required | included
    for token, name in _TOKEN_NAMES.items():
        if token in remaining:
            yield name
