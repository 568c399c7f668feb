"""Decisions inside this process, from the same store and by the same engine as the server's.

    with Engine.open("sqlite:///var/pdp.db") as engine:
        decision = engine.decide(text="…", tenant_id="acme")

What others write to the store, the server or another process, comes into force here as it does
there: at most every 25 ms a decision first asks the store whether anyone has written.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from pdp.admin.snapshots import Renewed, compile_snapshot, plan_renewal, read_news, renew
from pdp.audit.acknowledgements import ThreadAcknowledgements
from pdp.bootstrap.policies import create_publisher, load_risk_table, open_policies
from pdp.bootstrap.recording import Recording, RecordingOptions
from pdp.decisions.recording import Records, unrecorded
from pdp.detect.ner import open_engine
from pdp.domain.decision import Decision, Fault
from pdp.domain.ids import new_id
from pdp.domain.layers import ENGINE
from pdp.embedded.requests import RequestFields, read
from pdp.embedded.validation import check
from pdp.engine.dlp.named_entities import texts_of, with_findings
from pdp.engine.evaluate import evaluate, stopped, unjudged
from pdp.errors import RevisionUnavailable
from pdp.store import default_audit_url
from pdp.usage.stored_meter import StoredMeter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from pdp.detect.ner import NerEngine
    from pdp.domain.request import Request
    from pdp.engine.snapshot import Snapshot
    from pdp.publisher import Publisher
    from pdp.store.port import Store

POLL_INTERVAL_S: Final = 0.025
"""How often the store is asked at most whether anyone has written."""

MAX_WAIT_S: Final = 1.0
"""How long `min_revision` is waited for."""

_log: Final = logging.getLogger("pdp.engine")


class Engine:
    """Decides in this process. Made by `Engine.open`.

    Any number of threads may decide at once. A decision takes one short lock to find its tenant's
    snapshot and none to judge; the store has a lock of its own, which a decision waits for only
    where its tenant's policies are not in memory yet. Threads share the interpreter, so together
    they decide no faster than one does; processes do. A process that forks opens its own engine.

    Decisions for tenants that are in memory go on when the store cannot be read any more, and
    after `close`. For any other tenant they are then a BLOCK that is `incomplete`, ENGINE_ERROR.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        keeping: Recording | None = None,
        ner: NerEngine | None = None,
    ) -> None:
        """Takes a store that nothing else uses, and a publisher that is true of it.

        Args:
            store: the store.
            publisher: the policies in force.
            keeping: records decisions; None for no records.
            ner: the models that find named entities; None for none.
        """
        self._store = store
        self._publisher = publisher
        self._publishing = threading.Lock()
        self._storing = threading.Lock()
        self._closed = False
        self._seen = -1
        self._next_poll = 0.0
        self._failing = False
        self._counters = StoredMeter(store, self._publishing)
        self._keeping = keeping
        self._records = keeping.records if keeping else Records()
        self._ner = ner or open_engine()

    @classmethod
    def open(
        cls,
        database_url: str | None = None,
        *,
        risk_file: Path | None = None,
        records: RecordingOptions | None = None,
        ner: NerEngine | None = None,
    ) -> Self:
        """Opens the store, made where it is not there, with this release's catalog in it.

        Args:
            database_url: `sqlite:///PATH`; where None, what the server would use: the environment
                (`PDP_DATABASE_URL`, `PDP_DATA_DIR`), else `sqlite:///var/pdp.db`.
            risk_file: TOML file that replaces risk points.
            records: how decisions are recorded; where None, durably, beside the database.
            ner: what `pdp.detect.ner.open_engine` returns; None for no models.

        Raises:
            ConfigError: the store or the file cannot be used; it says what to do.
            StoreUnavailable: the store cannot be read or written now.

        """
        risk = load_risk_table(risk_file)
        url = database_url or _configured_url()
        with ExitStack() as undo:
            store = open_policies(url)
            undo.callback(store.close)
            keeping = Recording(
                records or RecordingOptions(default_audit_url(url)), ThreadAcknowledgements()
            )
            undo.callback(keeping.close)
            engine = cls(store, create_publisher(store, risk), keeping, ner)
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
        """Writes down what waits and releases the store; may be called again.

        Tenants in memory can still be decided for; nothing of that is recorded.
        """
        with self._storing:
            if not self._closed:
                self._closed = True
                self._counters.close()
                self._records = Records()
                if self._keeping is not None:
                    self._keeping.close()
                self._store.close()

    @property
    def revision(self) -> int:
        """The revision of the policies that are in force here."""
        return self._publisher.revision

    def decide(
        self,
        request: Request | Mapping[str, Any] | None = None,
        *,
        min_revision: int = 0,
        **fields: Unpack[RequestFields],
    ) -> Decision:
        """Judges one request.

        Args:
            request: what is to be judged; a mapping has the JSON form of a DecideRequest.
            min_revision: the revision that the decision must have seen at least; it is waited for,
                for at most a second.
            **fields: fields of `Request`, in place of a request or on top of it.

        Raises:
            InvalidArgument: the request is out of its bounds; it names the fields at fault.
            RevisionUnavailable: `min_revision` was not reached in time.

        """
        asked, wanted = read(request, fields)
        check(asked)
        self._follow()
        min_revision = max(min_revision, wanted)
        if min_revision > self._publisher.revision:
            self._reach(min_revision)
        try:
            decision, ticket = self._judge(asked)
        except Exception as error:
            fault = Fault(ENGINE, error)
            decision = unjudged(asked.request_id, new_id(), fault=fault)
            ticket = self._records.take(None, asked, decision)
        if ticket is not None and not ticket.wait():
            decision = unrecorded(decision)
        return _logged(decision) if decision.faults else decision

    def _judge(self, asked: Request) -> tuple[Decision, Any]:
        """Returns the decision, and the ticket of its record where that has to be waited for."""
        snapshot, decision_id = self._snapshot(asked.tenant_id)
        charge = self._counters.charge(snapshot, asked)
        began = time.perf_counter()
        marks = [("", began)] if snapshot.timed else None
        work = charge.request if charge else asked
        if snapshot.ner and not stopped(snapshot, work):
            work = with_findings(work, self._ner.find_now(texts_of(work), snapshot.ner))
        decision = evaluate(snapshot, work, decision_id, None, marks)
        if charge is not None:
            self._counters.settle(charge, decision)
        return decision, self._records.take(snapshot, work, decision, began, marks or ())

    def _snapshot(self, tenant_id: str) -> tuple[Snapshot, str]:
        """Returns the tenant's snapshot and the id of a decision on it."""
        with self._publishing:
            snapshot = self._publisher.current(tenant_id)
            decision_id = new_id()
        return snapshot or self._load(tenant_id), decision_id

    def _load(self, tenant_id: str) -> Snapshot:
        """Compiles a tenant at its first use; threads that want it meanwhile wait for that."""
        with self._storing:
            with self._publishing:
                snapshot = self._publisher.current(tenant_id)
            if snapshot is not None:
                return snapshot
            with self._store.read() as reader:
                snapshot = compile_snapshot(reader, tenant_id, self._publisher.platform, None)
            with self._publishing:
                self._publisher.publish(snapshot)
            return snapshot

    def _follow(self) -> None:
        """Catches up with the store where that is due, and no other thread is at it."""
        now = time.monotonic()
        if now < self._next_poll or self._closed or not self._storing.acquire(blocking=False):
            return
        try:
            self._next_poll = now + POLL_INTERVAL_S
            self._catch_up()
            self._failing = False
        except Exception as error:
            if not self._failing:
                _log.error("the store cannot be followed; deciding goes on: %s", error)
            self._failing = True
        finally:
            self._storing.release()

    def _catch_up(self) -> None:
        version = self._store.data_version()
        if version != self._seen or self._counters.is_due():
            self._counters.flush()
        if version == self._seen:
            return
        publisher = self._publisher
        with self._store.read() as reader:
            news = read_news(reader, publisher.revision)
            with self._publishing:
                renewal = plan_renewal(publisher, news)
            renewed = renew(reader, renewal) if renewal else Renewed()
        with self._publishing:
            publisher.advance(news.revision, news.changed, renewed.fresh, renewed.platform)
        self._seen = version

    def _reach(self, revision: int) -> None:
        deadline = time.monotonic() + MAX_WAIT_S
        while self._publisher.revision < revision:
            if time.monotonic() >= deadline:
                raise RevisionUnavailable(
                    f"revision {revision} was not reached in time; "
                    f"this engine is at {self._publisher.revision}"
                )
            time.sleep(max(0.0, self._next_poll - time.monotonic()) + 0.001)
            self._follow()


def _logged(decision: Decision) -> Decision:
    for fault in decision.faults:
        # The error's own words may hold what the request said, so only its type is kept.
        kind = type(fault.error).__name__
        _log.error("could not judge %s: %s in %s", decision.request_id, kind, fault.layer)
    return decision


def _configured_url() -> str:
    from pdp.config import load  # noqa: PLC0415 - a third of the time that opening takes

    return load({}).store_url
