"""Runs a part of the bench in a process of its own, so that its memory can be measured."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bench.growth.row import Row

PAGE_KB: Final = 4


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


def peak_mb() -> float:
    """Returns the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000


def resident_mb() -> float:
    """Returns the memory of this process now, in MB."""
    fields = Path("/proc/self/statm").read_text(encoding="utf-8").split()
    return int(fields[1]) * PAGE_KB / 1_000


def steps(first: int, last: int, factor: int = 10) -> Iterator[int]:
    """Yields sizes from `first` to `last`, each `factor` times the one before, and `last`."""
    size = first
    while size < last:
        yield size
        size *= factor
    yield last
