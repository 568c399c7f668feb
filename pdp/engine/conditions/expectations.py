"""What a parser expected and what it found, in words that policy authors understand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from pdp.engine.conditions.problems import Problem, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lark import Lark

_WORDS: Final[Mapping[str, str]] = {
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
"""In the order in which they are told. What is not here is never alone."""

_GROUPS: Final = (
    (frozenset({"NUMBER", "NAME"}), {"STRING", "LSQB", "NULL", "_NOT"}, "a value"),
    (frozenset({"NUMBER", "STRING"}), {"NULL"}, "a constant such as 1 or 'a'"),
    (
        frozenset({"COMPARATOR"}),
        {"_IN", "_LIKE", "_MATCHES", "_BETWEEN", "_NOT"},
        _WORDS["COMPARATOR"],
    ),
)
"""Tokens that mean one thing together, those that then go without saying, and what they mean."""

_SPELLED: Final[Mapping[str, str]] = {
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
"""What to do instead of how other languages, or word processors, write it."""


def unexpected(source: str, error: UnexpectedInput, parser: Lark) -> Problem:
    """Returns the problem that the parser met.

    Args:
        source: the condition.
        error: lark's own, whose names of tokens mean nothing to an author.
        parser: which met it.
    """
    if not source.strip():
        return Problem(0, "a condition must not be empty")
    if isinstance(error, UnexpectedCharacters):
        start: int = error.pos_in_stream  # type: ignore[assignment] # lark sets it
        return Problem(start, _character(source, start))
    start, found = len(source.rstrip()), _WORDS["$END"]
    kind = "$END"
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        start, kind = error.token.start_pos or 0, error.token.type
        found = excerpt(source, start, start + len(error.token))
    accepted = _accepted(parser, source, start)
    hint = _hint(source, start, chained=kind == "COMPARATOR" and "_AND" in accepted)
    reason = f"expected {_phrase(accepted)}, found {found}"
    return Problem(start, f"{reason}; {hint}" if hint else reason)


def _character(source: str, start: int) -> str:
    found = source[start]
    if found in "'\"":
        return f"the text that begins here has no closing {found} on its line"
    sign = next((sign for sign in _SPELLED if source.startswith(sign, start)), "")
    if sign:
        return f"{sign} has no meaning here; {_SPELLED[sign]}"
    shown = found if found.isprintable() else f"the character U+{ord(found):04X}"
    return f"{shown} has no meaning here"


def _hint(source: str, start: int, *, chained: bool) -> str:
    """Returns what to do instead, where it can be guessed."""
    for sign, instead in _SPELLED.items():
        if len(sign) > 1 and source.startswith(sign, max(start - 1, 0)):
            return instead
    return "join comparisons with AND" if chained else ""


def _accepted(parser: Lark, source: str, start: int) -> set[str]:
    """Returns the tokens that could have stood at `start`.

    Asks a parser that has not seen what stands there: one that has, has already given up some.
    """
    fresh = parser.parse_interactive(source)
    try:
        for token in fresh.iter_parse():
            if (token.start_pos or 0) >= start:
                break
    except UnexpectedInput:  # what comes behind the end of a source that ends too early
        return set()
    accepted: set[str] = fresh.accepts()  # type: ignore[no-untyped-call] # lark's own gap
    return accepted


def _phrase(tokens: set[str]) -> str:
    """Returns what any of `tokens` are, in words."""
    told = list(_told(tokens))
    if not told:
        return "something else"
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} or {told[-1]}"


def _told(tokens: set[str]) -> Iterator[str]:
    silent: set[str] = set()
    for together, implied, words in _GROUPS:
        if together <= tokens - silent:
            yield words
            silent |= together | implied
    for token, words in _WORDS.items():
        if token in tokens - silent:
            yield words
