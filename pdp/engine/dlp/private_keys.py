"""Finds the end of a private key, from its header on.

The header is fixed, the rest is not: a key can be cut off, quoted, logged, commented, in source
code or in one line with escapes. A regex for all of that would slow down every scan, so the scan
finds only the header. A key ends before the next header, so no part of a text is searched twice.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

_MARK: Final = re.compile(
    r"-{4,5} ?(BEGIN|END) [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-[23]:"
)
_HEADER_IN_BASE64: Final = "LS0tLS1CRUdJTi"
"""Such a match is the whole key."""

_PUTTY: Final = "PuTTY"
_PUTTY_BODY: Final = re.compile(r"Private-Lines: ?\d{1,4}")
_PUTTY_END: Final = re.compile(r"[^A-Za-z0-9]{0,40}Private-(?:MAC|Hash): ?[0-9a-f]*")
_WORD: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_MIN_RUN: Final = 24
"""Base64 in a row that is a part of a key. A line has 64 to 76, and the last line what is left."""
_MIN_LAST_RUN: Final = 8
_MAX_WORDS_BETWEEN: Final = 10
"""Shorter words between two lines, such as the time and the program that a log has before each."""
_MAX_WORDS_OF_HEADERS: Final = 40
_HEADERS: Final = re.compile(r"(?:Proc-Type|DEK-Info|Version|Comment|Subject|Hash|Charset):")
_BREAK: Final = re.compile(
    r"[\s>#*|]+."  # without quotes: spaces are breaks too
    r"|[^A-Za-z0-9+/]*(?:\n|\\+[nr]|`n|<br|[+.]\s)[^A-Za-z0-9+/]*.?",
    re.DOTALL,
)
_MEMBER: Final = re.compile(r"\\?[\"']\s*[:=]")
"""After the name of a member in JSON or code."""
_CHECKSUM: Final = re.compile(r"[^A-Za-z0-9+/=]{1,80}=[A-Za-z0-9+/]{4}\b")
_PROSE: Final = re.compile(r"[A-Za-z]{2,}[,.]? [A-Za-z]{2,}[,.]? [A-Za-z]{2,}")
_MAX_LINES_OF_PROSE: Final = 8
_LINE: Final = re.compile(r"\r?\n")
_DIGITS: Final = re.compile(r"\d+")


def private_key_end(text: str, start: int, end: int) -> int:
    """Returns where a private key ends; 0 if no part of a key follows the header.

    Args:
        text: the text.
        start: the start of the header in `text`.
        end: the end of the header.
    """
    header = _MARK.match(text, start)
    if header is None:
        return end if text.startswith(_HEADER_IN_BASE64, start) else 0
    following = _MARK.search(text, header.end())
    stop = len(text) if following is None else following.start()
    if header[0].startswith(_PUTTY):
        body = _PUTTY_BODY.search(text, header.end(), stop)
        return 0 if body is None else _end_of_putty(text, body.end(), stop)
    if following is not None and following[1] == "END" and _is_body(text[header.end() : stop]):
        return following.end()
    return _end_of_runs(text, header.end(), stop)


def _end_of_putty(text: str, start: int, stop: int) -> int:
    last = _end_of_runs(text, start, stop)
    mac = _PUTTY_END.match(text, last, stop) if last else None
    return last if mac is None else mac.end()


def _is_body(text: str) -> bool:
    """Whether `text`, between a header and a footer, has base64 and not much prose."""
    runs = (word for word in _WORD.findall(text) if len(word) >= _MIN_RUN)
    if not any(map(_has_all_kinds, runs)):
        return False
    prose = sum(_PROSE.search(line) is not None for line in _LINE.split(text))
    return prose <= _MAX_LINES_OF_PROSE


def _end_of_runs(text: str, start: int, stop: int) -> int:
    """Returns the end of the base64 from `start` on; 0 if there is none."""
    last, first, words, is_random = 0, start, 0, False
    between = _MAX_WORDS_BETWEEN
    for word in _WORD.finditer(text, start, stop):
        if word.end() - word.start() >= _MIN_RUN:
            is_random = is_random or _has_all_kinds(word[0])
            first, last, words = word.start(), word.end(), 0
            between = _MAX_WORDS_BETWEEN
            continue
        words += 1
        if words > between:
            # Before the body there may be headers.
            if last or not _HEADERS.search(text, start, word.end()):
                break
            if words > _MAX_WORDS_OF_HEADERS:
                break
    if not last or not is_random:
        return 0
    return _end_of_last_line(text, first, last, stop)


def _end_of_last_line(text: str, first: int, last: int, stop: int) -> int:
    """Returns the end of the short line that may follow the last full line of a key.

    Args:
        text: the text.
        first: the start of the last full line, after its prefix.
        last: the end of the last full line.
        stop: where to stop.
    """
    word = _first_word_of_next_line(text, first, last, stop)
    if word is not None and not _MEMBER.match(text, word.end()):
        size = word.end() - word.start()
        if size >= _MIN_LAST_RUN or word[0].endswith("="):
            last = word.end()
    checksum = _CHECKSUM.match(text, last, stop)
    return last if checksum is None else checksum.end()


def _first_word_of_next_line(text: str, first: int, last: int, stop: int) -> re.Match[str] | None:
    """Returns the word at which the next line of a key would begin, after its prefix."""
    word = _WORD.search(text, last, stop)
    if word is None:
        return None
    prefix = text[text.rfind("\n", 0, first) + 1 : first]
    line_start = text.find("\n", last, stop) + 1
    if line_start and _WORD.search(prefix):
        # A log has the same words before each line, but other numbers.
        words = sum(1 for _ in _WORD.finditer(prefix))
        word = next(islice(_WORD.finditer(text, line_start, stop), words, None), None)
        if word is None:
            return None
        own = text[line_start : word.start()]
        return word if _DIGITS.sub("0", own) == _DIGITS.sub("0", prefix) else None
    return word if _BREAK.fullmatch(text, last, word.start() + 1) else None


def _has_all_kinds(text: str) -> bool:
    """Whether `text` has lower case, upper case and digits."""
    return all(any(map(kind, text)) for kind in (str.islower, str.isupper, str.isdigit))
