"""Where use cases do their work: one thread for the store, one transaction for a write.

A write is compiled inside its transaction, so the store never holds what cannot be compiled;
it is published after the commit. The change log is read on from the last revision that was seen,
so that the writes of other processes come into force as this one's own do.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

from pdp.admin.snapshots import Renewed, compile_snapshot, plan_renewal, read_news, renew
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import changed_platform
from pdp.errors import PdpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.publisher import Publisher
    from pdp.store.port import Reader, Store, Transaction

POLL_INTERVAL_S: Final = 0.025
"""How often the store is asked whether another process has written (docs/architecture.md)."""

RETRY_INTERVAL_S: Final = 1.0
"""How long a store that cannot be followed is left alone."""

_log: Final = structlog.get_logger("pdp.store")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """The result of a write, and the revision that it is in force from."""

    value: T
    revision: int


@dataclass(slots=True)
class Progress:
    """How the workspace has been doing, for metrics.

    Attributes:
        compilations: snapshots of tenants that were compiled.
        compiling_s: seconds that took in all.
        loads: tenants that were asked for and not held compiled.
        current_at: when what is in force was last known to be the newest, by `time.monotonic`.
    """

    compilations: int = 0
    compiling_s: float = 0.0
    loads: int = 0
    current_at: float = field(default_factory=time.monotonic)


def _nobody() -> None:
    """Tells nobody: this process is alone, or leaves it to the others to look."""


class Workspace:
    """Runs use cases against the store and publishes what they change."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        # SQLite is used by one thread; the single worker also puts all writes in order.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._loading: dict[str, asyncio.Task[Snapshot]] = {}
        self._advanced = asyncio.Event()
        self._catching_up = asyncio.Lock()
        self._news = asyncio.Event()
        self.tell: Callable[[], None] = _nobody
        """Tells other processes that something was written; they find it by themselves, too."""
        self.progress = Progress()

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Runs `work` on a consistent view of the store and returns its result."""

        def run() -> T:
            with self._store.read() as reader:
                return work(reader)

        return await self._run(run)

    async def record(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in one transaction that changes no policy, so that nothing is compiled."""

        def run() -> T:
            with self._store.write() as transaction:
                return work(transaction)

        return await self._run(run)

    def data_version(self) -> int:
        """Returns a number that differs once anyone has written; see `Store.data_version`."""
        return self._store.data_version()

    async def write(self, tenant_id: str, work: Callable[[Transaction], T]) -> Written[T]:
        """Runs `work` in one transaction, compiles the tenant, commits and publishes.

        What is `PLATFORM`'s is in force for all tenants when it returns. A caller that goes away
        does not stop it half-way.

        Raises:
            PdpError: what `work` or the compilation raised; nothing was written.
        """
        return await asyncio.shield(self._write(tenant_id, work))

    async def _write(self, tenant_id: str, work: Callable[[Transaction], T]) -> Written[T]:
        if tenant_id == PLATFORM:
            return await self._write_platform(work)
        held = self._publisher.held(tenant_id)
        platform = self._publisher.platform

        def run() -> tuple[T, Snapshot]:
            with self._store.write() as transaction:
                value = work(transaction)
                return value, self._compiled(transaction, tenant_id, platform, held)

        value, snapshot = await self._run(run)
        self.tell()
        self._publisher.publish(snapshot)
        try:
            await self.catch_up()
        except PdpError as error:
            # What was asked for is written and in force; only what others wrote is not, yet.
            _log.error("cannot catch up", reason=error.message)
        return Written(value, snapshot.revision)

    async def _write_platform(self, work: Callable[[Transaction], T]) -> Written[T]:
        platform = self._publisher.platform

        def run() -> tuple[T, int]:
            with self._store.write() as transaction:
                value = work(transaction)
                changed_platform(platform, transaction.new_changes)  # only to see that it compiles
                return value, transaction.revision()

        value, revision = await self._run(run)
        self.tell()
        await self.catch_up()
        return Written(value, revision)

    async def load(self, tenant_id: str) -> Snapshot:
        """Returns the tenant's snapshot, compiled from the store where it is not held.

        Many callers at once share one compilation.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        task = self._loading.get(tenant_id)
        if task is None:
            task = self._loading[tenant_id] = asyncio.create_task(self._load(tenant_id))
            task.add_done_callback(lambda _: self._loading.pop(tenant_id, None))
        return await asyncio.shield(task)

    async def _load(self, tenant_id: str) -> Snapshot:
        self.progress.loads += 1
        while True:
            platform = self._publisher.platform

            def run(platform: Platform = platform) -> Snapshot:
                with self._store.read() as reader:
                    return self._compiled(reader, tenant_id, platform, None)

            snapshot = await self._run(run)
            if self._publisher.publish(snapshot):
                return snapshot

    def _compiled(
        self, reader: Reader, tenant_id: str, platform: Platform, held: Snapshot | None
    ) -> Snapshot:
        begin = time.perf_counter()
        snapshot = compile_snapshot(reader, tenant_id, platform, held)
        self.progress.compilations += 1
        self.progress.compiling_s += time.perf_counter() - begin
        return snapshot

    async def catch_up(self) -> None:
        """Puts in force whatever has been written since the last time, by anyone.

        Raises:
            StoreUnavailable: the store cannot be read.
            InvalidPattern: what another process has written does not compile.
        """
        publisher = self._publisher
        async with self._catching_up:
            since = publisher.revision
            news = await self.read(lambda reader: read_news(reader, since))
            if news.revision <= since:
                return
            renewal = plan_renewal(publisher, news)
            renewed = Renewed()
            if renewal is not None:
                renewed = await self.read(lambda reader: renew(reader, renewal))
            publisher.advance(news.revision, news.changed, renewed.fresh, renewed.platform)
            self._advanced.set()
            self._advanced = asyncio.Event()

    async def reach(self, revision: int, timeout_s: float) -> bool:
        """Waits until `revision` is in force; returns False where that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._publisher.revision < revision:
                    await self._advanced.wait()
        except TimeoutError:
            return False
        return True

    def look(self) -> None:
        """Has `follow` look at the store now: another process has written."""
        self._news.set()

    async def follow(self) -> None:
        """Catches up whenever another process has written, until cancelled.

        A store that cannot be read, or holds what does not compile, leaves in force what is: that
        is logged, and tried again.
        """
        seen = -1
        failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_INTERVAL_S if failing else POLL_INTERVAL_S):
                    await self._news.wait()
            self._news.clear()
            try:
                version = self._store.data_version()
                if version != seen:
                    await self.catch_up()
                seen, failing = version, False
                self.progress.current_at = time.monotonic()
            except Exception as error:
                # Whatever it is, nothing else would ever bring a kill switch here.
                if not failing:
                    reason = error.message if isinstance(error, PdpError) else repr(error)
                    _log.error("the store cannot be followed", reason=reason)
                failing = True

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Waits for the store's thread to finish what it has begun, and ends it."""
        self._thread.shutdown(wait=True)
