"""Runs one model in one thread, on batches of windows from several requests.

A model run takes much longer than a decision, so the windows of waiting requests run together. A
batch takes a few windows of each request in turn, so that no request waits for the long text of
another. Cancelled requests are skipped.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from pdp.detect.ner.windows import Window, merge, split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdp.detect.ner.recognizer import RecognizedEntity, Recognizer

BATCH: Final = 16
"""Windows of one model run."""

SHARE: Final = 4
"""Windows of one request in a run, if other requests wait."""

MAX_WAITING: Final = 4096
"""Windows that may wait; further requests are rejected immediately."""

LOADING: Final = "loading"
LOADED: Final = "loaded"

_log: Final = structlog.get_logger("pdp.ner")

EntitiesByText = list[list["RecognizedEntity"]]
"""The entities that a model found in each text of a request."""


class ModelOverloaded(Exception):
    """Too many windows wait for the model."""


class _Job:
    """The texts of one request, and the windows that have run."""

    def __init__(self, texts: Sequence[str], labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.count = len(texts)
        self.windows = split(texts)
        self.results: list[tuple[Window, list[RecognizedEntity]]] = []
        self.next = 0
        self.future: Future[EntitiesByText] = Future()

    @property
    def waiting(self) -> int:
        """The number of windows that have not been taken."""
        return len(self.windows) - self.next

    def take(self, most: int) -> list[Window]:
        """Takes the next windows, at most `most`."""
        windows = self.windows[self.next : self.next + most]
        self.next += len(windows)
        return windows

    def add_results(self, results: list[tuple[Window, list[RecognizedEntity]]]) -> None:
        """Adds the results of windows; completes the future after the last one."""
        self.results += results
        if len(self.results) == len(self.windows):
            # The request may have cancelled the future at this moment.
            with suppress(InvalidStateError):
                self.future.set_result(merge(self.results, self.count))


class ModelWorker:
    """A model and its thread.

    Attributes:
        name: the name of the model.
        state: `LOADING`, `LOADED`, or the reason why the model could not be loaded.
        labels: the labels that the loaded model knows; None if it accepts any label.
        ready: completes when loading has ended, whether it succeeded or failed.
    """

    def __init__(self, name: str, load: Callable[[], Recognizer]) -> None:
        """Starts a thread, which loads the model.

        Args:
            name: the name of the model, for the thread and the log.
            load: returns the model. If it raises, the worker's state has the reason.
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
        # A daemon thread: a model run cannot be interrupted and must not delay the process's exit.
        self._thread = threading.Thread(target=self._run, name=f"pdp-{name}", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether the model could not be loaded."""
        return self.state not in {LOADING, LOADED}

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until loading has ended; returns False if the timeout expires before."""
        return not wait([self.ready], timeout_s).not_done

    def submit(self, texts: Sequence[str], labels: tuple[str, ...]) -> Future[EntitiesByText]:
        """Queues a search for `labels` in `texts`. Cancel the future to stop waiting.

        Raises:
            ModelOverloaded: too many windows wait.
        """
        job = _Job(texts, labels)
        if not job.windows:
            job.add_results([])
            return job.future
        with self._changed:
            if self._waiting + job.waiting > MAX_WAITING and self._waiting:
                raise ModelOverloaded
            self._waiting += job.waiting
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Stops the thread after the current run."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            recognizer = self._load()
        except Exception as error:
            # `/readyz` and every decision that needs the model show the state.
            self.state = f"cannot be loaded ({type(error).__name__})"
            _log.exception("model cannot be loaded", model=self.name)
            self.ready.set_result(None)
            return
        self.labels = recognizer.labels
        self.state = LOADED
        self.ready.set_result(None)
        _log.info("model loaded", model=self.name)
        while (batch := self._next_batch()) is not None:
            self._run_batch(recognizer, batch)

    def _next_batch(self) -> list[tuple[_Job, list[Window]]] | None:
        """Waits for jobs; returns windows of jobs with the same labels, or None when closed."""
        with self._changed:
            while True:
                while not (self._jobs or self._closed):
                    self._changed.wait()
                if self._closed:
                    return None
                self._remove_cancelled()
                if self._jobs:
                    return self._take_batch()

    def _remove_cancelled(self) -> None:
        for job in [job for job in self._jobs if job.future.cancelled()]:
            self._jobs.remove(job)
            self._waiting -= job.waiting

    def _take_batch(self) -> list[tuple[_Job, list[Window]]]:
        labels = self._jobs[0].labels
        jobs = [job for job in self._jobs if job.labels == labels]
        share = SHARE if len(jobs) > 1 else BATCH
        batch: list[tuple[_Job, list[Window]]] = []
        room = BATCH
        for job in jobs:
            windows = job.take(min(share, room))
            room -= len(windows)
            self._waiting -= len(windows)
            batch.append((job, windows))
            # A job with more windows goes to the end of the queue, so that the others get a turn.
            self._jobs.remove(job)
            if job.waiting:
                self._jobs.append(job)
            if not room:
                break
        return batch

    def _run_batch(self, recognizer: Recognizer, batch: list[tuple[_Job, list[Window]]]) -> None:
        windows = [window for _, of_job in batch for window in of_job]
        try:
            entities = recognizer.recognize([each.text for each in windows], batch[0][0].labels)
            results = iter(zip(windows, entities, strict=True))
            for job, of_job in batch:
                job.add_results(list(islice(results, len(of_job))))
        except Exception as error:
            _log.error("model failed", model=self.name, error=type(error).__name__)
            for job, _ in batch:
                with suppress(InvalidStateError):  # already completed or cancelled
                    job.future.set_exception(error)
                self._discard(job)

    def _discard(self, job: _Job) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._waiting -= job.waiting
