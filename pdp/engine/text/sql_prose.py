"""Whether prose talks about the SQL that was found in a text, or the SQL is there to be run.

The measure counts ordinary words around the SQL. How many it takes depends on what the SQL could do
if a program put the whole text into a query:

- Keywords without columns, as in "What is UNION SELECT?": one word.
- A query, or a part of one, such as `SELECT a FROM t UNION SELECT b FROM u`. In code or in quotes:
  one word; a fenced block that begins with a statement needs none. Else three words, in a row
  before it and a row in the sentence after it; or two before it and a colon or a question mark.
- An injection goes on behind a value: `1 UNION SELECT …`, `' OR 1=1`. It is talk only in code or in
  quotes, beside three words that do not ask to run it.

A call that only attacks use, such as `benchmark(…)`, is no talk either if words ask to run it. SQL
is never talk if it is disguised. Outside of code, it is never talk if the text ends a string of
the query that it is put into: if its first quote is followed by an operator or a keyword of SQL.

An ordinary word has at least two letters and is no keyword of SQL. Words in quotes, in code and
after the mark of a comment do not count. In a script without spaces, two characters are a word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pdp.engine.text.code_regions import FENCE, code_regions, region_around

if TYPE_CHECKING:
    from pdp.engine.text.code_regions import CodeRegion

WINDOW: Final = 600
"""How many characters before and after the SQL are looked at."""

MAX_BEFORE: Final = 100
"""How many characters before SQL tell whether it goes on behind a value."""

MAX_QUOTED: Final = 500
"""The most characters in quotes."""

MAX_SQL: Final = 4000
"""Longer matches are no talk."""

MAX_SELECTS: Final = 8
"""How many SELECT before SQL are tried as the begin of its query."""

MAX_QUOTES: Final = 10_000
"""How many quotes of a text are read. If there are more, the text may end a string there."""

MAX_SPANS: Final = 50
"""How many spans of a text are judged; further ones are no talk."""

_KEYWORDS: Final = frozenset({
    "all", "and", "as", "begin", "between", "by", "case", "cast", "char", "concat", "convert",
    "count", "cross", "database", "declare", "delete", "desc", "distinct", "drop", "else", "end",
    "except", "exec", "execute", "exists", "from", "group", "having", "inner", "insert",
    "intersect", "into", "join", "left", "like", "limit", "natural", "not", "null", "offset", "or",
    "order", "outer", "right", "select", "set", "table", "then", "top", "union", "update",
    "true", "false", "binary", "unknown", "values", "waitfor", "when", "where", "with", "xor",
})  # fmt: skip
"""Words of SQL. They end a row of words; `table`, `with` and others are words of prose, too."""

_NEUTRAL: Final = frozenset({"a", "for", "i", "in", "is", "of", "on", "the", "to"})
"""Words that are in SQL, too, or say nothing. They do not end a row of words."""

_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019\-][^\W\d_]+)*")
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
)
_BREAK: Final = re.compile(
    r"[^\s.!?:\"'\u2019\u2018“”«»()\-\u2013—…。、\uff0c\uff01\uff1f\uff1a¿¡*_#>]"
)
"""A character between two words after which they are in no row."""

_DISGUISE: Final = re.compile(r"[^\t\n\r\x20-\x7e]|%[0-9A-Fa-f]{2}|&#|\\[ux0-9]|/\*")
_COMMENT: Final = re.compile(r"(?:--|#|/\*)[^\n]*")
_QUOTED: Final = re.compile(
    r"“[^“”\n]{0,500}”|«[^«»\n]{0,500}»|(?<!\w)\"[^\"\n]{0,500}\"(?!\w)|(?<!\w)'[^'\n]{0,500}'(?!\w)"
)

_AFTER_QUOTE: Final = re.compile(
    r"(?i)[\s)]*(?:\Z|[-+*/%|&=<>!^;#,]|(?:and|between|collate|div|else|end|except|for|from|group"
    r"|having|in|intersect|into|is|like|limit|minus|mod|not|offset|or|order|procedure|regexp|rlike"
    r"|sounds|then|union|when|where|xor)\b)"
)
"""What makes SQL of the text after a closed string."""

_INFLECTED: Final = re.compile(r"(?i)(?:ed|ing|ions?|ive|ors?|s)\b")
_COLUMNS: Final = re.compile(
    r"(?i)\s*(?:all\b|distinct\b)?\s*(?:[\d*@('\"`\[]|null\b|\w+\s*[,(]|\w+\.\w|\w+\s+(?:from|as)\b"
    r"|\w+\s*(?:--|#|;|/\*|\|\|))"
)
"""What a list of columns begins with."""

_COLUMN_AT_END: Final = re.compile(r"\s+[A-Za-z_][A-Za-z0-9_]*\s*\Z")

_PLAIN_BEFORE: Final = re.compile(
    r"(?:\A|(?:\A|[\s(])[^\W\d_]+(?:['\u2019-][^\W\d_]+)*[:,.!?…]?|[^\d\s'\"][:.!?]\s|[。\uff01\uff1f\uff1a\uff0c、])"
    r"[\s(]*\Z"
)
_ITEM: Final = re.compile(r"(?:\A|\n)\s{0,8}[-*+•>][ \t]+\Z|\n\s{0,8}\d{1,3}\.[ \t]+\Z")
"""The mark of an item of a list."""

_VALUE_BEFORE: Final = re.compile(r"(?:[=<>|&+/%;\d'\"\])]|\bnull)[\s(]*\Z", re.IGNORECASE)
_ASSIGNED: Final = re.compile(r"[=<>|&+/%;]\s*[^\s=]{0,64}[\s(]*\Z")

_SELECT: Final = re.compile(
    r"(?i)\bselect\s+(?:all\s+|distinct\s+)?(?:[\w.*\"`\[\]]+|'[^'\n]{0,64}')"
    r"(?:\s{0,8}\([^()\n]{0,64}\))?(?:\s+as\s+\w+)?\s*(?:,|from\b|union\b|\Z|\n)"
)
_STATEMENT: Final = re.compile(
    r"(?i)\s*(?:--[^\n]*\n\s*)*\(*\s*(?:(?:select|with|explain|create|insert|values)\b)"
)
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+-]{0,20}[ \t]*\n|(?i:(?:my|pg|pl)?sql)[ \t]+")

_TO_RUN: Final = re.compile(
    r"(?i)(?:(?:\A|[.!;:,\n\x00])[ \t]*"
    r"|\b(?:and|bitte|just|kindly|now|please|then|(?:can|could|will|would)[ ]you|you[ ]to)[ ]+)"
    r"(?:please[ ]+)?"
    r"(?:apply|call|enter|exec|execute|fire|inject|input|insert|issue|launch|paste|perform|put|query"
    r"|run|send|submit|try|type|use)\b"
    r"|\b(?:ejecut\w+|ex[e\u00e9]cut(?:ez|er)|lanc(?:ez|er)|esegu\w+|f[u\u00fc]hr\w*|ausf[u\u00fc]hr\w*"
    r"|выполни\w*|запусти\w*|wykonaj|uruchom|voer)\b|执行|运行|実行"
)
"""An order to run something: a verb that begins a sentence, or follows a word such as "please"."""

_QUESTION: Final = re.compile("[?\uff1f]")
_QUESTION_AT_END: Final = re.compile(r"\w\s?[?\uff1f]\s*\Z")
_SENTENCE_END: Final = re.compile(r"[.?!:;。\uff01\uff1f\uff1a]\s|\n")

_WORDS_IN_A_ROW: Final = 3
_WORDS_OF_A_QUESTION: Final = 2
_WORDS_AROUND_AN_INJECTION: Final = 3


class SqlProse:
    """Judges the SQL that is found in one text."""

    __slots__ = ("_breakout", "_judged", "_regions", "_text", "is_input")

    def __init__(self, text: str, *, is_input: bool) -> None:
        """Args:
        text: the text.
        is_input: whether a user may have written it, so that it may ask to run the SQL. Else it
            may be a part of an answer.
        """
        self._text = text
        self.is_input = is_input
        self._regions = code_regions(text, may_be_cut=not is_input)
        self._breakout = _breakouts(text)
        self._judged = 0

    def is_talk(self, start: int, end: int) -> bool:
        """Returns whether the SQL at a span is what prose talks about."""
        self._judged += 1
        text = self._text
        start, end = _trimmed(text, start, end)
        if end - start > MAX_SQL or self._judged > MAX_SPANS or start >= end:
            return False
        if _DISGUISE.search(text, start, end):
            return False
        region = region_around(self._regions, start, end)
        if region is not None:
            return self._is_talk_in_code(region, start, end)
        return self._is_talk_without_marks(start, end)

    def _is_talk_in_code(self, region: CodeRegion, start: int, end: int) -> bool:
        text = self._text
        begin = region.inner_start
        is_fence = begin - region.start >= FENCE
        if is_fence and (language := _LANGUAGE.match(text, begin)) and language.end() <= start:
            begin = language.end()
        outside = self._outside(region.start, region.end)
        words = _count(outside)
        is_statement = _STATEMENT.match(text, begin) is not None and not (
            self.is_input and self._breaks_out(start)
        )
        is_bare = _is_bare(text, start, end, region.inner_end)
        if is_statement or is_bare or self._is_query(begin, start):
            has_words = words >= 1 or (is_fence and is_statement)
            return has_words and self._may_be_run(outside, start, end)
        return self._is_quoted_injection(outside, words)

    def _is_quoted_injection(self, outside: str, words: int) -> bool:
        if words < _WORDS_AROUND_AN_INJECTION:
            return False
        return not self._asks_to_run(outside)

    def _may_be_run(self, outside: str, start: int, end: int) -> bool:
        """Returns whether the SQL may be run if the words around it ask to run it."""
        return _is_union(self._text, start, end) or not self._asks_to_run(outside)

    def _asks_to_run(self, outside: str) -> bool:
        """Returns whether the words around SQL ask to run it, and ask no question."""
        return (
            self.is_input
            and _TO_RUN.search(outside) is not None
            and _QUESTION.search(outside) is None
        )

    def _is_talk_without_marks(self, start: int, end: int) -> bool:
        text = self._text
        inflected = _INFLECTED.match(text, end)
        if inflected is not None and text[end - 1].isalpha():
            return _count(self._outside(start, inflected.end())) >= 1
        for quotes in _QUOTED.finditer(text, max(0, start - MAX_QUOTED), end + MAX_QUOTED):
            if quotes.start() < start and quotes.end() > end:
                return self._is_talk_in_quotes(quotes.start(), quotes.end(), start, end)
        if self._breaks_out(start):
            return False
        if _is_bare(text, start, end, len(text)) and _is_plain_before(text, start):
            column = _COLUMN_AT_END.match(text, end)
            return _longest_row(self._outside(start, column.end() if column else end)) >= 1
        begin = self._query_start(max(0, start - WINDOW), start)
        return (
            _is_plain_before(text, begin)
            and self._may_be_run(self._outside(start, end), start, end)
            and self._has_prose(begin, end)
        )

    def _is_talk_in_quotes(self, first: int, last: int, start: int, end: int) -> bool:
        """Returns whether SQL in quotation marks, from `first` to `last`, is talk."""
        text = self._text
        inner = text[first + 1 : last - 1]
        is_bare = _is_bare(text, start, end, last - 1)
        if text[first] in "'\"" and self._breaks_out(first + 1):
            # The mark may close a string of a query, and the last one open another.
            if any(mark in inner for mark in ("--", "#", "/*", ";", "'", '"')):
                return False
            ending = _WORD.findall(inner)[-1:]
            is_open = not inner.rstrip()[-1:].isalnum() or ending[0].lower() in _KEYWORDS
            if is_open and not is_bare:
                return False
        outside = self._outside(first, last)
        words = _count(outside)
        if is_bare or self._is_query(first + 1, start):
            return words >= 1 and self._may_be_run(outside, start, end)
        return self._is_quoted_injection(outside, words)

    def _has_prose(self, begin: int, end: int) -> bool:
        """Returns whether words stand before a query without marks, or in the next sentence."""
        text = self._text
        before = self._masked(max(0, begin - WINDOW), begin)
        row = _longest_row(before)
        if row >= _WORDS_IN_A_ROW:
            return True
        if _COMMENT.match(text, end) is not None:
            return False
        rest = self._masked(end, min(len(text), end + WINDOW))
        if row >= _WORDS_OF_A_QUESTION:
            if before.rstrip().endswith((":", "\uff1a")):
                return True
            if _QUESTION_AT_END.search(rest) is not None:
                return True
        sentence = _SENTENCE_END.search(rest)
        return (
            sentence is not None and row + _longest_row(rest[sentence.end() :]) >= _WORDS_IN_A_ROW
        )

    def _breaks_out(self, position: int) -> bool:
        return self._breakout is not None and self._breakout < position

    def _is_query(self, begin: int, start: int) -> bool:
        """Returns whether the SQL at `start` is a part of a query that begins at `begin`."""
        text = self._text
        first = self._query_start(begin, start)
        if first == start and _VALUE_BEFORE.search(text, begin, start):
            return False
        before = text[begin:first]
        return not before.strip(" \t\n(") or _is_plain_before(text, first, begin)

    def _query_start(self, begin: int, start: int) -> int:
        """Returns the start of the query that the SQL at `start` goes on with; else `start`."""
        first = start
        for match in list(_SELECT.finditer(self._text, begin, start))[-MAX_SELECTS:]:
            rest = self._masked(match.end(), start)
            if _longest_row(rest) < _WORDS_IN_A_ROW:
                first = match.start()
                break
        return first

    def _outside(self, start: int, end: int) -> str:
        """Returns the text around a span, without code and quotes."""
        text = self._text
        before = self._masked(max(0, start - WINDOW), start)
        return f"{before} \x00 {self._masked(end, min(len(text), end + WINDOW))}"

    def _masked(self, start: int, end: int) -> str:
        """Returns a part of the text with a control character for code, quotes and comments."""
        text, parts, position = self._text, [], start
        for region in self._regions:
            if region.end <= position or region.start >= end:
                continue
            parts.append(text[position : max(position, region.start)])
            position = min(end, region.end)
        parts.append(text[position:end])
        return _COMMENT.sub("\x00", _QUOTED.sub("\x00", "\x00".join(parts)))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns a span without the blanks and backticks at its ends."""
    while start < end and (text[start].isspace() or text[start] == "`"):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] == "`"):
        end -= 1
    return start, end


