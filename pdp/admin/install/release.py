"""Which release this is, and whether another one of the same minor release is newer."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_PARTS: Final = 3


@cache
def release() -> str:
    """Returns the version of the installed package; empty in a checkout that is not installed."""
    try:
        return version("pdp")
    except PackageNotFoundError:
        return ""


def is_newer(other: str, own: str) -> bool:
    """Returns whether `other` is a newer release than `own`, of the same minor release."""
    theirs, ours = _numbers(other), _numbers(own)
    if theirs is None or ours is None:
        return False
    return theirs[:2] == ours[:2] and theirs > ours


def _numbers(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    if len(parts) != _PARTS or not all(each.isdecimal() for each in parts):
        return None
    return tuple(map(int, parts))
