"""One model in one thread: loads it, and runs it on what many requests ask for at once.

A model's time is long beside a decision's, so requests that wait are taken together, a few pieces
of each in turn: none waits for another's long text. Who has stopped waiting is passed over.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from pdp.detect.ner.windows import Window, joined, windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.detect.ner.recognizer import Recogniser, RecognizedEntity

BATCH: Final = 16
"""Pieces that go through the model in one run."""

SHARE: Final = 4
"""Pieces of one request in a run, where others wait."""

MAX_WAITING: Final = 4096
"""Pieces that may wait; more requests are refused at once."""

LOADING: Final = "loading"
LOADED: Final = "loaded"

_log: Final = structlog.get_logger("pdp.ner")

Answer = list[list["RecognizedEntity"]]


class Overloaded(Exception):
    """Too much waits for the model already."""


class _Job:
    """What one request asks for."""

    def __init__(self, texts: Sequence[str], labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.count = len(texts)
        self.windows = windows(texts)
        self.done: list[tuple[Window, list[RecognizedEntity]]] = []
        self.next = 0
        self.future: Future[Answer] = Future()

    @property
    def waiting(self) -> int:
        """Pieces that are still to be run."""
        return len(self.windows) - self.next

    def take(self, most: int) -> list[Window]:
        """Returns the next pieces."""
        taken = self.windows[self.next : self.next + most]
        self.next += len(taken)
        return taken

    def receive(self, pieces: list[tuple[Window, list[RecognizedEntity]]]) -> None:
        """Takes in what was found; answers when it is all there."""
        self.done += pieces
        if len(self.done) == len(self.windows):
            # Whoever asked may have stopped waiting this moment: then nobody wants it.
            with suppress(InvalidStateError):
                self.future.set_result(joined(self.done, self.count))


class ModelWorker:
    """A model and its thread.

    Attributes:
        state: `LOADING`, `LOADED`, or why it could not be loaded.
        labels: the labels that it knows, once it is loaded; None where it takes any.
        ready: done when loading has ended, well or not.
    """

    def __init__(self, name: str, load: Callable[[], Recogniser]) -> None:
        """Begins to load at once, in its own thread.

        Args:
            name: of the model, for the thread and the log.
            load: returns the model; what it raises is the worker's state from then on.
        """
        self.name = name
        self.state = LOADING
        self.labels: frozenset[str] | None = None
        self._load = load
        self.ready: Future[None] = Future()
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._closed = False
        # A daemon: a run of the model cannot be interrupted, and must not hold up the process.
        self._thread = threading.Thread(target=self._run, name=f"pdp-{name}", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether the model could not be loaded."""
        return self.state not in {LOADING, LOADED}

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until loading has ended, well or not; returns whether it has."""
        return not wait([self.ready], timeout_s).not_done

    def submit(self, texts: Sequence[str], labels: tuple[str, ...]) -> Future[Answer]:
        """Asks for `labels` in `texts`; who stops waiting cancels what is returned.

        Raises:
            Overloaded: too much waits already.
        """
        job = _Job(texts, labels)
        if not job.windows:
            job.receive([])
            return job.future
        with self._changed:
            if self._waiting + job.waiting > MAX_WAITING and self._waiting:
                raise Overloaded
            self._waiting += job.waiting
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Takes nothing more; the thread ends after the run under way."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            recogniser = self._load()
        except Exception as error:
            # Whatever it was, the state says it, to `/readyz` and in every decision.
            self.state = f"cannot be loaded ({type(error).__name__})"
            _log.exception("model cannot be loaded", model=self.name)
            self.ready.set_result(None)
            return
        self.labels = recogniser.labels
        self.state = LOADED
        self.ready.set_result(None)
        _log.info("model loaded", model=self.name)
        while (taken := self._take()) is not None:
            self._work(recogniser, taken)

    def _take(self) -> list[tuple[_Job, list[Window]]] | None:
        """Waits for jobs, and returns pieces of those that ask for the same labels."""
        with self._changed:
            while True:
                while not (self._jobs or self._closed):
                    self._changed.wait()
                if self._closed:
                    return None
                self._forget_cancelled()
                if self._jobs:
                    return self._share_out()

    def _forget_cancelled(self) -> None:
        for job in [job for job in self._jobs if job.future.cancelled()]:
            self._jobs.remove(job)
            self._waiting -= job.waiting

    def _share_out(self) -> list[tuple[_Job, list[Window]]]:
        labels = self._jobs[0].labels
        alike = [job for job in self._jobs if job.labels == labels]
        share = SHARE if len(alike) > 1 else BATCH
        taken: list[tuple[_Job, list[Window]]] = []
        room = BATCH
        for job in alike:
            pieces = job.take(min(share, room))
            room -= len(pieces)
            self._waiting -= len(pieces)
            taken.append((job, pieces))
            # What is not done yet goes to the end, so that the others have their turn.
            self._jobs.remove(job)
            if job.waiting:
                self._jobs.append(job)
            if not room:
                break
        return taken

    def _work(self, recogniser: Recogniser, taken: list[tuple[_Job, list[Window]]]) -> None:
        pieces = [piece for _, pieces in taken for piece in pieces]
        try:
            answers = recogniser.recognise([piece.text for piece in pieces], taken[0][0].labels)
            found = iter(zip(pieces, answers, strict=True))
            for job, own in taken:
                job.receive(list(islice(found, len(own))))
        except Exception as error:
            _log.error("model failed", model=self.name, error=type(error).__name__)
            for job, _ in taken:
                with suppress(InvalidStateError):  # answered, or not wanted any more
                    job.future.set_exception(error)
                self._discard(job)

    def _discard(self, job: _Job) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._waiting -= job.waiting
