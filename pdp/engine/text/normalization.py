"""Other readings of a text, so that nothing hides from the patterns behind the way it is written.

A text of plain ASCII without escapes has none, and pays for a few look-ups to know it. Else it is
read

* folded: characters that look like ASCII ones are those (full-width and mathematical forms, digits
  of other scripts, dashes, spaces), and invisible characters and combining marks are left out;
* decoded: percent-encoded characters are what they stand for; what comes of that may be folded and
  decoded once more;
* without SQL comments, each of which is a space.

Each reading knows where its characters come from, so that what is found in it is redacted where it
stands in the request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import re2

from pdp.engine.text.characters import FOLDS, LEFT_OUT, MARKS, TAGS, foreign_marks
from pdp.engine.text.locations import Origin, Segment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_MAX_DECODINGS: Final = 2
"""An attack may be encoded twice."""


def _ranges(codes: Collection[int]) -> Iterator[tuple[int, int]]:
    begin = end = -2
    for code in sorted(codes):
        if code != end + 1:
            if begin >= 0:
                yield begin, end
            begin = code
        end = code
    yield begin, end


def _class(codes: Collection[int]) -> str:
    """Returns a character class of the standard library."""
    return "".join(f"\\U{begin:08x}-\\U{end:08x}" for begin, end in _ranges(codes)).join("[]")


def _re2_class(codes: Collection[int]) -> str:
    return "".join(f"\\x{{{begin:x}}}-\\x{{{end:x}}}" for begin, end in _ranges(codes)).join("[]")


_UNSEEN_OR_ALIKE: Final = _re2_class({*FOLDS, *LEFT_OUT, *MARKS})
_FOREIGN_MARK: Final = (
    f"(?:[!-~]|{_re2_class(FOLDS)}){_re2_class({*LEFT_OUT, *MARKS})}*"
    r"[\p{Mn}\p{Me}\p{Cf}]"
)
"""A mark or a format character next to what is, or looks like, ASCII, where none of a script is."""

_TO_FOLD: Final = re2.compile(f"{_UNSEEN_OR_ALIKE}|{_FOREIGN_MARK}".encode())
_MARKED: Final = re2.compile(_FOREIGN_MARK.encode())
_LOOK_ALIKES: Final = re.compile(_class(FOLDS) + "+")
_UNSEEN: Final = re.compile(f"({_class(MARKS)}*){_class({*LEFT_OUT, *MARKS})}*")
_UNSEEN_BEGIN: Final = re.compile(_class({*LEFT_OUT, *MARKS}))
_LOOK_ALIKE: Final = frozenset(map(chr, FOLDS))
_UNSEEN_CHARACTERS: Final = frozenset(map(chr, LEFT_OUT | MARKS))
_TAGS: Final = frozenset(map(chr, TAGS))
_TAGS_BEGIN: Final = "\U000e0000".encode()[:2]
_NO_TAGS: Final = dict.fromkeys(TAGS, "\N{ZERO WIDTH SPACE}")
_FEW: Final = 16
"""Up to so many different characters are replaced one after the other, which prose is spared by."""

# Begins with the character itself, which the search then leaps to.
_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*")
_ENCODED_WORD: Final = re.compile(
    r"(?<!\S)[^\s%]*+(?:%(?![0-9A-Fa-f]{2})[^\s%]*+)*+%[0-9A-Fa-f]{2}\S*+"
)
_COMMENT: Final = re.compile(r"/\*(?:!\d*)?|\*/")


def readings(segment: Segment) -> tuple[Segment, ...]:
    """Returns `segment`, and the other ways to read it that differ from it."""
    text = segment.text
    plain = text.isascii()
    if plain and not _may_be_encoded(text):
        return (segment,)
    found = [segment, *_foldings(segment)]
    as_written = found[-1]
    for _ in range(_MAX_DECODINGS):
        decoded = _decoded(found[-1])
        if decoded is None:
            break
        found += (decoded, *_foldings(decoded))
    # Last: what stands in a comment is read in every other way before. And with escapes as well as
    # without: an escaped end of a comment is one to who decodes it, and none to who does not.
    decoded = found[-1]
    for each in (decoded,) if decoded is as_written else (as_written, decoded):
        uncommented = _uncommented(each)
        if uncommented is not None:
            found.append(uncommented)
    return tuple(found)


def _may_be_encoded(text: str) -> bool:
    # One character is looked for much faster than two.
    return "%" in text or ("*" in text and "/*" in text)


class _Pieces:
    """A reading in the making: see `Origin`."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.text: list[str] = []
        self.length = 0
        self.at: list[int] = []
        self.to: list[int] = []
        self.widths: list[int] = []
        self.trailing: list[int] = []

    def add(self, text: str, to: int, width: int = 0, trailing: int = 0) -> None:
        """Adds a piece: of many characters where it is copied, of one where it has a width."""
        if not text:
            return
        self.text.append(text)
        self.at.append(self.length)
        self.to.append(to)
        self.widths.append(width)
        self.trailing.append(trailing)
        self.length += len(text)

    def reading(self) -> Segment:
        """Returns what was made."""
        length = len(self.segment.text)
        origin = Origin(
            self.segment,
            (*self.at, self.length),
            (*self.to, length),
            (*self.widths, 0),
            (*self.trailing, 0),
        )
        text = "".join(self.text)
        return Segment(self.segment.path, text, text.encode(), origin)


