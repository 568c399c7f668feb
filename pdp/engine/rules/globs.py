"""Names with `*`, which stands for any characters: matched in linear time, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

STAR: Final = "*"

_NONE: Final[frozenset[str]] = frozenset()


def is_glob(name: str) -> bool:
    """Whether a name has a `*`."""
    return STAR in name


def glob_matches(glob: str, text: str) -> bool:
    """Whether a glob matches a whole text. A glob without `*` matches only itself."""
    first, *inner = glob.split(STAR)
    if not inner:
        return glob == text
    last = inner.pop()
    end = len(text) - len(last)
    if end < len(first) or not (text.startswith(first) and text.endswith(last)):
        return False
    position = len(first)
    for part in inner:  # the first place of each part leaves the most room for the others
        position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


class GlobIndex:
    """Finds the globs that match a text, by the literal text that they begin with. Immutable."""

    __slots__ = ("_by_beginning", "_lengths")

    def __init__(self, globs: Iterable[str]) -> None:
        by_beginning: dict[str, list[str]] = {}
        for glob in globs:
            by_beginning.setdefault(glob.partition(STAR)[0], []).append(glob)
        self._by_beginning = by_beginning
        self._lengths = sorted({len(beginning) for beginning in by_beginning})

    def matching(self, texts: Collection[str]) -> frozenset[str]:
        """Returns the globs that match any of `texts`."""
        if not self._by_beginning:
            return _NONE
        return frozenset(
            glob
            for text in texts
            for length in self._lengths
            for glob in self._by_beginning.get(text[:length], ())
            if glob_matches(glob, text)
        )
