"""Decisions inside this process, from the same store and by the same engine as the server's.

    with Engine.open("sqlite:///var/pdp.db") as engine:
        decision = engine.decide(text="…", tenant_id="acme")

Changes that others write to the store, the server or another process, come into force here as they
do there: at most every 25 ms a decision first asks the store whether anyone has written.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from pdp.admin.approvals.desk import StoreDesk
from pdp.audit.acknowledgements import ThreadAcknowledgements
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.decisions.blocking_decider import BlockingDecider
from pdp.decisions.fault_log import log_faults
from pdp.decisions.recording import DecisionRecorder
from pdp.detect.ner import open_engine
from pdp.embedded.forks import ForkGuard
from pdp.embedded.requests import RequestFields, read
from pdp.embedded.stored_policies import StoredPolicies
from pdp.embedded.validation import check
from pdp.store import open_store
from pdp.usage.stored_meter import StoredMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from pdp.detect.ner import NerEngine
    from pdp.domain.decision import Decision
    from pdp.domain.request import Request
    from pdp.publisher import Publisher
    from pdp.store.port import Store

_log: Final = logging.getLogger("pdp.engine")


class Engine:
    """Decides in this process. Made by `Engine.open`.

    Any number of threads may decide at once. A decision takes one short lock to find its tenant's
    snapshot and no lock to evaluate. The store has a lock of its own, which a decision waits for
    only if its tenant's policies are not in memory yet. Threads share the interpreter, so together
    they decide no faster than one does; processes do.

    An engine may be opened before a fork: the fork waits for decisions in progress, and parent and
    child go on with the policies in memory and databases of their own. Only an engine with models
    for named entities, or one that was not made by `Engine.open`, refuses to decide in the child.

    Decisions for tenants that are in memory go on when the store can no longer be read, and after
    `close`. For any other tenant they are then a BLOCK that is `incomplete`, ENGINE_ERROR.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        recording: Recording | None = None,
        ner: NerEngine | None = None,
    ) -> None:
        """Takes a store that nothing else uses, and a publisher that was read from it.

        Args:
            store: the store.
            publisher: the policies in force.
            recording: records decisions; None records nothing.
            ner: the models that find named entities; None for no models.
        """
        self._publisher = publisher
        self._publishing = threading.Lock()
        self._storing = threading.Lock()
        self._closed = False
        self._ner = ner or open_engine()
        self._reopen: Callable[[], tuple[Store, Recording]] | None = None
        self._use(store, recording)
        self._forks = ForkGuard(self._stop, self._start)

    def _use(self, store: Store, recording: Recording | None) -> None:
        self._store: Store | None = store
        self._recording = recording
        self._meter = StoredMeter(store, self._publishing)
        self._policies = StoredPolicies(
            store,
            self._publisher,
            self._meter,
            publishing=self._publishing,
            storing=self._storing,
        )
        self._decider = self._decider_with(recording.records if recording else DecisionRecorder())

    def _decider_with(self, recorder: DecisionRecorder) -> BlockingDecider:
        desk = None if self._store is None else StoreDesk(self._store, self._storing)
        return BlockingDecider(
            self._policies.snapshot,
            self._meter,
            self._ner.find_now,
            recorder,
            log_faults(_log),
            desk=desk,
        )

    @classmethod
    def open(
        cls,
        database_url: str | None = None,
        *,
        risk_file: Path | None = None,
        records: RecordingOptions | None = None,
        ner: NerEngine | None = None,
    ) -> Self:
        """Opens the store; creates it, with this release's catalog, if it does not exist.

        Args:
            database_url: see `pdp.store.open_store`. If None, what the server would use: the
                environment (`PDP_DATABASE_URL`, `PDP_DATA_DIR`), else `sqlite:///var/pdp.db`. With
                `PDP_LIMITS_URL` in it this is refused: an engine counts limits in its database.
            risk_file: TOML file that replaces risk points.
            records: how decisions are recorded; if None, durably the database.
            ner: what `pdp.detect.ner.open_engine` returns; None for no models.

        Raises:
            ConfigError: the store or the file cannot be used; the message says what to do.
            StoreUnavailable: the store cannot be read or written now.

        """
        risk = load_risk_table(risk_file)
        url = database_url or _configured_url()
        with ExitStack() as undo:
            store = open_policies(url)
            undo.callback(store.close)
            options = records or RecordingOptions.beside(url)
            recording = Recording(options, ThreadAcknowledgements())
            undo.callback(recording.close)
            engine = cls(store, create_publisher(store, risk), recording, ner)
            undo.pop_all()
        engine._reopen = lambda: _open_again(url, options)
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Writes what waits to be written, and releases the store; may be called again.

        Tenants in memory can still be decided for; these decisions are not recorded.
        """
        if not self._forks.usable:  # what there is to close belongs to another process
            return
        with self._storing:
            if not self._closed:
                self._closed = True
                self._release()

    def _release(self) -> None:
        """Writes what waits to be written, and closes the databases, if they are open."""
        self._policies.close()
        store, self._store = self._store, None
        self._decider = self._decider_with(DecisionRecorder())
        if store is not None:
            self._meter.close()
            if self._recording is not None:
                self._recording.close()
            store.close()
        self._recording = None

    def _stop(self) -> bool:
        """Releases everything that must not be in a child process; see `ForkGuard`."""
        with self._storing:
            if self._closed:
                return True
            if self._reopen is None or self._ner.has_models:
                return False
            self._release()
            return True

    def _start(self) -> None:
        with self._storing:
            if self._closed or self._reopen is None:
                return
            store, recording = self._reopen()
            try:
                self._use(store, recording)
            except BaseException:
                recording.close()
                store.close()
                raise

    @property
    def revision(self) -> int:
        """The revision of the policies that are in force here."""
        return self._policies.revision

    def decide(
        self,
        request: Request | Mapping[str, Any] | None = None,
        *,
        min_revision: int = 0,
        **fields: Unpack[RequestFields],
    ) -> Decision:
        """Decides one request.

        Args:
            request: the request; a mapping has the JSON form of a DecideRequest.
            min_revision: the revision that the decision must be based on at least. The call waits
                for it, for at most a second.
            **fields: fields of `Request`, in place of a request or on top of it.

        Raises:
            InvalidArgument: the request is out of its bounds, or does not have what the tenant's
                settings require; the error names the fields.
            RevisionUnavailable: `min_revision` was not reached in time.
            ConfigError: the engine was opened before a fork and cannot be used in this process, or
                its databases cannot be opened again after a fork.
            StoreUnavailable: the databases cannot be read now, after a fork.

        """
        arrived = time.time()
        complete, revision, payload, history = read(request, fields)
        check(complete)
        with self._forks:
            policies = self._policies
            policies.follow()
            min_revision = max(min_revision, revision)
            if min_revision > policies.revision:
                policies.reach(min_revision)
            if payload is not None:
                return self._decider.decide(complete, payload, history=history)
            return self._decider.decide(complete, arrived=arrived)


def _open_again(url: str, options: RecordingOptions) -> tuple[Store, Recording]:
    with ExitStack() as undo:
        store = open_store(url)
        undo.callback(store.close)
        recording = Recording(options, ThreadAcknowledgements())
        undo.pop_all()
    return store, recording


def _configured_url() -> str:
    # Importing it is a third of the time that opening takes.
    from pdp.config import check_own_counters, load  # noqa: PLC0415

    settings = load({})
    check_own_counters(settings)
    return settings.store_url
