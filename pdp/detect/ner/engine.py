"""Finds named entities within a time budget, by whichever models there are (`NerFinder`)."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Final

from pdp.detect.ner.worker import LOADING, Overloaded
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pdp.detect.ner.worker import Answer, ModelWorker

FAILED: Final = "the model failed"
OVERLOADED: Final = "too many requests wait for the model"


class NerEngine:
    """All models, by the type of rule that they answer."""

    def __init__(
        self, workers: Mapping[str, ModelWorker], absent: Mapping[str, str], budget_s: float
    ) -> None:
        """Args:
        workers: by detector type.
        absent: for each other detector type, why it has no model.
        budget_s: seconds that a request may wait for all models together.
        """
        self._workers = workers
        self._absent = absent
        self.budget_s = budget_s

    def states(self) -> Mapping[str, str]:
        """Returns the state of the model of each detector type, for `/readyz`."""
        loaded = {kind: worker.state for kind, worker in self._workers.items()}
        return {**self._absent, **loaded}

    def missing(self, labels: Collection[EntityLabel]) -> Mapping[EntityLabel, str]:
        """Returns the labels that no model can find, each with the reason.

        The labels of a model that is still loading are not known yet and are left out.
        """
        return {each: reason for each in labels if (reason := self._lacking(each))}

    def _lacking(self, wanted: EntityLabel) -> str:
        worker = self._workers.get(wanted.detector_type)
        if worker is None:
            return self._absent.get(wanted.detector_type, "no model answers rules of this type")
        if worker.failed:
            return f"the {worker.name} model {worker.state}"
        if worker.labels is not None and wanted.name not in worker.labels:
            return f"the {worker.name} model finds {', '.join(sorted(worker.labels))} only"
        return ""

    async def find(
        self, texts: Sequence[tuple[str | None, str]], wanted: Collection[EntityLabel]
    ) -> NerFindings:
        """Looks for `wanted` in all `texts` (each with its path), within the time budget.

        Never raises for want of a model or of time: what could not be looked for is `missing`.
        """
        if not (texts and wanted):
            return NerFindings()
        deadline = time.monotonic() + self.budget_s
        loading = [each.ready for each in self._asked(wanted) if each.state == LOADING]
        if loading:
            await asyncio.wait(map(asyncio.wrap_future, loading), timeout=self.budget_s)
        search = _LabelSearch(self, texts, wanted)
        for kind, future in search.futures.items():
            left = max(0.0, deadline - time.monotonic())
            try:
                search.take(kind, await asyncio.wait_for(asyncio.wrap_future(future), left))
            except Exception as error:
                search.fail(kind, error)
        return search.findings()

    def find_now(
        self, texts: Sequence[tuple[str | None, str]], wanted: Collection[EntityLabel]
    ) -> NerFindings:
        """Does what `find` does, for callers without an event loop; it blocks for the budget."""
        if not (texts and wanted):
            return NerFindings()
        deadline = time.monotonic() + self.budget_s
        for worker in self._asked(wanted):
            worker.wait(max(0.0, deadline - time.monotonic()))
        search = _LabelSearch(self, texts, wanted)
        for kind, future in search.futures.items():
            left = max(0.0, deadline - time.monotonic())
            try:
                search.take(kind, future.result(left))
            except Exception as error:
                search.fail(kind, error)
        return search.findings()

    def _asked(self, wanted: Collection[EntityLabel]) -> Iterator[ModelWorker]:
        for kind in {each.detector_type for each in wanted}:
            if kind in self._workers:
                yield self._workers[kind]

    def submit(self, kind: str, texts: Sequence[str], labels: tuple[str, ...]) -> Future[Answer]:
        """Asks the model of a detector type.

        Raises:
            Overloaded: too much waits for it already.
        """
        return self._workers[kind].submit(texts, labels)

    def loading(self, kind: str) -> bool:
        """Whether the model of a detector type is still loading."""
        return self._workers[kind].state == LOADING

    def wait(self) -> None:
        """Waits until all models are loaded, or have failed to."""
        for worker in self._workers.values():
            worker.wait()

    def close(self) -> None:
        """Ends the models' threads, each after its run under way."""
        for worker in self._workers.values():
            worker.close()


class _LabelSearch:
    """One request's way through the models."""

    def __init__(
        self,
        engine: NerEngine,
        texts: Sequence[tuple[str | None, str]],
        wanted: Collection[EntityLabel],
    ) -> None:
        self._texts = texts
        self._budget_ms = round(engine.budget_s * 1000)
        self._missing = dict(engine.missing(wanted))
        self._found: list[NamedEntity] = []
        self._sought: dict[str, list[EntityLabel]] = {}
        for each in sorted(wanted):
            if each not in self._missing:
                self._sought.setdefault(each.detector_type, []).append(each)
        self.futures: dict[str, Future[Answer]] = {}
        for kind, sought in self._sought.items():
            if engine.loading(kind):
                self._lack(kind, "the model is still loading")
                continue
            labels = tuple(each.name for each in sought)
            try:
                self.futures[kind] = engine.submit(kind, [text for _, text in texts], labels)
            except Overloaded:
                self._lack(kind, OVERLOADED)

    def take(self, kind: str, answer: Answer) -> None:
        """Takes in what a model has found."""
        self._found += (
            NamedEntity(EntityLabel(kind, each.label), each.confidence, each.start, each.end, path)
            for (path, _), values in zip(self._texts, answer, strict=True)
            for each in values
        )

    def fail(self, kind: str, error: Exception) -> None:
        """Notes that a model has not answered."""
        self.futures[kind].cancel()
        late = isinstance(error, (TimeoutError, CancelledError))
        self._lack(kind, f"the time budget of {self._budget_ms} ms ran out" if late else FAILED)

    def _lack(self, kind: str, reason: str) -> None:
        self._missing.update(dict.fromkeys(self._sought[kind], reason))

    def findings(self) -> NerFindings:
        """Returns what came of it."""
        return NerFindings(tuple(self._found), self._missing)
