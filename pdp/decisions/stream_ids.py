"""The ids of the texts and streams in one call: each is used once, and their number is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_OPEN: Final = 16
"""Open texts of one call, and as many open streams."""

MAX_TEXTS: Final = 1000
"""Texts of one call, open and ended, and as many streams: their ids are remembered."""

MAX_ID: Final = 256
"""Characters of an id that is remembered."""


def check_new_id(stream_id: str, open_: Collection[str], used: Collection[str], noun: str) -> None:
    """Checks that a text or a stream with this id may begin.

    Args:
        stream_id: its id.
        open_: the ids of those that have not ended.
        used: the ids of all.
        noun: what it is, for the message.

    Raises:
        InvalidArgument: the call used the id before, or has too many of them.
    """
    problem = ""
    if stream_id in used:
        problem = f"this {noun} has ended; give another {noun} another id"
    elif len(open_) >= MAX_OPEN:
        problem = f"at most {MAX_OPEN} {noun}s may be open in one call"
    elif len(used) >= MAX_TEXTS:
        problem = f"at most {MAX_TEXTS} {noun}s may be sent in one call; begin another call"
    if problem:
        raise InvalidArgument.of(Violation("chunk.stream_id", problem))
