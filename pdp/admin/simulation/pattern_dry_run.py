"""Runs a pattern over sample texts without making a policy (seed 003)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.engine.text.patterns import CompiledPattern

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_POSITIONS: Final = 1000
"""Positions that are told for one text."""


class PatternDryRun(NamedTuple):
    """A sample text, and where the pattern was found in it, in code points."""

    text: str
    positions: Sequence[tuple[int, int]]


def try_pattern(pattern: str, texts: Sequence[str]) -> list[PatternDryRun]:
    """Returns, for each text in order, where `pattern` is found.

    Raises:
        InvalidPattern: it is not RE2.
    """
    compiled = CompiledPattern(pattern)
    return [
        PatternDryRun(text, tuple(islice(compiled.spans(text, text.encode()), MAX_POSITIONS)))
        for text in texts
    ]
