"""Runs a part of the bench in a process of its own, so that its memory can be measured."""

from __future__ import annotations

import multiprocessing
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bench.growth.row import Row

PAGE_KB: Final = 4
BATCHES: Final = 7
BATCH_S: Final = 0.05
"""CPU time of each batch of calls."""


def run(measure: Callable[..., Iterable[Row]], *arguments: object) -> Iterator[Row]:
    """Yields the rows of `measure(*arguments)`, called in a new process.

    Raises:
        RuntimeError: the process has ended with an error.
    """
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    process = context.Process(target=_measure, args=(measure, arguments, queue))
    process.start()
    while (row := queue.get()) is not None:
        yield row
    process.join()
    if process.exitcode:
        raise RuntimeError(f"a process of the bench ended with {process.exitcode}")


def _measure(measure: Callable[..., Iterable[Row]], arguments: tuple[Any, ...], queue: Any) -> None:
    try:
        for row in measure(*arguments):
            queue.put(row)
    finally:
        queue.put(None)


def cpu_us(run: Callable[[], object]) -> float:
    """Returns the microseconds of CPU time of a call: the least of several batches.

    Other programs can only make a batch slower, so the least is closest to the truth.
    """
    begin = time.process_time()
    run()
    times = max(1, int(BATCH_S / max(1e-6, time.process_time() - begin)))
    best = float("inf")
    for _ in range(BATCHES):
        begin = time.process_time()
        for _ in range(times):
            run()
        best = min(best, (time.process_time() - begin) / times)
    return 1e6 * best


def peak_mb(run: Callable[[], object]) -> float:
    """Returns the most memory in MB that a call has in use for Python's objects."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def resident_mb() -> float:
    """Returns the memory of this process now, in MB."""
    fields = Path("/proc/self/statm").read_text(encoding="utf-8").split()
    return int(fields[1]) * PAGE_KB / 1_000


def steps(first: int, last: int, factor: int = 10) -> Iterator[int]:
    """Yields sizes from `first` to `last`, each `factor` times the one before, and `last`.

    A size that is more than half of `last` is left out.
    """
    size = first
    while 2 * size <= last:
        yield size
        size *= factor
    yield last
