"""Searches texts for named entities with all configured models, within a time budget."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Final

from pdp.detect.ner.worker import LOADING, ModelOverloaded
from pdp.domain.ner import EntityLabel, NamedEntity, NerFindings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pdp.detect.ner.worker import EntitiesByText, ModelWorker

FAILED: Final = "the model failed"
OVERLOADED: Final = "too many requests wait for the model"


class NerEngine:
    """All models, by the detector type of the rules that use them; implements `NerFinder`."""

    def __init__(
        self, workers: Mapping[str, ModelWorker], absent: Mapping[str, str], budget_s: float
    ) -> None:
        """Args:
        workers: the models, by detector type.
        absent: for each other detector type, the reason why it has no model.
        budget_s: maximum seconds that a request waits for all models together.
        """
        self._workers = workers
        self._absent = absent
        self.budget_s = budget_s

    @property
    def has_models(self) -> bool:
        """Whether there is any model, and so a thread."""
        return bool(self._workers)

    def states(self) -> Mapping[str, str]:
        """Returns the state of the model of each detector type, for `/readyz`."""
        loaded = {kind: worker.state for kind, worker in self._workers.items()}
        return {**self._absent, **loaded}

    def missing(self, labels: Collection[EntityLabel]) -> Mapping[EntityLabel, str]:
        """Returns the entities that no model can search for, each with the reason.

        Entities of a model that is still loading are not included, because its labels are unknown.
        """
        return {each: reason for each in labels if (reason := self._obstacle(each))}

    def _obstacle(self, entity: EntityLabel) -> str:
        worker = self._workers.get(entity.detector_type)
        if worker is None:
            return self._absent.get(entity.detector_type, "no model answers rules of this type")
        if worker.failed:
            return f"the {worker.name} model {worker.state}"
        if worker.labels is not None and entity.name not in worker.labels:
            return f"the {worker.name} model finds {', '.join(sorted(worker.labels))} only"
        return ""

    async def find(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NerFindings:
        """Searches all `texts` (each with its path) for `labels`, within the time budget.

        Lack of a model or of time raises no error: the entities that were not searched for are in
        `missing`.
        """
        if not (texts and labels):
            return NerFindings()
        deadline = time.monotonic() + self.budget_s
        loading = [each.ready for each in self._workers_for(labels) if each.state == LOADING]
        if loading:
            await asyncio.wait(map(asyncio.wrap_future, loading), timeout=self.budget_s)
        search = _EntityRequest(self, texts, labels)
        for kind, future in search.futures.items():
            left = max(0.0, deadline - time.monotonic())
            try:
                search.add(kind, await asyncio.wait_for(asyncio.wrap_future(future), left))
            except Exception as error:
                search.fail(kind, error)
        return search.findings()

    def find_now(
        self, texts: Sequence[tuple[str | None, str]], labels: Collection[EntityLabel]
    ) -> NerFindings:
        """Does the same as `find` for callers without an event loop; blocks up to the budget."""
        if not (texts and labels):
            return NerFindings()
        deadline = time.monotonic() + self.budget_s
        for worker in self._workers_for(labels):
            worker.wait(max(0.0, deadline - time.monotonic()))
        search = _EntityRequest(self, texts, labels)
        for kind, future in search.futures.items():
            left = max(0.0, deadline - time.monotonic())
            try:
                search.add(kind, future.result(left))
            except Exception as error:
                search.fail(kind, error)
        return search.findings()

    def _workers_for(self, labels: Collection[EntityLabel]) -> Iterator[ModelWorker]:
        for kind in {each.detector_type for each in labels}:
            if kind in self._workers:
                yield self._workers[kind]

    def submit(
        self, kind: str, texts: Sequence[str], labels: tuple[str, ...]
    ) -> Future[EntitiesByText]:
        """Queues a search with the model of a detector type.

        Raises:
            ModelOverloaded: too many windows wait for the model.
        """
        return self._workers[kind].submit(texts, labels)

    def loading(self, kind: str) -> bool:
        """Whether the model of a detector type is still loading."""
        return self._workers[kind].state == LOADING

    def wait(self) -> None:
        """Waits until all models have been loaded or have failed to load."""
        for worker in self._workers.values():
            worker.wait()

    def close(self) -> None:
        """Stops the threads of the models, each after its current run."""
        for worker in self._workers.values():
            worker.close()


class _EntityRequest:
    """The search of one request, with one future for each model."""

    def __init__(
        self,
        engine: NerEngine,
        texts: Sequence[tuple[str | None, str]],
        labels: Collection[EntityLabel],
    ) -> None:
        self._texts = texts
        self._budget_ms = round(engine.budget_s * 1000)
        self._missing = dict(engine.missing(labels))
        self._entities: list[NamedEntity] = []
        self._by_kind: dict[str, list[EntityLabel]] = {}
        for each in sorted(labels):
            if each not in self._missing:
                self._by_kind.setdefault(each.detector_type, []).append(each)
        self.futures: dict[str, Future[EntitiesByText]] = {}
        for kind, of_kind in self._by_kind.items():
            if engine.loading(kind):
                self._add_missing(kind, "the model is still loading")
                continue
            names = tuple(each.name for each in of_kind)
            try:
                self.futures[kind] = engine.submit(kind, [text for _, text in texts], names)
            except ModelOverloaded:
                self._add_missing(kind, OVERLOADED)

    def add(self, kind: str, entities_by_text: EntitiesByText) -> None:
        """Adds the entities that a model found."""
        self._entities += (
            NamedEntity(EntityLabel(kind, each.label), each.confidence, each.start, each.end, path)
            for (path, _), entities in zip(self._texts, entities_by_text, strict=True)
            for each in entities
        )

    def fail(self, kind: str, error: Exception) -> None:
        """Cancels the search with a model and marks its entities as missing."""
        self.futures[kind].cancel()
        late = isinstance(error, (TimeoutError, CancelledError))
        reason = f"the time budget of {self._budget_ms} ms ran out" if late else FAILED
        self._add_missing(kind, reason)

    def _add_missing(self, kind: str, reason: str) -> None:
        self._missing.update(dict.fromkeys(self._by_kind[kind], reason))

    def findings(self) -> NerFindings:
        """Returns the entities that were found, and the missing ones."""
        return NerFindings(tuple(self._entities), self._missing)
