"""The words of a command line that are quoted text: a commit message, or what `grep` looks for.

`git commit -m "Explain rm -rf /"` runs no `rm`. `quoted_texts` returns such words, if the whole
text is a command line of a few commands that run nothing of what they read or print. A line that it
does not understand has none: with a substitution, a heredoc, an alias, another command, or a
redirection to a file, the words of a message may be run after all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_TEXT: Final = 8192
"""Longer command lines have no quoted texts."""

MAX_WORDS: Final = 500
"""Command lines with more words have no quoted texts."""

_WORD: Final = re.compile(
    r"""[ \t]*+(?:
        (?P<end>&&|\|\||[;|\n]|\Z)
        |(?P<quiet>(?:[12&]?>>?[ ]?/dev/null|2>&1)(?![^\s;&|]))
        |(?P<comment>\#[^\n]*+)
        |(?P<option>--?[A-Za-z][A-Za-z-]*+=?)?+
         (?:'(?P<single>[^']*+)'|"(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)")(?![^\s;&|])
        |(?P<plain>[\w./@:,+%^~*?-]++(?:=[\w./@:,+%^~*?-]++)?+)(?![^\s;&|])
    )""",
    re.VERBOSE | re.DOTALL,
)
"""A word, or what stands between words. Everything else is not understood."""

_SUBSTITUTION: Final = re.compile(r"`|\$\(")

_WINDOWS: Final = re.compile(
    r"(?i)[&|\n]\s*(?:bcdedit|bitsadmin|certutil|cipher|cmd|del|diskpart|erase|format|fsutil|icacls"
    r"|mshta|net|powershell|pwsh|rd|reg|rmdir|rundll32|sc|schtasks|shutdown|takeown|vssadmin"
    r"|wevtutil|wmic)(?:\.exe)?\b"
)
"""A command of Windows after a separator: `cmd.exe` knows no single quotes and no `\\"`."""

_GREP: Final = frozenset({"egrep", "fgrep", "grep", "rg"})
_GREP_OPTION: Final = re.compile(
    r"-[A-Za-z]{1,8}|-[ABCm]?\d{1,4}|--(?:color|colour|exclude|exclude-dir|include)(?:=\S*)?"
    r"|--(?:count|extended-regexp|fixed-strings|ignore-case|line-number|recursive|word-regexp)"
)
_COMMIT_OPTION: Final = re.compile(r"-[aeqsnvFS]{1,6}|--(?:all|amend|no-verify|quiet|signoff)")
_MESSAGE: Final = re.compile(r"-[aqsnv]{0,5}m|--message=?")
_GIT_READS: Final = frozenset({"add", "commit", "diff", "log", "push", "show", "status"})
_GIT_PUSH: Final = frozenset({
    "-f", "-q", "-u", "--force", "--force-with-lease", "--no-verify", "--quiet", "--set-upstream",
    "--tags",
})  # fmt: skip
_GIT_OPTION: Final = re.compile(r"-[A-Za-z0-9]{1,4}|--(?:all|cached|oneline|short|staged|stat)")
_READERS: Final = frozenset({
    "cat", "cd", "cut", "dmesg", "echo", "head", "history", "journalctl", "ls", "nl", "ps", "pwd",
    "tac", "tail", "tr", "true", "uniq", "wc",
})  # fmt: skip
"""Commands that run nothing. `sort` is none of them: it has an option that runs a program."""

_READER_OPTION: Final = re.compile(r"-[A-Za-z0-9]{0,8}")


class _ShellWord(NamedTuple):
    """A word of a command.

    Attributes:
        text: the word without its quotes, and with the option before them.
        option: the option that a quoted word follows directly, such as `--message=`.
        span: the span of the text between the quotes; None if there are none.
    """

    text: str
    option: str = ""
    span: tuple[int, int] | None = None


def quoted_texts(line: str) -> Sequence[tuple[int, int]]:
    """Returns the spans of the commit messages and `grep` patterns in a command line.

    Args:
        line: the command line. It may have several lines and several commands.
    """
    if len(line) > MAX_TEXT or not ('"' in line or "'" in line):
        return ()
    commands = _commands(line)
    if commands is None:
        return ()
    spans: list[tuple[int, int]] = []
    for words in commands:
        own = _spans(words)
        if own is None:
            return ()
        spans += own
    return spans


def _commands(line: str) -> list[list[_ShellWord]] | None:
    """Returns the words of each command; None if the line is not understood."""
    commands: list[list[_ShellWord]] = [[]]
    position = 0
    for _ in range(MAX_WORDS):
        match = _WORD.match(line, position)
        if match is None:
            return None
        position = match.end()
        if match["end"] is not None:
            commands.append([])
            if position == len(line) and not match["end"]:
                return [words for words in commands if words]
        elif match["plain"] is not None:
            commands[-1].append(_ShellWord(match["plain"]))
        elif match["single"] is not None or match["double"] is not None:
            kind = "single" if match["single"] is not None else "double"
            if _SUBSTITUTION.search(match[kind]) or _WINDOWS.search(match[kind]):
                return None
            option = match["option"] or ""
            commands[-1].append(_ShellWord(option + match[kind], option, match.span(kind)))
    return None


def _spans(words: Sequence[_ShellWord]) -> list[tuple[int, int]] | None:
    """Returns the spans of one command; None if the command may run what it reads."""
    name, rest = words[0], words[1:]
    if name.span is not None:
        return None
    if name.text in _GREP:
        return _patterns(rest)
    if name.text == "git":
        return _of_git(rest)
    if name.text in _READERS:
        is_safe = all(
            each.span is not None or _is_operand(each) or _READER_OPTION.fullmatch(each.text)
            for each in rest
        )
        return [] if is_safe else None
    return None


def _is_operand(word: _ShellWord) -> bool:
    return not word.text.startswith("-") and "=" not in word.text


def _patterns(words: Sequence[_ShellWord]) -> list[tuple[int, int]] | None:
    """Returns the span of the pattern that `grep` looks for, if it is quoted."""
    spans: list[tuple[int, int]] = []
    is_first = True
    for word in words:
        if word.option or (word.span is None and word.text.startswith("-")):
            if _GREP_OPTION.fullmatch(word.text) is None:
                return None
        elif is_first:
            is_first = False
            if word.span is not None:
                spans.append(word.span)
    return spans


def _of_git(words: Sequence[_ShellWord]) -> list[tuple[int, int]] | None:
    """Returns the spans of the messages of a commit; none for other commands that run nothing."""
    if len(words) > 2 and words[0].text == "-C":  # noqa: PLR2004 - the option and its folder
        words = words[2:]
    if not words or words[0].span is not None or words[0].text not in _GIT_READS:
        return None
    command, rest = words[0].text, words[1:]
    if command == "commit":
        return list(_messages(rest)) if all(_is_of_commit(rest)) else None
    for word in rest:
        if word.option or (word.span is None and "=" in word.text):
            return None
        if word.text.startswith("-"):
            is_known = word.text in _GIT_PUSH if command == "push" else _is_git_option(word.text)
            if not is_known:
                return None
    return []


def _is_git_option(text: str) -> bool:
    return text == "--" or _GIT_OPTION.fullmatch(text) is not None


def _is_of_commit(words: Sequence[_ShellWord]) -> Iterator[bool]:
    """Yields whether each word may follow `git commit`."""
    for index, word in enumerate(words):
        is_value = index > 0 and _MESSAGE.fullmatch(words[index - 1].text) is not None
        if is_value or (word.option and _MESSAGE.fullmatch(word.option)):
            yield True
        elif word.option or word.text.startswith("-"):
            is_known = _MESSAGE.fullmatch(word.text) or _COMMIT_OPTION.fullmatch(word.text)
            yield word.span is None and is_known is not None
        else:
            yield True


def _messages(words: Sequence[_ShellWord]) -> Iterator[tuple[int, int]]:
    for index, word in enumerate(words):
        if word.span is None:
            continue
        follows = index > 0 and words[index - 1].span is None
        if _MESSAGE.fullmatch(word.option) or (
            not word.option and follows and _MESSAGE.fullmatch(words[index - 1].text)
        ):
            yield word.span
