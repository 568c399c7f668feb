r"""Reads a text as a shell reads a command line, without the quoting that hides words.

A shell runs `r''m`, `\rm`, `rm${IFS}-rf`, `{rm,-rf,/}`, `$'\x72m'`, `x=rm; $x` and `$(echo rm)`
all as `rm`. `unquote` returns a variant of a text with the words that are run. It is only tried if
a mark of such a trick is in the text, so that quotes in prose, JSON and code cost one search.

Only what stands in the text is read: no files, no results of other commands, and no patterns of
file names. A quoted word with a blank in it stays quoted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import re2

from pdp.engine.text.variants import VariantBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.engine.text.locations import Segment

    _Reading = Callable[[re.Match[str]], str | None]

MAX_TOKENS: Final = 10_000
"""How many special characters of a text are read; the rest of the text is copied."""

MAX_VARIABLES: Final = 100
"""How many variables a text can set."""

MAX_EXPANSION: Final = 65_536
"""How many characters the values of variables can add to a text."""

_COMMAND_START: Final = r"(?:^|[;&|(`\n]\s*|\b(?:sudo|exec|env|nohup|xargs|then|do|time)\s+)"
_MARKS: Final = "|".join(
    (
        r"""\w(?:''|"")\w""",  # r''m
        r"""[A-Za-z](?:'[A-Za-z/-]{1,12}'|"[A-Za-z/-]{1,12}")(?:[\s\w]|$)""",  # r'm'
        r"""(?:'[A-Za-z]{1,12}'|"[A-Za-z]{1,12}")[A-Za-z]""",  # 'r'm
        _COMMAND_START + r"""(?:'[\w./-]+'|"[\w./-]+")\s+[-/~*$'"{]""",  # 'rm' -rf
        _COMMAND_START + r"[A-Za-z]{0,12}\\[A-Za-z]",  # \rm
        r"[/-]\w*[A-Za-z]\\[A-Za-z]",  # /etc/pass\wd
        r"\\\n",  # a line that goes on
        r"\$\{?IFS|\$'[^']*\\|[$`]\(?\s*(?:echo|printf)\s",
        r"[A-Za-z]\$(?:[@*1-9]|\{[@*1-9]\})[A-Za-z]",  # r$@m
        r"""(?:^|[\s;&|(`'"])\{['"A-Za-z/.](?:[^\s{}:]|:/)*,(?:[^\s{}:]|:/)*\}(?:[\s;&|)`'"]|$)""",
        r"""(?s:(?:^|[;&|\s(`'"])[A-Za-z_]\w*=[^\s;&|=].*\$\{?[A-Za-z_])""",  # x=rm; $x
    )
)


def _compile_marks() -> Callable[[bytes], Sequence[int]]:
    """Returns the search for a mark. A set is searched without a match object."""
    options = re2.Options()
    options.log_errors = False
    marks = re2.Set.SearchSet(options)
    marks.Add(_MARKS.encode())
    # It matches at the end of any text: no match at all says that RE2 ran out of memory.
    marks.Add(rb"\z")
    marks.Compile()
    return marks._set.Match  # type: ignore[no-any-return] # the wrapper takes texts, too


_match_marks: Final = _compile_marks()

_SPECIAL: Final = re.compile(r"[\\'\"$`{=]")
_SINGLE: Final = re.compile(r"'([^'\s]{0,256}+)'")
_DOUBLE: Final = re.compile(r'"([^"\s]{0,256}+)"')
_ANSI: Final = re.compile(r"\$'((?:[^'\\\n]|\\.){0,256}+)'")
_SEPARATOR: Final = re.compile(r"\$\{IFS[^}\s]{0,32}+\}|\$IFS(?!\w)(?:\$[0-9])?")
_EMPTY: Final = re.compile(r"\$(?:[@*1-9]|\{[@*1-9]\})(?=\w)")
_WORD: Final = r"""(?:'[^'\n]{0,256}+'|"[^"`$\n]{0,256}+"|[^\s()`|;&$'"]{1,256}+)"""
_OUTPUT: Final = re.compile(
    rf"\$\(\s{{0,8}}+(?:echo|printf)\s{{1,8}}+(?:-[neE]{{1,3}}\s{{1,8}}+)?({_WORD}++)\s{{0,8}}+\)"
    rf"|`\s{{0,8}}+(?:echo|printf)\s{{1,8}}+(?:-[neE]{{1,3}}\s{{1,8}}+)?({_WORD}++)\s{{0,8}}+`"
)
_VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w{0,31}+)(?!\w)|\{([A-Za-z_]\w{0,31}+)\})")
_NAME: Final = re.compile(r"(?:^|[\s;&|(`'\"])([A-Za-z_]\w{0,31})\Z")
_VALUE: Final = re.compile(
    r"""=((?:'[^'\n]{0,64}+'|"[^"`$\n]{0,64}+"|[^\s()`|;&$'"]{1,64}+){1,8}+)(?=[\s;&|)`'"]|\Z)"""
)
_BRACE_MARK: Final = re.compile(r"[{},'\"]")
_BRACES: Final = re.compile(r"\{([^\s{}$`\\]{1,256}+)\}(?=[\s;&|)`'\"]|\Z)")
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|([0-7]{1,3})|(.))")
_BEFORE_WORD: Final = frozenset("\t\n\r ;&|(`'\"")


