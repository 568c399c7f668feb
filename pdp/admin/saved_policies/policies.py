"""Decides which saved policies may be used, and compiles them.

They may be used while the store cannot be read, if this process knows of no change that they do not
have, and until they are too old. Each decision asks again.
"""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from pdp.admin.install.keys import installation_of
from pdp.admin.saved_policies.contents import (
    CONFIRMED,
    PLATFORM_FILE,
    TENANT,
    TENANTS,
    Confirmation,
    decode_platform,
    decode_tenant,
    decode_tenants,
)
from pdp.admin.saved_policies.seal import SavedPoliciesUnusable
from pdp.domain.tenant import PLATFORM
from pdp.engine.compiler import compile_tenant, empty_snapshot
from pdp.engine.snapshot_cache import SnapshotCache
from pdp.publisher import DEFAULT_CACHE_MB, MEGABYTE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.admin.saved_policies.contents import SavedPlatform
    from pdp.admin.saved_policies.files import SavedFiles
    from pdp.engine.snapshot import Snapshot
    from pdp.publisher import Publisher

MAX_CLOCK_STEP_S: Final = 5.0
"""How far the clock may be behind the confirmation of the files."""

REREAD_S: Final = 5.0
"""How often a process looks whether there are newer files, while it uses them."""

READERS: Final = 2
"""Tenants that are read and compiled at the same time."""

_log: Final = structlog.get_logger("pdp.saved_policies")


class SavedSource(NamedTuple):
    """Which files are used.

    Attributes:
        files: the files.
        database: the URL of the database that they must be of, without credentials.
        max_age_s: after how many seconds they are too old.
        clock: returns the seconds since the epoch.
    """

    files: SavedFiles
    database: str
    max_age_s: float
    clock: Callable[[], float] = time.time

    def confirmation(self) -> Confirmation:
        """Returns what the files are true of.

        Raises:
            SavedPoliciesUnusable: they are damaged, too old, or of another database.
        """
        confirmation = Confirmation.decode(self.files.confirmed(CONFIRMED))
        if confirmation.database != self.database:
            raise SavedPoliciesUnusable("the saved policies are those of another database")
        self.check_age(confirmation.at)
        return confirmation

    def check_age(self, known_at: float) -> None:
        """Checks that policies of a time may be used now.

        Raises:
            SavedPoliciesUnusable: they are too old, or the clock was set back.
        """
        age_s = self.clock() - known_at
        if age_s < -MAX_CLOCK_STEP_S:
            raise SavedPoliciesUnusable("the clock was set back to before the saved policies")
        if age_s > self.max_age_s:
            raise SavedPoliciesUnusable("the saved policies are too old")

    def tenants(self, confirmation: Confirmation) -> dict[str, str]:
        """Returns the name of each tenant's file; empty if it has none.

        Raises:
            SavedPoliciesUnusable: the list is damaged.
        """
        return decode_tenants(self.files.get(TENANTS, confirmation.tenants))


class SavedStart(NamedTuple):
    """What a server starts from without its store.

    Attributes:
        confirmation: what the files are true of.
        files: the name of each tenant's file; empty if it has none.
        platform: what all tenants share.
    """

    confirmation: Confirmation
    files: Mapping[str, str]
    platform: SavedPlatform


def read_start(source: SavedSource) -> SavedStart:
    """Returns what a server can start from.

    Raises:
        SavedPoliciesUnusable: it cannot start from the files.
    """
    confirmation = source.confirmation()
    if not source.files.encrypts:
        raise SavedPoliciesUnusable(
            "a server starts only from encrypted files: set PDP_SNAPSHOT_KEY_FILE"
        )
    content = source.files.get(PLATFORM_FILE, confirmation.platform)
    platform = decode_platform(PLATFORM, content)
    if installation_of(platform.keys) != confirmation.installation:
        raise SavedPoliciesUnusable("the saved policies are those of another installation")
    return SavedStart(confirmation, source.tenants(confirmation), platform)


class _Index(NamedTuple):
    """The files in use.

    Attributes:
        confirmation: the revision and time of the files.
        files: the name of each tenant's file; empty if it has none.
        read_at: when they were read, by `time.monotonic`.
    """

    confirmation: Confirmation
    files: Mapping[str, str]
    read_at: float


