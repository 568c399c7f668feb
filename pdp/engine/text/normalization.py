"""Normalizes a text before it is scanned, so that its spelling cannot hide a value from patterns.

A text of plain ASCII without escapes is scanned as it is; the check costs a few look-ups. Any other
text gets normalized variants, which are scanned too:

* folded: each look-alike of an ASCII character is replaced by that character (full-width and
  mathematical forms, digits of other scripts, dashes, spaces). Invisible characters and combining
  marks are removed.
* decoded: escapes are decoded (percent-encoding, those of JSON and source code, HTML entities). The
  result can be folded, and decoded a second time. A text that is base64 as a whole is decoded too.
* uncommented: each SQL comment is replaced by a space.
* unquoted: the words that a shell runs, without the quoting that hides them.

Each variant has a map to its source, so that a finding in it is redacted at the right position of
the request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import re2

from pdp.engine.text.characters import (
    ASCII_FORMS,
    COMBINING_MARKS,
    CONFUSABLES,
    INVISIBLE_CHARACTERS,
    TAG_CHARACTERS,
    other_marks,
)
from pdp.engine.text.escapes import decode, decode_base64, has_escapes
from pdp.engine.text.shell_words import unquote
from pdp.engine.text.variants import VariantBuilder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pdp.engine.text.locations import Segment

_MAX_DECODINGS: Final = 2
"""An attack can be encoded twice."""


def _ranges(codes: Collection[int]) -> Iterator[tuple[int, int]]:
    begin = end = -2
    for code in sorted(codes):
        if code != end + 1:
            if begin >= 0:
                yield begin, end
            begin = code
        end = code
    yield begin, end


def _re_class(codes: Collection[int]) -> str:
    """Returns a character class for the standard library's `re`."""
    return "".join(f"\\U{begin:08x}-\\U{end:08x}" for begin, end in _ranges(codes)).join("[]")


def _re2_class(codes: Collection[int]) -> str:
    """Returns a character class for RE2."""
    return "".join(f"\\x{{{begin:x}}}-\\x{{{end:x}}}" for begin, end in _ranges(codes)).join("[]")


_REMOVED: Final = {*INVISIBLE_CHARACTERS, *COMBINING_MARKS}
_FOLDED_CLASS: Final = _re2_class({*ASCII_FORMS, *_REMOVED})
_OTHER_MARK_CLASS: Final = (
    f"(?:[!-~]|{_re2_class(ASCII_FORMS)}){_re2_class(_REMOVED)}*"
    r"[\p{Mn}\p{Me}\p{Cf}]"
)
"""A mark or format character of another script after an ASCII character or look-alike."""

_CONFUSABLE_CLASS: Final = _re2_class(CONFUSABLES)
_MIXED_WORD_CLASS: Final = (
    f"[A-Za-z]{_CONFUSABLE_CLASS}|{_CONFUSABLE_CLASS}[A-Za-z]"
    f"|(?:^|\\PL){_CONFUSABLE_CLASS}{{3,}}(?:$|\\PL)"
)
"""Finds a letter that looks like another one beside an ASCII letter, or a whole word of them."""

_TO_FOLD: Final = re2.compile(f"{_FOLDED_CLASS}|{_OTHER_MARK_CLASS}|{_MIXED_WORD_CLASS}".encode())
_MIXED_WORD: Final = re2.compile(_MIXED_WORD_CLASS.encode())
_OTHER_MARK: Final = re2.compile(_OTHER_MARK_CLASS.encode())
_LOOK_ALIKES: Final = re.compile(_re_class(ASCII_FORMS) + "+")
_REMOVED_RUN: Final = re.compile(f"({_re_class(COMBINING_MARKS)}*){_re_class(_REMOVED)}*")
_REMOVED_FIRST: Final = re.compile(_re_class(_REMOVED))
_LOOK_ALIKE_SET: Final = frozenset(map(chr, ASCII_FORMS))
_REMOVED_SET: Final = frozenset(map(chr, _REMOVED))
_TAG_SET: Final = frozenset(map(chr, TAG_CHARACTERS))
_TAG_PREFIX: Final = "\U000e0000".encode()[:2]
_WITHOUT_TAGS: Final = dict.fromkeys(TAG_CHARACTERS, "\N{ZERO WIDTH SPACE}")
_WORD: Final = re.compile(r"[^\W\d_]+")
_ASCII_LETTER: Final = re.compile("[A-Za-z]")
_INVISIBLE_GAP: Final = re2.compile(
    f"[0-9A-Za-z]{_re2_class(INVISIBLE_CHARACTERS)}+[0-9A-Za-z]".encode()
)
_SPACES: Final = dict.fromkeys(INVISIBLE_CHARACTERS, " ")
_FEW_LOOK_ALIKES: Final = 16
"""Up to this many different look-alikes, one `str.replace` for each is faster than a regex."""

