"""Work on large messages runs in a thread, so that it does not hold up other calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE: Final = 65_536
"""Bytes from which a message is read and its answer made in a thread."""

P = ParamSpec("P")
T = TypeVar("T")


async def run_beside(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns what a function does, and calls it in a thread if its message is large.

    Args:
        size: the size of the message, in bytes.
        function: what is called.
        *args: its arguments.
        **kwargs: its named arguments.
    """
    if size > LARGE:
        return await asyncio.to_thread(function, *args, **kwargs)
    return function(*args, **kwargs)