class SavedPolicies:
    """The saved policies, as decisions get them. Used on the event loop.

    Attributes:
        refused: how many decisions found no policies that may be used.
    """

    def __init__(
        self,
        source: SavedSource,
        publisher: Publisher,
        start: SavedStart | None = None,
        cache_mb: float = DEFAULT_CACHE_MB,
    ) -> None:
        """Takes what is used.

        Args:
            source: the files.
            publisher: the policies in force.
            start: what the server started from; None if it started from its store.
            cache_mb: memory for the snapshots of the publisher and these together.
        """
        self._source = source
        self._publisher = publisher
        self._start = start
        self._max_bytes = int(cache_mb * MEGABYTE)
        self._cache = SnapshotCache(self._max_bytes)
        # All snapshots in the cache are of its files.
        self._index: _Index | None = None
        # By tenant and file: there may be a newer file before the older one is compiled.
        self._loading: dict[tuple[str, str], asyncio.Task[Snapshot]] = {}
        self._refreshing: asyncio.Task[_Index] | None = None
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="saved")
        self._logged = ""
        self.refused = 0
        if start is not None:
            self._empty = empty_snapshot(publisher.platform, publisher.revision)

    async def load(self, tenant_id: str) -> Snapshot:
        """Returns the tenant's saved policies. Concurrent callers share one compilation.

        Raises:
            SavedPoliciesUnusable: there are none that may be used.
        """
        try:
            snapshot = await self._snapshot(tenant_id)
        except SavedPoliciesUnusable as error:
            self.refused += 1
            if error.message != self._logged:
                self._logged = error.message
                _log.error("requests are blocked: no saved policies", reason=error.message)
            raise
        self._logged = ""
        return snapshot

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=True)

    async def _snapshot(self, tenant_id: str) -> Snapshot:
        publisher = self._publisher
        index = await self._current_index()
        confirmation = index.confirmation
        self._source.check_age(confirmation.at)
        if confirmation.installation != installation_of(publisher.platform.keys):
            raise SavedPoliciesUnusable("the saved policies are those of another installation")
        if confirmation.revision < publisher.min_revision(tenant_id):
            raise SavedPoliciesUnusable("the tenant has changed since its policies were saved")
        if publisher.from_files and tenant_id not in index.files:
            # The list has all tenants with policies.
            snapshot = self._empty.for_tenant(tenant_id, publisher.revision)
        else:
            snapshot = self._cached(tenant_id, index) or await self._loaded(tenant_id, index)
        if publisher.from_files and snapshot.limits is not None:
            raise SavedPoliciesUnusable("the counters of limits are not known yet")
        if snapshot.known_at != confirmation.at:
            snapshot = replace(snapshot, known_at=confirmation.at)
            if index is self._index and self._cache.peek(tenant_id) is not None:
                self._cache.replace(snapshot)
        return snapshot

    async def _current_index(self) -> _Index:
        """Returns the files to use: what the server started from, or the newest ones."""
        start, index = self._start, self._index
        if start is not None and self._publisher.from_files:
            if index is None:
                index = self._index = _Index(start.confirmation, start.files, -math.inf)
            return index
        if index is not None and time.monotonic() - index.read_at < REREAD_S:
            return index
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        return await asyncio.shield(self._refreshing)

    async def _refresh(self) -> _Index:
        before = self._index

        def read() -> _Index:
            confirmation = self._source.confirmation()
            if before is not None and before.confirmation.tenants == confirmation.tenants:
                files = before.files
            else:
                files = self._source.tenants(confirmation)
            return _Index(confirmation, files, time.monotonic())

        try:
            index = await asyncio.get_running_loop().run_in_executor(self._threads, read)
        finally:
            self._refreshing = None
        if before is None or before.confirmation.tenants != index.confirmation.tenants:
            self._cache.clear()
        self._index = index
        return index

    def _cached(self, tenant_id: str, index: _Index) -> Snapshot | None:
        """Returns the snapshot in memory, if it is still what would be compiled."""
        snapshot = self._cache.use(tenant_id) if index is self._index else None
        if snapshot is None or snapshot.platform is not self._publisher.platform:
            return None
        return snapshot if snapshot.revision == self._revision(index) else None

    def _revision(self, index: _Index) -> int:
        """Returns the revision of what is compiled from the files.

        They have all changes of the tenant that the publisher knows of.
        """
        return max(index.confirmation.revision, self._publisher.revision)

    async def _loaded(self, tenant_id: str, index: _Index) -> Snapshot:
        name = index.files.get(tenant_id)
        if not name:
            raise SavedPoliciesUnusable("the tenant's policies were not saved yet")
        task = self._loading.get((tenant_id, name))
        if task is None:
            task = asyncio.create_task(self._load(tenant_id, name, index))
            self._loading[tenant_id, name] = task
            task.add_done_callback(lambda _: self._loading.pop((tenant_id, name), None))
        return await asyncio.shield(task)

    async def _load(self, tenant_id: str, name: str, index: _Index) -> Snapshot:
        platform, revision = self._publisher.platform, self._revision(index)

        def read() -> Snapshot:
            policies = decode_tenant(tenant_id, self._source.files.get(TENANT, name))
            return compile_tenant(platform, tenant_id, policies, revision)

        snapshot = await asyncio.get_running_loop().run_in_executor(self._threads, read)
        if self._index is index:
            # The two caches together stay within the bound.
            self._cache.max_bytes = max(0, self._max_bytes - self._publisher.cache.size)
            self._cache.put(snapshot)
        return snapshot