def may_be_quoted(text: str) -> bool:
    """Returns whether a text has a mark of a quoting trick. Fast: most texts have no quotes."""
    # A search for one character is much faster than a search for a set.
    return (
        "'" in text or '"' in text or "$" in text or "\\" in text or "{" in text or "`" in text
    ) and len(_match_marks(text.encode())) != 1


def unquote(segment: Segment) -> Segment | None:
    """Returns the variant of `segment` with the words that a shell runs.

    Returns None if there is no mark of a quoting trick, or nothing to replace.
    """
    return _Reader(segment).read() if may_be_quoted(segment.text) else None


class _Reader:
    """Reads a text from its begin to its end, and builds the variant."""

    def __init__(self, segment: Segment) -> None:
        self._text = segment.text
        self._variant = VariantBuilder(segment)
        self._done = 0
        self._closing: set[int] = set()
        self._values: dict[str, str] = {}
        self._added = 0
        self._changed = False
        self._readers: dict[str, Callable[[int], int]] = {
            "\\": self._escape,
            "'": self._single,
            '"': self._double,
            "$": self._dollar,
            "`": self._output,
            "{": self._braces,
            "=": self._assignment,
        }
        self._expansions: tuple[tuple[re.Pattern[str], _Reading], ...] = (
            (_SEPARATOR, lambda _: " "),
            (_ANSI, lambda match: _decoded(match[1])),
            (_OUTPUT, _output),
            (_EMPTY, self._empty),
            (_VARIABLE, self._value),
        )

    def read(self) -> Segment | None:
        text, position = self._text, 0
        for _ in range(MAX_TOKENS):
            special = _SPECIAL.search(text, position)
            if special is None:
                break
            begin = special.start()
            if begin in self._closing:
                self._replace(begin, begin + 1, "")
                position = begin + 1
            else:
                position = self._readers[text[begin]](begin)
        self._variant.add(text[self._done :], self._done)
        return self._variant.build() if self._changed else None

    def _replace(self, begin: int, end: int, replacement: str) -> None:
        """Replaces the characters from `begin` to `end` of the text."""
        self._variant.add(self._text[self._done : begin], self._done)
        self._variant.add(replacement, begin, end - begin)
        self._done = end
        self._changed = True

    def _escape(self, begin: int) -> int:
        """Removes a backslash before a letter, and before a line break with it."""
        following = self._text[begin + 1 : begin + 2]
        if following == "\n":
            self._replace(begin, begin + 2, "")
        elif following.isalpha() and following.isascii():
            self._replace(begin, begin + 1, "")
        return begin + 2

    def _single(self, begin: int) -> int:
        return self._open(_SINGLE.match(self._text, begin), begin)

    def _double(self, begin: int) -> int:
        return self._open(_DOUBLE.match(self._text, begin), begin)

    def _open(self, quoted: re.Match[str] | None, begin: int) -> int:
        """Removes an opening quote, and notes the closing one."""
        if quoted is not None:
            self._closing.add(quoted.end() - 1)
            self._replace(begin, begin + 1, "")
        return begin + 1

    def _dollar(self, begin: int) -> int:
        text = self._text
        for pattern, reading in self._expansions:
            match = pattern.match(text, begin)
            if match is not None:
                replacement = reading(match)
                if replacement is None:
                    break
                self._replace(begin, match.end(), replacement)
                return match.end()
        return begin + 1

    def _empty(self, parameter: re.Match[str]) -> str | None:
        """Returns the empty value of a parameter inside a word; None outside of one."""
        begin = parameter.start()
        return "" if begin and self._text[begin - 1].isalnum() else None

    def _value(self, variable: re.Match[str]) -> str | None:
        value = self._values.get(variable[1] or variable[2])
        if value is None or self._added + len(value) > MAX_EXPANSION:
            return None
        self._added += len(value)
        return value

    def _output(self, begin: int) -> int:
        match = _OUTPUT.match(self._text, begin)
        if match is None:
            return begin + 1
        self._replace(begin, match.end(), _output(match))
        return match.end()

    def _braces(self, begin: int) -> int:
        """Writes the words in braces with spaces between them."""
        text = self._text
        match = _BRACES.match(text, begin)
        first = begin == 0 or text[begin - 1] in _BEFORE_WORD
        if match is None or not first or "," not in match[1]:
            return begin + 1
        for mark in _BRACE_MARK.finditer(text, begin, match.end()):
            self._replace(mark.start(), mark.end(), " " if mark[0] == "," else "")
        return match.end()

    def _assignment(self, begin: int) -> int:
        """Notes the value of a variable; the assignment stays in the text."""
        name = _NAME.search(self._text[max(0, begin - 33) : begin])
        value = _VALUE.match(self._text, begin) if name is not None else None
        if name is not None and value is not None and len(self._values) < MAX_VARIABLES:
            self._values[name[1]] = _plain(value[1])
        return begin + 1


def _output(match: re.Match[str]) -> str:
    return _plain(match[1] or match[2])


def _plain(word: str) -> str:
    """Returns a word without its quotes and with its escapes decoded."""
    return _decoded(word.replace("'", "").replace('"', ""))


def _decoded(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "", "b": "", "e": "", "f": " ", "v": " "}


def _character(escape: re.Match[str]) -> str:
    """Returns the character that an escape stands for."""
    hexadecimal = escape[1] or escape[2]
    if hexadecimal:
        code = int(hexadecimal, 16)
    elif escape[3]:
        code = int(escape[3], 8)
    else:
        return _CONTROLS.get(escape[4], escape[4])
    return chr(code)
