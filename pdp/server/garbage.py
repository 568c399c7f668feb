"""Keeps the pauses of the garbage collector short, regardless of how many tenants are loaded.

Snapshots have no cycles: reference counting frees one that is replaced or evicted, at once and in
full. So the collector never needs to look at them, and `gc.freeze` takes them out of its sight.
Freezing hides every other object of that moment, too. The few of them that end in a cycle, such as
those of a call in progress, are never freed. So freezing is rare: at most once for `GROWTH` new
objects that stay.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pdp.engine.snapshot import Snapshot

THRESHOLDS: Final = (1_000, 8, 1_000)
"""When the garbage collector looks at young, older and all objects. By default it looks at all of
them so often that a decision with many findings makes it stop everything for 50 ms at a time.
Nearly all objects are freed without it."""

GROWTH: Final = 2
"""Collections of older objects after which what is loaded is frozen. Each stands for 8,000 new
objects that stay, of which a full collection takes some 2 ms."""

MAX_COLLECTED: Final = 5
"""The growth after which a full collection would take too long. It comes with one large tenant."""


def pause() -> None:
    """Stops the collector until `start`: a server that starts makes much and frees little."""
    gc.disable()


def start() -> None:
    """Freezes what a server consists of, and sets `THRESHOLDS`."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()


def freeze_snapshots(_: Snapshot) -> None:
    """Freezes the snapshots that have been loaded, if there are many new ones."""
    growth = gc.get_count()[2]
    if growth >= GROWTH:
        gc.collect(2 if growth <= MAX_COLLECTED else 1)  # garbage must not be frozen
        gc.freeze()