def _breakouts(text: str) -> int | None:
    """Returns where the text closes a string of a query that it is put into; None if nowhere.

    In a string, two quotes are one. After the first other quote, only SQL can follow.
    """
    places: list[int] = []
    for quote in ("'", '"', "\uff07", "\u02bc"):
        position = text.find(quote)
        for _ in range(MAX_QUOTES):
            if position < 0:
                break
            if text[position + 1 : position + 2] == quote:
                position = text.find(quote, position + 2)
                continue
            if _AFTER_QUOTE.match(text, position + 1):
                places.append(position)
            if position == 0 or text[position - 1] != "\\":
                break
            position = text.find(quote, position + 1)
        else:
            places.append(position)
    return min(places, default=None)


def _is_union(text: str, start: int, end: int) -> bool:
    return text[start:end].lower().split() in (["union", "select"], ["union", "all", "select"])


def _is_bare(text: str, start: int, end: int, limit: int) -> bool:
    """Whether the SQL is nothing but `UNION SELECT`, without columns before `limit`."""
    return _is_union(text, start, end) and _COLUMNS.match(text, end, limit) is None


def _is_plain_before(text: str, position: int, first: int = 0) -> bool:
    """Whether a word, the end of a sentence or nothing stands before SQL: no value.

    Args:
        text: the text.
        position: the start of the SQL.
        first: where the part of the text begins that counts.
    """
    begin = max(first, position - MAX_BEFORE)
    before = text[begin:position]
    if _ITEM.search(before) is not None:
        return True
    return (
        _VALUE_BEFORE.search(before) is None
        and _ASSIGNED.search(before) is None
        and (not before.strip(" \t\n(") or _PLAIN_BEFORE.search(before) is not None)
    )


def _count(text: str) -> int:
    """Returns the number of words."""
    words = [each for each in _WORD.findall(text) if _is_ordinary(each.lower())]
    unspaced = len(_UNSPACED.findall(text))
    return sum(_UNSPACED.search(each) is None for each in words) + unspaced // 2


def _is_ordinary(word: str) -> bool:
    return len(word) > 1 and word not in _KEYWORDS


def _longest_row(text: str) -> int:
    """Returns the number of words in the longest row of words that no keyword interrupts."""
    longest = row = position = 0
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if _BREAK.search(text, position, match.start()) or word in _KEYWORDS:
            row = 0
        position = match.end()
        if _is_ordinary(word) and word not in _NEUTRAL:
            unspaced = len(_UNSPACED.findall(word))
            row += unspaced // 2 if unspaced else 1
        longest = max(longest, row)
    return longest