_COMMENT: Final = re.compile(r"/\*(?:!\d*)?|\*/")


def normalize(segment: Segment, *, decodes: bool = True) -> Sequence[Segment]:
    """Returns `segment`, followed by its normalized variants that differ from it.

    Args:
        segment: the segment.
        decodes: whether to decode escapes. The escapes in JSON are those of its strings.
    """
    text = segment.text
    if text.isascii() and not _has_marks(text):
        base64, unquoted = decode_base64(segment), unquote(segment)
        if base64 is None:
            return (segment,) if unquoted is None else (segment, unquoted)
        variants: Sequence[Segment] = (segment, *normalize(base64))
    else:
        variants, unquoted = _variants(segment, decodes=decodes), unquote(segment)
    last = variants[-1]
    decoded = None if last is segment else unquote(last)
    if unquoted is None and decoded is None:
        return variants
    return (*variants, *(each for each in (unquoted, decoded) if each is not None))


def _variants(segment: Segment, *, decodes: bool) -> Sequence[Segment]:
    variants = [segment, *_fold(segment)]
    undecoded = variants[-1]
    for _ in range(_MAX_DECODINGS if decodes else 0):
        decoded = decode(variants[-1])
        if decoded is None:
            break
        variants += (decoded, *_fold(decoded))
    # Comments are removed last, so that the text in them is in all other variants. They are removed
    # before and after decoding: an encoded end of a comment counts only for a reader that decodes.
    decoded = variants[-1]
    for each in (decoded,) if decoded is undecoded else (undecoded, decoded):
        uncommented = _remove_comments(each)
        if uncommented is not None:
            variants.append(uncommented)
    return tuple(variants)


def _has_marks(text: str) -> bool:
    # A search for one character is much faster than a search for two.
    return has_escapes(text) or ("*" in text and "/*" in text)


def _fold(segment: Segment) -> Iterator[Segment]:
    """Yields the folded variants; none if there is nothing to fold."""
    text, data = segment.text, segment.data
    if text.isascii():
        return
    if not _TO_FOLD.search(data):
        return
    if _MIXED_WORD.search(data):
        text = _WORD.sub(_without_confusables, text)
    if _OTHER_MARK.search(data) and (marks := other_marks(set(text))):
        text = text.translate(marks)
    if _TAG_PREFIX in data and not _TAG_SET.isdisjoint(text):
        # Tag characters can spell a hidden text, or only separate other characters: try both.
        yield _folded(segment, text.translate(_WITHOUT_TAGS))
    if _INVISIBLE_GAP.search(data):
        # An invisible character can stand for a space, or only separate letters: try both.
        yield _folded(segment, text.translate(_SPACES))
    yield _folded(segment, text)


def _without_confusables(word: re.Match[str]) -> str:
    """Returns a word, with ASCII letters for confusable ones if it hides a word of ASCII letters.

    Its letters are of two alphabets then, or all of them are confusable.
    """
    text = word[0]
    if text.isascii():
        return text
    folded = text.translate(CONFUSABLES)
    return folded if folded.isascii() or _ASCII_LETTER.search(text) is not None else text


def _folded(segment: Segment, text: str) -> Segment:
    """Returns the folded variant of `text`, which has one character for each of `segment`'s."""
    characters = set(text)
    look_alikes = characters & _LOOK_ALIKE_SET
    if len(look_alikes) <= _FEW_LOOK_ALIKES:
        for character in look_alikes:
            text = text.replace(character, ASCII_FORMS[ord(character)])
    else:
        text = _LOOK_ALIKES.sub(lambda run: run[0].translate(ASCII_FORMS), text)
    variant = VariantBuilder(segment)
    if characters.isdisjoint(_REMOVED_SET):
        variant.add(text, 0)
        return variant.build()
    done = 0
    while (first := _REMOVED_FIRST.search(text, done)) is not None:
        begin = first.start()
        run = _REMOVED_RUN.match(text, begin)
        assert run is not None  # noqa: S101 - it also matches the empty string
        variant.add(text[done:begin], done, trailing=len(run[1]))
        done = run.end()
    variant.add(text[done:], done)
    return variant.build()


def _remove_comments(segment: Segment) -> Segment | None:
    """Returns the variant with a space for each SQL comment; None if there is no comment."""
    text = segment.text
    first, last_close = text.find("/*"), text.rfind("*/")
    if first < 0 or last_close < first:
        return None
    variant = VariantBuilder(segment)
    done = 0
    while (mark := _COMMENT.search(text, done)) is not None:
        begin, end = mark.span()
        if mark[0] == "/*":
            if last_close < end:
                break  # this comment is not closed
            end = text.index("*/", end) + 2
        # Only the marks of a conditional comment are replaced: databases execute its content.
        variant.add(text[done:begin], done)
        variant.add(" ", begin, end - begin)
        done = end
    variant.add(text[done:], done)
    return variant.build() if any(variant.widths) else None
