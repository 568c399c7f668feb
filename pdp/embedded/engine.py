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

from pdp.audit.acknowledgements import ThreadAcknowledgements
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.decisions.decider import BlockingDecider
from pdp.decisions.recording import DecisionRecorder
from pdp.detect.ner import open_engine
from pdp.embedded.requests import RequestFields, read
from pdp.embedded.stored_policies import StoredPolicies
from pdp.embedded.validation import check
from pdp.errors import WorkLimitExceeded
from pdp.store import default_audit_url
from pdp.usage.stored_meter import StoredMeter

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    they decide no faster than one does; processes do. A process that forks opens its own engine.

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
        self._store = store
        self._storing = threading.Lock()
        self._closed = False
        self._recording = recording
        publishing = threading.Lock()
        self._meter = StoredMeter(store, publishing)
        self._policies = StoredPolicies(
            store, publisher, self._meter, publishing=publishing, storing=self._storing
        )
        self._find_entities = (ner or open_engine()).find_now
        self._decider = self._decider_with(recording.records if recording else DecisionRecorder())

    def _decider_with(self, recorder: DecisionRecorder) -> BlockingDecider:
        return BlockingDecider(
            self._policies.snapshot, self._meter, self._find_entities, recorder, _log_faults
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
            database_url: `sqlite:///PATH`. If None, what the server would use: the environment
                (`PDP_DATABASE_URL`, `PDP_DATA_DIR`), else `sqlite:///var/pdp.db`.
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
            options = records or RecordingOptions(default_audit_url(url))
            recording = Recording(options, ThreadAcknowledgements())
            undo.callback(recording.close)
            engine = cls(store, create_publisher(store, risk), recording, ner)
            undo.pop_all()
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
        with self._storing:
            if not self._closed:
                self._closed = True
                self._policies.close()
                self._meter.close()
                self._decider = self._decider_with(DecisionRecorder())
                if self._recording is not None:
                    self._recording.close()
                self._store.close()

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

        """
        arrived = time.time()
        complete, revision = read(request, fields)
        check(complete)
        policies = self._policies
        policies.follow()
        min_revision = max(min_revision, revision)
        if min_revision > policies.revision:
            policies.reach(min_revision)
        return self._decider.decide(complete, arrived)


def _log_faults(decision: Decision) -> None:
    for fault in decision.faults:
        # The error's own words may hold parts of the request, so only its type is logged.
        error = fault.error
        kind = error.bound if isinstance(error, WorkLimitExceeded) else type(error).__name__
        _log.error("could not judge %s: %s in %s", decision.request_id, kind, fault.layer)


def _configured_url() -> str:
    from pdp.config import load  # noqa: PLC0415 - a third of the time that opening takes

    return load({}).store_url
