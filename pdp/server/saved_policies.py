"""Saved policies in a server: opens its store, or starts from files if the store is unavailable."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from pdp.admin.saved_policies.files import SavedFiles
from pdp.admin.saved_policies.policies import SavedPolicies, SavedSource, SavedStart, read_start
from pdp.admin.saved_policies.saver import RETRY_S, PolicySaver
from pdp.admin.saved_policies.seal import FileSeal, SavedPoliciesUnusable, read_key
from pdp.bootstrap.late_store import LateStore
from pdp.bootstrap.policies import create_publisher, create_saved_publisher, open_policies
from pdp.errors import PdpError, StoreUnavailable
from pdp.store.opening import find_database_file, public_url
from pdp.usage.synchronization import UsageSynchronizer

if TYPE_CHECKING:
    from pdp.admin.workspace import Workspace
    from pdp.config import Settings
    from pdp.domain.risk import RiskTable
    from pdp.publisher import Publisher
    from pdp.store.port import Store
    from pdp.transport.metrics import Metrics
    from pdp.usage.metering import Metering

_log: Final = structlog.get_logger("pdp.saved_policies")


class OpenedPolicies(NamedTuple):
    """What a server starts with.

    Attributes:
        store: the store; a `LateStore` if it is unavailable.
        publisher: the policies in force.
        source: the files of saved policies; None if there are none.
        start: what was read from them; None if the store was read.
    """

    store: Store
    publisher: Publisher
    source: SavedSource | None
    start: SavedStart | None = None


class SavedPoliciesParts(NamedTuple):
    """The parts of a server with saved policies.

    Attributes:
        saver: writes the files.
        policies: what decisions get of them.
    """

    saver: PolicySaver
    policies: SavedPolicies

    def close(self) -> None:
        """Ends the threads."""
        self.saver.close()
        self.policies.close()

    def measure(self, metrics: Metrics) -> None:
        """Adds the metrics of saved policies."""
        saver, policies = self
        metrics.gauge(
            "pdp_saved_policies_revision",
            "Revision of the saved policies; 0 if there are none.",
            lambda: saver.confirmation.revision if saver.confirmation else 0,
        )
        metrics.gauge(
            "pdp_saved_policies_age_seconds",
            "Time since the saved policies were last known to be the newest.",
            saver.age_s,
        )
        metrics.counter(
            "pdp_saved_policies_refused",
            "Decisions for which no saved policies could be used.",
            lambda: policies.refused,
        )
        metrics.counter(
            "pdp_stale_decisions",
            "Decisions by saved policies.",
            lambda: metrics.stale_decisions,
        )


def open_server_policies(settings: Settings, risk: RiskTable) -> OpenedPolicies:
    """Opens the store. If it is unavailable, and there are saved policies, starts from these.

    Raises:
        ConfigError: the settings or the database cannot be used.
        StoreUnavailable: the database cannot be read or written now, and there are no saved
            policies that may be used.
    """
    url, source = settings.store_url, _source(settings)
    try:
        store = open_policies(url)
    except StoreUnavailable as error:
        # A file that another process has locked is not lost: a retry succeeds.
        if source is None or find_database_file(url) is not None:
            raise
        return _open_late(settings, risk, source, error)
    try:
        publisher = create_publisher(store, risk, settings.tenant_cache_mb)
    except BaseException:
        store.close()
        raise
    return OpenedPolicies(store, publisher, source)


def _open_late(
    settings: Settings, risk: RiskTable, source: SavedSource, error: StoreUnavailable
) -> OpenedPolicies:
    try:
        start = read_start(source)
    except SavedPoliciesUnusable as problem:
        reason = problem.message[0].upper() + problem.message[1:]
        raise StoreUnavailable(f"{error.message} {reason}.") from error
    publisher = create_saved_publisher(start, risk, settings.tenant_cache_mb)
    age_s = source.clock() - start.confirmation.at
    _log.error(
        "the database is unavailable: starting from saved policies",
        reason=error.message,
        age_s=round(age_s),
        revision=publisher.revision,
    )
    return OpenedPolicies(
        LateStore(lambda: open_policies(settings.store_url)), publisher, source, start
    )


def _source(settings: Settings) -> SavedSource | None:
    directory, key_file = settings.snapshot_dir, settings.snapshot_key_file
    if directory is None:
        return None
    seal = FileSeal(b"" if key_file is None else read_key(key_file))
    files = SavedFiles(directory, seal)
    return SavedSource(files, public_url(settings.store_url), settings.snapshot_max_age_s)


def saved_parts(
    opened: OpenedPolicies, workspace: Workspace, cache_mb: float
) -> SavedPoliciesParts | None:
    """Returns the parts of saved policies; None if the settings name no directory."""
    source, start = opened.source, opened.start
    if source is None:
        return None
    if start is not None:
        age_s = source.clock() - start.confirmation.at
        workspace.stats.current_at = time.monotonic() - age_s
        workspace.stats.problem = "The store's database does not answer."
    return SavedPoliciesParts(
        PolicySaver(workspace, source.files, source.database),
        SavedPolicies(source, opened.publisher, start, cache_mb),
    )


async def follow_when_open(store: Store, workspace: Workspace, metering: Metering) -> None:
    """Opens a store when it is available again, reloads all policies, and follows its changes."""
    logged = ""
    while isinstance(store, LateStore):
        try:
            await asyncio.to_thread(store.open)
            if isinstance(metering, UsageSynchronizer):  # shared counters have started
                await metering.start()
            await workspace.reload()
            _log.info("the database answers: its policies are in force")
            break
        except Exception as error:
            # Never give up: without this loop, the server would keep its old policies.
            reason = error.message if isinstance(error, PdpError) else repr(error)
            workspace.stats.problem = reason
            if reason != logged:
                _log.error("the database cannot be used yet", reason=reason)
                logged = reason
        await asyncio.sleep(RETRY_S)
    await workspace.follow()