def _foldings(segment: Segment) -> Iterator[Segment]:
    """Yields the folded readings; none of a text that hides nothing."""
    text, data = segment.text, segment.data
    if text.isascii():
        return
    if not _TO_FOLD.search(data):
        return
    if _MARKED.search(data) and (marks := foreign_marks(set(text))):
        text = text.translate(marks)
    if _TAGS_BEGIN in data and not _TAGS.isdisjoint(text):
        # They may be a text of their own, and they may merely stand between other characters.
        yield _folded(segment, text.translate(_NO_TAGS))
    yield _folded(segment, text)


def _folded(segment: Segment, text: str) -> Segment:
    """Returns the folded reading of `text`, which is that of `segment`, character by character."""
    characters = set(text)
    look_alikes = characters & _LOOK_ALIKE
    if len(look_alikes) <= _FEW:
        for character in look_alikes:
            text = text.replace(character, FOLDS[ord(character)])
    else:
        text = _LOOK_ALIKES.sub(lambda run: run[0].translate(FOLDS), text)
    pieces = _Pieces(segment)
    if characters.isdisjoint(_UNSEEN_CHARACTERS):
        pieces.add(text, 0)
        return pieces.reading()
    done = 0
    while (first := _UNSEEN_BEGIN.search(text, done)) is not None:
        begin = first.start()
        run = _UNSEEN.match(text, begin)
        assert run is not None  # noqa: S101 - it matches nothing as well
        pieces.add(text[done:begin], done, trailing=len(run[1]))
        done = run.end()
    pieces.add(text[done:], done)
    return pieces.reading()


def _decoded(segment: Segment) -> Segment | None:
    """Returns the reading without percent-encoding; None where nothing is encoded."""
    text = segment.text
    escape = _PERCENT.search(text)
    if escape is None:
        return None
    if "+" in text:
        # In what a form has encoded, a plus sign stands for a space.
        text = _ENCODED_WORD.sub(lambda word: word[0].replace("+", " "), text)
    pieces = _Pieces(segment)
    done = 0
    while escape is not None:
        begin, end = escape.span()
        pieces.add(text[done:begin], done)
        _add_characters(pieces, escape[0], begin)
        done = end
        escape = _PERCENT.search(text, done)
    pieces.add(text[done:], done)
    return pieces.reading()


def _uncommented(segment: Segment) -> Segment | None:
    """Returns the reading with a space for each SQL comment; None where there is none."""
    text = segment.text
    first, last_close = text.find("/*"), text.rfind("*/")
    if first < 0 or last_close < first:
        return None
    pieces = _Pieces(segment)
    done = 0
    while (mark := _COMMENT.search(text, done)) is not None:
        begin, end = mark.span()
        if mark[0] == "/*":
            if last_close < end:
                break  # this one has no end
            end = text.index("*/", end) + 2
        # What stands in a conditional comment, a database runs.
        pieces.add(text[done:begin], done)
        pieces.add(" ", begin, end - begin)
        done = end
    pieces.add(text[done:], done)
    return pieces.reading() if any(pieces.widths) else None


def _add_characters(pieces: _Pieces, escapes: str, begin: int) -> None:
    data = bytes.fromhex(escapes.replace("%", ""))
    try:
        characters, one_byte_each = data.decode(), False
    except UnicodeDecodeError:
        characters, one_byte_each = data.decode("latin-1"), True
    for character in characters:
        width = 3 if one_byte_each else 3 * len(character.encode())
        pieces.add(character, begin, width)
        begin += width
