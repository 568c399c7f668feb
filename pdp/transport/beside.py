"""Work on large messages runs in a thread, so that it does not hold up other calls.

One piece of it runs at a time: each thread that computes delays the event loop, because all share
the interpreter. Callers take turns, so that one with many large messages delays only itself.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from pdp.decisions.heavy_work import HeavyWork
from pdp.decisions.turns import TenantTurns

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE: Final = 65_536
"""Bytes from which a message is read and its answer made in a thread."""

P = ParamSpec("P")
T = TypeVar("T")

caller: Final[ContextVar[str]] = ContextVar("caller", default="")
"""The name of the principal whose call is being served. Admission sets it."""

_work: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, HeavyWork]] = WeakKeyDictionary()


async def run_beside(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns what a function does, and calls it in a thread if its message is large.

    Args:
        size: the size of the message, in bytes.
        function: what is called.
        *args: its arguments.
        **kwargs: its named arguments.
    """
    if size > LARGE:
        return await _beside().run(caller.get(), function, *args, **kwargs)
    return function(*args, **kwargs)


def _beside() -> HeavyWork:
    loop = asyncio.get_running_loop()
    work = _work.get(loop)
    if work is None:
        # The size of messages and the number of connections bound what waits.
        turns = TenantTurns("large messages", most_waiting=None)
        work = _work[loop] = HeavyWork(1, "pdp-beside", turns)
    return work
