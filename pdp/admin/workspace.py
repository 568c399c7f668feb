"""Runs the use cases: one thread for writes, one transaction for each, and reads beside them.

A write compiles the tenant's policies inside its transaction, so the store never holds policies
that cannot be compiled. The snapshot is published after the commit. The workspace also follows the
change log from the last revision that it has read, so that the writes of other processes come into
force here in the same way as its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

from pdp.admin.snapshots import (
    RefreshResult,
    compile_snapshot,
    plan_refresh,
    read_all_policies,
    read_changes,
    refresh,
)
from pdp.admin.write_checks import check_write
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import update_platform
from pdp.errors import PdpError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.admin.snapshots import ChangeMark
    from pdp.admin.write_checks import Places
    from pdp.domain.write_warning import WriteWarning
    from pdp.engine.snapshot import Platform, Snapshot
    from pdp.publisher import Publisher
    from pdp.store.port import Reader, Store, Transaction

POLL_INTERVAL_S: Final = 0.025
"""How often the store is polled for writes of other processes (docs/architecture.md)."""

RETRY_INTERVAL_S: Final = 1.0
"""How long the workspace waits before it reads again from a store that could not be read."""

LOADERS: Final = 2
"""How many tenants are loaded at the same time. Each shares the interpreter with decisions."""

READERS: Final = 4
"""How many reads of admins run at the same time."""

_log: Final = structlog.get_logger("pdp.store")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WriteResult(Generic[T]):
    """The result of a write, the first revision in which it is in force, and its warnings."""

    value: T
    revision: int
    warnings: tuple[WriteWarning, ...] = ()


@dataclass(slots=True)
class WorkspaceStats:
    """Counters of a workspace, for metrics.

    Attributes:
        compilations: how many tenant snapshots were compiled.
        compiling_s: total time of these compilations, in seconds.
        loads: how many requests needed a tenant whose snapshot was not in memory.
        current_at: when the policies in force were last known to be the newest, by
            `time.monotonic`.
        problem: why this is not known at present; empty if it is.
    """

    compilations: int = 0
    compiling_s: float = 0.0
    loads: int = 0
    current_at: float = field(default_factory=time.monotonic)
    problem: str = ""

    def state(self) -> str:
        """Returns whether the store can be read, for `/readyz`."""
        if not self.problem:
            return "ok"
        age_s = time.monotonic() - self.current_at
        return f"{self.problem} The policies in force are {age_s:.0f} s old."


def _no_op() -> None:
    """Does nothing: there are no other processes to notify, or they poll by themselves."""


class Workspace:
    """Runs use cases against the store and publishes what they change."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher
        # The single worker puts all writes in order.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        # Loads of tenants do not wait for writes, and a large tenant delays no small one.
        self._loaders = ThreadPoolExecutor(max_workers=LOADERS, thread_name_prefix="load")
        # Reads of admins wait neither for writes nor for a slow read of another tenant.
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="read")
        # Writes do not wait either while many changes of other processes are read and compiled.
        self._follower = ThreadPoolExecutor(max_workers=1, thread_name_prefix="follow")
        # What followers read, which can be all policies of a tenant, delays neither of them.
        self._viewer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="view")
        self._mark: ChangeMark | None = None
        self._loading: dict[str, asyncio.Task[Snapshot]] = {}
        self._advanced = asyncio.Event()
        self._catching_up = asyncio.Lock()
        self._wake_up = asyncio.Event()
        self.notify: Callable[[], None] = _no_op
        """Notifies other processes of a write. Without it they find the write by polling."""
        self.stats = WorkspaceStats()
        self._counting = threading.Lock()

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Runs `work` on a consistent view of the store and returns its result.

        The view has all writes that have ended. It waits for no write, and hardly for other reads.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        return await self._view(self._readers, work)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in one transaction that changes no policy. Compiles and publishes nothing."""

        def run() -> T:
            with self._store.write() as transaction:
                return work(transaction)

        return await self._run(run)

    async def view(self, work: Callable[[Reader], T]) -> T:
        """Runs `work` on a view that waits for no write and that no write waits for.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        return await self._view(self._viewer, work)

    def data_version(self) -> int:
        """Returns a number that changes with every commit of any process.

        See `Store.data_version`.
        """
        return self._store.data_version()

    async def write(
        self, tenant_id: str, work: Callable[[Transaction], T], places: Places | None = None
    ) -> WriteResult[T]:
        """Runs `work` in one transaction, compiles the tenant, commits and publishes.

        A write for `PLATFORM` is in force for all tenants when this method returns. If the caller
        is cancelled, the write still finishes.

        Args:
            tenant_id: the tenant.
            work: makes the changes.
            places: where the request has the documents of policies, if it has several. `work` may
                add to it.

        Raises:
            PdpError: `work`, the compilation or a check failed; nothing was written.
        """
        return await asyncio.shield(self._write(tenant_id, work, places))

    async def _write(
        self, tenant_id: str, work: Callable[[Transaction], T], places: Places | None
    ) -> WriteResult[T]:
        self._check_started()
        if tenant_id == PLATFORM:
            return await self._write_platform(work)
        previous = self._publisher.latest(tenant_id)
        platform = self._publisher.platform

        def run() -> tuple[T, Snapshot, tuple[WriteWarning, ...]]:
            with self._store.write() as transaction:
                value = work(transaction)
                snapshot = self._compile(transaction, tenant_id, platform, previous)
                return value, snapshot, check_write(snapshot, transaction.new_changes, places)

        value, snapshot, warnings = await self._run(run)
        self.notify()
        self._publisher.publish(snapshot)
        try:
            await self.catch_up()
        except PdpError as error:
            # This write is stored and in force. Only the writes of other processes are missing.
            _log.error("cannot load policy changes of other processes", reason=error.message)
        return WriteResult(value, snapshot.revision, warnings)

    async def _write_platform(self, work: Callable[[Transaction], T]) -> WriteResult[T]:
        platform = self._publisher.platform

        def run() -> tuple[T, int]:
            with self._store.write() as transaction:
                value = work(transaction)
                update_platform(platform, transaction.new_changes)  # checks that it compiles
                return value, transaction.revision()

        value, revision = await self._run(run)
        self.notify()
        await self.catch_up()
        return WriteResult(value, revision)

    async def snapshot(self, tenant_id: str) -> Snapshot:
        """Returns the tenant's snapshot in force; see `load`."""
        return self._publisher.current(tenant_id) or await self.load(tenant_id)

    async def load(self, tenant_id: str) -> Snapshot:
        """Returns the tenant's snapshot; compiles it from the store if it is not in memory.

        Concurrent callers share one compilation. It runs beside writes, and waits for none.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        task = self._loading.get(tenant_id)
        if task is None:
            task = self._loading[tenant_id] = asyncio.create_task(self._load(tenant_id))
            task.add_done_callback(lambda _: self._loading.pop(tenant_id, None))
        return await asyncio.shield(task)

    async def _load(self, tenant_id: str) -> Snapshot:
        self._check_started()
        self.stats.loads += 1
        while True:
            platform = self._publisher.platform

            def work(reader: Reader, platform: Platform = platform) -> Snapshot:
                return self._compile(reader, tenant_id, platform, None)

            snapshot = await self._view(self._loaders, work)
            if self._publisher.publish(snapshot):
                # A write may have published a newer one meanwhile.
                return self._publisher.latest(tenant_id) or snapshot

    def _check_started(self) -> None:
        """Refuses what would build on a platform from saved policies."""
        if self._publisher.from_files:
            raise StoreUnavailable("The store could not be read since this server started.")

    def _compile(
        self, reader: Reader, tenant_id: str, platform: Platform, previous: Snapshot | None
    ) -> Snapshot:
        start = time.perf_counter()
        snapshot = compile_snapshot(reader, tenant_id, platform, previous)
        with self._counting:
            self.stats.compilations += 1
            self.stats.compiling_s += time.perf_counter() - start
        return snapshot

    async def catch_up(self) -> None:
        """Puts in force all changes in the store since the last call, of this or other processes.

        Raises:
            StoreUnavailable: the store cannot be read.
            InvalidPattern: the changes of another process do not compile.
        """
        publisher = self._publisher
        async with self._catching_up:
            since, mark = publisher.revision, self._mark
            changes = await self._view(
                self._follower, lambda reader: read_changes(reader, since, mark)
            )
            if changes.replaced:
                await self._reload_after_loss()
                return
            self._mark = changes.mark
            if changes.revision <= since:
                return
            plan = plan_refresh(publisher, changes)
            result = RefreshResult()
            if plan is not None:
                result = await self._view(self._follower, lambda reader: refresh(reader, plan))
            publisher.advance(changes.revision, changes.tenants, result.snapshots, result.platform)
            self._advanced.set()
            self._advanced = asyncio.Event()

    async def reload(self) -> None:
        """Puts all policies of the store in force, for instance in place of saved policies.

        Raises:
            StoreUnavailable: the store cannot be read.
            InvalidPattern: the platform does not compile.
        """
        async with self._catching_up:
            await self._reload_everything()

    async def _reload_after_loss(self) -> None:
        """Puts all policies of the store in force, because it has lost changes, and logs it."""
        before = self._publisher.revision
        await self._reload_everything()
        _log.error(
            "the database has lost changes, so all policies were reloaded. Check what is missing",
            before=before,
            now=self._publisher.revision,
        )

    async def _reload_everything(self) -> None:
        publisher = self._publisher
        platform = publisher.platform
        store = await self._view(self._follower, lambda reader: read_all_policies(reader, platform))
        publisher.restart(store.revision, store.tenants, store.platform)
        self._mark = store.mark
        self._advanced.set()
        self._advanced = asyncio.Event()

    async def reach(self, revision: int, timeout_s: float) -> bool:
        """Waits until `revision` is in force; returns False if the timeout expires first."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._publisher.revision < revision:
                    await self._advanced.wait()
        except TimeoutError:
            return False
        return True

    def is_unavailable(self) -> bool:
        """Returns whether the store is known to be unavailable. Does not wait for an answer."""
        try:
            self._store.data_version()
        except StoreUnavailable:
            return True
        return False

    def wake(self) -> None:
        """Makes `follow` read the store now, because another process has written to it."""
        self._wake_up.set()

    async def follow(self) -> None:
        """Catches up whenever another process has written, until cancelled.

        If the store cannot be read or its policies do not compile, the policies in force stay in
        force. The error is logged once, and the read is retried.
        """
        last_version = -1
        failing = False
        loop = asyncio.get_running_loop()

        def notice() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self.wake)

        self._store.watch(notice)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_INTERVAL_S if failing else POLL_INTERVAL_S):
                    await self._wake_up.wait()
            self._wake_up.clear()
            try:
                version = self._store.data_version()
                if version != last_version:
                    await self.catch_up()
                last_version, failing = version, False
                self.stats.problem = ""
                self.stats.current_at = time.monotonic()
            except Exception as error:
                # Never give up: without this loop, kill switch changes would not reach this server.
                if not failing:
                    reason = error.message if isinstance(error, PdpError) else repr(error)
                    _log.error("cannot read policy changes from the store", reason=reason)
                failing = True
                self.stats.problem = (
                    error.message if isinstance(error, PdpError) else "The store cannot be read."
                )

    async def _view(self, threads: ThreadPoolExecutor, work: Callable[[Reader], T]) -> T:
        """Runs `work` on a view, in one of `threads`."""

        def run() -> T:
            with self._store.view() as reader:
                return work(reader)

        return await asyncio.get_running_loop().run_in_executor(threads, run)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Stops the store's threads after they have finished their current work."""
        self._loaders.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._viewer.shutdown(wait=True)
        self._follower.shutdown(wait=True)
        self._thread.shutdown(wait=True)
